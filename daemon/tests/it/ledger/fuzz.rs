//! The fuzzer's checks, over its corpus and over random bytes.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

/// The checks of the fuzz target.
#[path = "../../../../fuzz/checks/ledger.rs"]
mod check;

#[test]
fn every_file_of_the_fuzz_corpus_passes_the_checks() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/ledger");
    let files = fs::read_dir(corpus).expect("the corpus is there");
    let files = files.map(|file| fs::read(file.expect("a file").path()).expect("a file"));
    let count = files.inspect(|bytes| check::check(bytes)).count();
    assert!(count >= 5, "{count} files");
}

proptest! {
    #[test]
    fn any_bytes_pass_the_checks(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check::check(&bytes);
    }

    #[test]
    fn damaged_ledgers_pass_the_checks(
        script in prop::collection::vec(0u8..0xff, 0..120),
        damage in prop::collection::vec((0u16..20_000, any::<u8>()), 0..12),
    ) {
        let damage = damage.iter().flat_map(|(at, bits)| {
            let [high, low] = at.to_be_bytes();
            [0xff, high, low, *bits]
        });
        check::check(&script.into_iter().chain(damage).collect::<Vec<u8>>());
    }
}
