//! Nothing that a config or a capture can hold makes the model panic.

use knock_engine::local::LocalAddresses;
use knock_engine::time::Timestamp;
use knock_replay::knockd08::{Families, Knockd08, Knockd08Config, LinkLayer};
use proptest::collection::vec;
use proptest::prelude::*;

use super::generator::{self, Kind};

/// A config with a door for nearly everything, so that random frames get somewhere.
const CONFIG: &[u8] = b"[any]\nsequence=0,0\nseq_timeout=1\n[otp]\none_time_sequences=f\ncommand=x %IP%\n\
    [t]\nsequence=0:udp,0\ntcpflags=!syn\ntarget=0.0.0.0\nstart_command_6=y\nstop_command=z\ncmd_timeout=-1\n";

fn drain(knockd: &mut Knockd08) {
    while let Some(decision) = knockd.poll_output() {
        let _ = format!("{decision:?}");
    }
}

fn run(config: Knockd08Config, families: Families, link: LinkLayer, frames: &[(u64, Vec<u8>)]) {
    let local = LocalAddresses::Unknown;
    let Ok(mut knockd) = Knockd08::new(config, local, families) else { return };
    for (at, bytes) in frames {
        knockd.handle_frame(link, bytes, Timestamp::from_nanos(*at));
        drain(&mut knockd);
    }
    knockd.finish();
    drain(&mut knockd);
}

fn link() -> impl Strategy<Value = LinkLayer> {
    prop_oneof![Just(LinkLayer::Ethernet), Just(LinkLayer::LinuxSll), Just(LinkLayer::Raw)]
}

fn families() -> impl Strategy<Value = Families> {
    prop_oneof![Just(Families::Both), Just(Families::OnlyIpv4)]
}

proptest! {
    #[test]
    fn random_bytes_are_a_config_or_are_refused(text in vec(any::<u8>(), 0..200), file in vec(any::<u8>(), 0..50)) {
        let mut config = b"[s]\none_time_sequences=f\n".to_vec();
        config.extend_from_slice(&text);
        for text in [&text, &config] {
            if let Err(refusal) = Knockd08Config::parse(text, &mut |_| Some(file.clone())) {
                prop_assert!(!refusal.to_string().is_empty());
            }
        }
    }

    #[test]
    fn random_frames_do_no_harm(
        link in link(),
        families in families(),
        frames in vec((any::<u64>(), vec(prop_oneof![Just(0_u8), Just(0x45), Just(6), any::<u8>()], 0..90)), 0..30),
    ) {
        let files = &mut |_: &str| Some(b" 0\n 0,0\n0\n".to_vec());
        let config = Knockd08Config::parse(CONFIG, files).unwrap();
        run(config, families, link, &frames);
    }

    #[test]
    fn cut_and_damaged_knocks_do_no_harm(
        seed in any::<u64>(),
        link in link(),
        cuts in vec((any::<prop::sample::Index>(), any::<u64>()), 60),
    ) {
        let case = generator::case(Kind::Wild, seed);
        let mut files = |path: &str| {
            let file = case.files.iter().find(|(name, _)| name == path);
            file.map(|(_, text)| text.clone().into_bytes())
        };
        let Ok(config) = Knockd08Config::parse(&case.config, &mut files) else { return Ok(()) };
        let frames = case.capture.frames.iter().zip(cuts).map(|(frame, (cut, at))| {
            (at, frame.bytes[..cut.index(frame.bytes.len() + 1)].to_vec())
        });
        run(config, case.families, link, &frames.collect::<Vec<_>>());
    }
}
