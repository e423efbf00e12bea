//! What holds for any capture: what `record` wrote passes, and so does what `--update` wrote.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use crate::cli::{Folder, pcap_of, syn};

/// Doors with which all that can be recorded happens.
const DOORS: &str = "\
[options]\nmax_leases = 2\n\
[ssh]\nsequence = 7000,8000\nstart_command = open\nstop_command = close\ncmd_timeout = 3\n\
max_failures = 2\nseq_timeout = 4\n\
[vpn]\nsequence = 8000,7000\nstart_command = open\ncooldown = 5\n\
[once]\none_time_sequences = once.txt\nstart_command = open\nstop_command = close\n";

/// SYNs of a few sources to a few ports, a second apart.
fn packets() -> impl Strategy<Value = Vec<(u8, u16)>> {
    let port = prop_oneof![4 => Just(7000), 4 => Just(8000), 1 => Just(22)];
    prop::collection::vec((1_u8..5, port), 0..40)
}

fn write(folder: &Folder, packets: &[(u8, u16)]) {
    folder.write("doors.conf", DOORS.as_bytes());
    folder.write("once.txt", b"7000\n8000,7000\n");
    let frames = (50_000..).zip(packets);
    let frames = frames.map(|(from, (host, port))| syn([198, 51, 100, *host], from, *port));
    folder.write("a.pcap", &pcap_of(1, frames));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_record_wrote_passes(packets in packets()) {
        let folder = Folder::new("expect_property_record");
        write(&folder, &packets);
        let ran = folder.run("record -c doors.conf a.pcap");
        let recorded = ran.exits(0).stdout();
        folder.write("a.toml", recorded.as_bytes());
        folder.run("test a.toml").exits(0);
        folder.run("test --update a.toml").exits(0);
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let kept = fs::read_to_string(path.join("cli/expect_property_record/a.toml")).unwrap();
        prop_assert_eq!(kept, recorded, "what passes is not touched");
    }

    #[test]
    fn what_update_wrote_passes(then in packets(), now in packets()) {
        let folder = Folder::new("expect_property_update");
        write(&folder, &then);
        let recorded = folder.run("record -c doors.conf a.pcap").exits(0).stdout();
        write(&folder, &now);
        folder.write("a.toml", recorded.as_bytes());
        folder.run("test --update a.toml").exits(0);
        folder.run("test a.toml").exits(0);
    }
}
