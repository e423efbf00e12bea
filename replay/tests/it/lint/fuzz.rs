//! The fuzzer's checks, over its corpus and over configs in which anything may stand.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

/// The checks of the fuzz target.
#[path = "../../../../fuzz/checks/lint.rs"]
mod check;

#[test]
fn every_file_of_the_fuzz_corpus_passes_the_checks() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/lint");
    let files = fs::read_dir(corpus).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
    let count = files.inspect(|text| check::check(text)).count();
    assert!(count >= 20, "{count} files");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn any_config_passes_the_checks(
        sequence in "[0-9]{1,5}(:udp)?(,[0-9]{1,5}(:udp)?){0,4}",
        name in "\\PC{1,12}",
        commands in prop::collection::vec("(start|stop|check)_command = (iptables|nft|ufw)?\\PC{0,40}", 0..4),
        one_time in prop::collection::vec("[#0-9,:udp]{0,12}", 0..4),
    ) {
        let (commands, lines) = (commands.join("\n"), one_time.join("\n"));
        let fixed = format!("[{name}]\nsequence = {sequence}\n{commands}\n");
        let once = format!("[once]\none_time_sequences = lines\n{commands}\n\0{lines}\n");
        check::check(fixed.as_bytes());
        check::check(format!("{fixed}{once}").as_bytes());
    }
}
