//! How the problems of a config look.

use std::path::Path;

use knock_engine::config::{Diagnostic, Replacement, Severity, is_printable, parse};
use knock_frontend::Program;
use knock_frontend::diagnostics::{Colour, Source, render};
use proptest::prelude::*;

fn shown(text: &[u8], colour: Colour) -> String {
    let source = Source { path: Path::new("/etc/knockd.conf"), text };
    render(Program("knock-replay"), source, &parse(text).diagnostics, colour)
}

/// Tells whether a terminal gets nothing but printable characters and line breaks.
fn is_harmless(rendered: &str) -> bool {
    rendered.chars().all(|character| character == '\n' || is_printable(character))
}

#[test]
fn no_problem_shows_nothing() {
    assert_eq!(shown(b"[s]\nsequence = 7000\n", Colour::Always), "");
}

#[test]
fn problems_are_shown_with_their_lines() {
    let rendered = shown(include_bytes!("../../../fuzz/corpus/config/errors"), Colour::Never);
    insta::assert_snapshot!(rendered);
}

#[test]
fn warnings_are_shown_with_their_lines() {
    let rendered = shown(include_bytes!("../../../fuzz/corpus/config/warnings"), Colour::Never);
    insta::assert_snapshot!(rendered);
}

#[test]
fn typography_is_shown_with_its_replacement() {
    let rendered = shown(include_bytes!("../../../fuzz/corpus/config/typography"), Colour::Never);
    insta::assert_snapshot!(rendered);
}

#[test]
fn colours_are_escape_sequences() {
    let rendered = shown(b"[s]\nsequence = 70000\nseq_timout = 5", Colour::Always);
    insta::assert_snapshot!(rendered.replace('\x1b', "ESC"));
}

#[test]
fn hostile_bytes_never_reach_the_terminal() {
    let text = include_bytes!("../../../fuzz/corpus/config/hostile");
    let source = Source { path: Path::new("/tmp/\x1b]0;x\x07\u{202e}\nconf"), text };
    let rendered = render(Program("knock-replay"), source, &parse(text).diagnostics, Colour::Never);
    assert!(is_harmless(&rendered), "{rendered:?}");
    insta::assert_snapshot!(rendered);
}

#[test]
fn a_long_line_is_cut_around_the_problem() {
    let text = format!("[s]\nsequence={}70000,{}", "7000,".repeat(20), "1,".repeat(9) + "1");
    let wide =
        format!("[s]\nsequence=1\ncommand={}\u{2013}y {}", "\u{fc}".repeat(200), "z".repeat(300));
    let rendered = shown(text.as_bytes(), Colour::Never) + &shown(wide.as_bytes(), Colour::Never);
    insta::assert_snapshot!(rendered);
}

#[test]
fn the_place_may_be_the_end_of_the_file_or_behind_a_mark() {
    let rendered =
        shown(b"\xef\xbb\xbfx\r\n", Colour::Never) + &shown(b"[s]\nsequence =", Colour::Never);
    insta::assert_snapshot!(rendered);
}

#[test]
fn of_many_problems_the_first_hundred_are_shown_and_errors_before_warnings() {
    let warnings = "seq_timeout = 0\n".repeat(150);
    let text = format!("[s]\nsequence = 1\n{warnings}foo = bar\nfoo = baz\n");
    let rendered = shown(text.as_bytes(), Colour::Never);
    assert_eq!(rendered.matches("error: unknown key").count(), 2);
    assert_eq!(rendered.matches("warning: seq_timeout").count(), 98);
    assert!(rendered.ends_with(
        "knock-replay: /etc/knockd.conf: 2 errors, 150 warnings (52 of them not shown)\n"
    ));
}

proptest! {
    #[test]
    fn any_text_is_shown_without_harm(text in prop::collection::vec(any::<u8>(), 0..300)) {
        let rendered = shown(&text, Colour::Never);
        prop_assert!(is_harmless(&rendered), "{:?}", rendered);
    }

    #[test]
    fn a_diagnostic_need_not_fit_its_text(
        text in prop::collection::vec(any::<u8>(), 0..60),
        (start, end, other) in (0..80_usize, 0..80_usize, 0..80_usize),
        line in 0..9_usize,
        message in any::<String>(),
    ) {
        let diagnostic = Diagnostic {
            severity: Severity::Warning,
            span: start..end,
            line,
            column: 1,
            help: Some(message.clone()),
            replacement: Some(Replacement { span: other..end, text: message.clone() }),
            message,
        };
        let source = Source { path: Path::new("x"), text: &text };
        let plain = render(Program("knock-replay"), source, std::slice::from_ref(&diagnostic), Colour::Never);
        prop_assert!(is_harmless(&plain), "{:?}", plain);
        let _ = render(Program("knock-replay"), source, &[diagnostic], Colour::Always);
    }
}
