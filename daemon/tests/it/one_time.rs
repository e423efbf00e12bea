//! One-time files: what a mark changes, and that no crash takes it back.

mod crash;
mod file;

use knock_engine::config::{Sequence, parse_one_time_lines};
use knock_frontend::one_time::{MarkCause, last_used, marked};
use proptest::prelude::*;

/// The checks of the fuzz target.
#[path = "../../../fuzz/checks/one_time.rs"]
mod check;

/// Reads a sequence.
pub(crate) fn sequence(text: &str) -> Sequence {
    parse_one_time_lines(text.as_bytes()).0.remove(0).sequence
}

fn mark(text: &str, line: usize, expected: &str) -> String {
    let marked = marked(text.as_bytes(), line, &sequence(expected)).expect("it is unused");
    String::from_utf8(marked).expect("it was text")
}

fn refuse(text: &str, line: usize, expected: &str) -> MarkCause {
    marked(text.as_bytes(), line, &sequence(expected)).expect_err("it is not to be marked")
}

#[test]
fn a_mark_stands_in_front_and_destroys_nothing() {
    assert_eq!(mark("1000,2000\n3000\n", 1, "1000,2000"), "#1000,2000\n3000\n");
    assert_eq!(mark("1000\n3000\n", 2, "3000"), "1000\n#3000\n");
    assert_eq!(mark("1000\n3000", 2, "3000:tcp"), "1000\n#3000");
    assert_eq!(mark("1000\r\n3000:udp\r\n", 2, "3000:udp"), "1000\r\n#3000:udp\r\n");
    assert_eq!(mark("\u{feff}1000\n", 1, "1000"), "\u{feff}#1000\n");
    assert_eq!(mark("  1000 , 2000\t\n", 1, "1000,2000"), "#  1000 , 2000\t\n");
    assert_eq!(mark("#1\nx\n\n1000 # mine\n", 4, "1000"), "#1\nx\n\n#1000 # mine\n");
    assert_eq!(mark("1000\n1000\n", 2, "1000"), "1000\n#1000\n");
}

#[test]
fn a_line_that_is_used_or_another_one_is_not_marked() {
    for used in ["#1000", "  # 1000", "##1000", "# #1000\r", "#1000\n2000"] {
        assert!(matches!(refuse(used, 1, "1000"), MarkCause::AlreadyUsed), "{used:?}");
    }
    for other in ["2000\n1000", "", "x", "# mine", "#2000", "# 1000x:icmp", "\n1000"] {
        assert!(matches!(refuse(other, 1, "1000"), MarkCause::Changed), "{other:?}");
    }
    assert!(matches!(refuse("1000\n", 0, "1000"), MarkCause::Changed));
    assert!(matches!(refuse("1000\n", 2, "1000"), MarkCause::Changed));
    assert!(matches!(refuse("1000\n", usize::MAX, "1000"), MarkCause::Changed));
}

#[test]
fn the_line_that_was_used_last_stands_in_front_of_the_next_one() {
    let last = |text: &str| {
        let line = last_used(text.as_bytes())?;
        Some((line.number, line.sequence.to_string()))
    };
    let found = |number, text: &str| Some((number, text.to_owned()));
    assert_eq!(last("#1000\n#2000:udp\r\n3000\n#4000\n"), found(2, "2000:udp"));
    assert_eq!(last("\u{feff}#1000\n2000"), found(1, "1000:tcp"));
    assert_eq!(last("#  1000 , 2000\n\nx\n"), found(1, "1000:tcp,2000:tcp"));
    for none in ["", "1000\n#2000", "# 10 sequences of mine\n1000", "##1000\n2000", "#\n# \n1000"] {
        assert_eq!(last(none), None, "{none:?}");
    }
}

#[test]
fn every_file_of_the_fuzz_corpus_passes_the_checks() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/one_time");
    let files = std::fs::read_dir(corpus).expect("the corpus is there");
    let files = files.map(|file| std::fs::read(file.expect("a file").path()).expect("a file"));
    let count = files.inspect(|text| check::check(text)).count();
    assert!(count >= 5, "{count} files");
}

proptest! {
    #[test]
    fn any_bytes_pass_the_checks(text in prop::collection::vec(any::<u8>(), 0..200)) {
        check::check(&text);
    }

    #[test]
    fn anything_like_a_file_passes_the_checks(
        lines in prop::collection::vec("[# \t\r]{0,2}[0-9:,utcdp x]{0,12}", 0..12),
        breaks in prop::sample::select(vec!["\n", "\r\n"]),
        mark in any::<bool>(),
    ) {
        let text = [if mark { "\u{feff}" } else { "" }, &lines.join(breaks)].concat();
        check::check(text.as_bytes());
    }
}
