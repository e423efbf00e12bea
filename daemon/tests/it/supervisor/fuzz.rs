//! The fuzzer's checks, over its corpus and over random bytes.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

/// The checks of the fuzz target.
#[path = "../../../../fuzz/checks/supervisor.rs"]
mod check;

use super::happening;

#[test]
fn every_file_of_the_fuzz_corpus_passes_the_checks() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/supervisor");
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
}
