//! The fuzzer's checks of escaping, over its corpus and over random text.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

/// The checks of the fuzz target.
#[path = "../../../fuzz/checks/escape.rs"]
mod check;

#[test]
fn every_file_of_the_fuzz_corpus_passes_the_checks() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/escape");
    let files = fs::read_dir(corpus).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
    let count = files.inspect(|text| check::check(text)).count();
    assert!(count >= 5, "{count} files");
}

proptest! {
    #[test]
    fn any_text_passes_the_checks(text in ".*", bytes in prop::collection::vec(any::<u8>(), 0..50)) {
        check::check(text.as_bytes());
        check::check(&bytes);
    }
}
