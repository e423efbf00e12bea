//! What holds for every frame: random ones, damaged ones, and the fuzzer's corpus.

use std::path::Path;

use knock_engine::wire::{LinkType, decode};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::frames::{decodable, link_headers};

#[path = "../../../../fuzz/checks/frame.rs"]
mod check;

/// Returns inputs of the check that hold every decodable frame.
pub(super) fn whole_inputs() -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    for ip in decodable() {
        for (_, link, header) in link_headers(ip.version) {
            let pick = LinkType::ALL.iter().position(|its| *its == link);
            let pick = u8::try_from(pick.expect("ALL is complete")).expect("there are few");
            inputs.push([[pick].as_slice(), &header, &ip.bytes].concat());
        }
    }
    inputs
}

/// One of these with a few bytes overwritten, perhaps cut somewhere: most of the paths of a
/// decoder lie close to valid frames.
pub(super) fn damaged(whole: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    // The headers are what matters, not the padding of long options.
    let damage = vec((0..120_usize, any::<u8>()), 0..4);
    (select(whole), damage, option::of(any::<Index>())).prop_map(|(mut input, damage, cut)| {
        for (at, value) in damage {
            if let Some(byte) = input.get_mut(at) {
                *byte = value;
            }
        }
        if let Some(cut) = cut {
            input.truncate(cut.index(input.len()));
        }
        input
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn random_bytes_keep_every_promise(input in vec(any::<u8>(), 0..200)) {
        check::check(&input);
    }

    #[test]
    fn random_bytes_behind_an_ip_version_keep_every_promise(
        pick in any::<u8>(),
        version in select(vec![0x45, 0x46, 0x4f, 0x60]),
        rest in vec(any::<u8>(), 0..200),
    ) {
        check::check(&[[pick, version].as_slice(), &rest].concat());
    }

    #[test]
    fn damaged_frames_keep_every_promise(input in damaged(whole_inputs())) {
        check::check(&input);
    }
}

#[test]
fn the_corpus_of_the_fuzzer_keeps_every_promise() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/frame");
    let mut checked = 0;
    let mut decoded = [0; LinkType::ALL.len()];
    for entry in corpus.read_dir().expect("the corpus is committed") {
        let path = entry.expect("a readable directory").path();
        let input = std::fs::read(path).expect("a readable file");
        check::check(&input);
        checked += 1;
        let Some((pick, frame)) = input.split_first() else { continue };
        let link = usize::from(*pick) % LinkType::ALL.len();
        decoded[link] += usize::from(decode(LinkType::ALL[link], frame).is_ok());
    }
    assert!(checked >= 20, "only {checked} files");
    assert!(decoded.iter().all(|count| *count >= 3), "of each link type: {decoded:?}");
}
