//! The fuzzer's checks of compressed traces, over its corpus and over random traces.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::build::{Order, small_pcap, small_pcapng};
use super::check as trace;

/// The checks of the fuzz target.
#[path = "../../../../fuzz/checks/compressed.rs"]
mod check;

#[test]
fn every_file_of_the_fuzz_corpus_passes_the_checks() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/compressed");
    let files = fs::read_dir(corpus).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
    let mut kinds = [0; 4];
    for bytes in files {
        check::check(&bytes);
        kinds[usize::from(bytes[0] % 4)] += 1;
    }
    assert!(kinds.iter().all(|count| *count >= 3), "of each compression: {kinds:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_trace_reads_the_same_compressed_and_no_more_when_it_is_cut_or_damaged(
        head in any::<[u8; 5]>(),
        is_pcapng in any::<bool>(),
    ) {
        let trace = if is_pcapng { small_pcapng(Order::Little, 5) } else { small_pcap(Order::Little, 5) };
        check::check(&[&head[..], &trace].concat());
    }
}
