//! What must hold for any config text; the fuzz target and the tests share it.

use knock_engine::config::{Diagnostic, Severity, is_printable, parse, parse_one_time_lines};

/// Checks that these bytes parse without a panic, that every problem has its place and is fit
/// for a terminal, and that a config that comes of them survives being printed.
///
/// # Panics
///
/// Where one of these does not hold.
pub(crate) fn check(text: &[u8]) {
    let parsed = parse(text);
    check_diagnostics(text, &parsed.diagnostics);
    let is_error = |found: &Diagnostic| found.severity == Severity::Error;
    assert_eq!(parsed.config.is_none(), parsed.diagnostics.iter().any(is_error));
    let strict = parsed.clone().strict();
    assert_eq!(strict.config.is_some(), strict.diagnostics.is_empty());
    if let Some(config) = parsed.config {
        let printed = config.to_string();
        let again = parse(printed.as_bytes());
        assert_eq!(again.config.as_ref(), Some(&config), "{printed:?}: {:?}", again.diagnostics);
    }

    let (lines, diagnostics) = parse_one_time_lines(text);
    check_diagnostics(text, &diagnostics);
    assert!(!diagnostics.iter().any(is_error));
    assert!(lines.is_sorted_by(|one, next| one.number < next.number));
}

fn check_diagnostics(text: &[u8], diagnostics: &[Diagnostic]) {
    assert!(diagnostics.is_sorted_by_key(|found| (found.line, found.column)));
    for found in diagnostics {
        let replaced = found.replacement.iter().map(|replacement| &replacement.span);
        for span in replaced.chain([&found.span]) {
            assert!(span.start <= span.end && span.end <= text.len(), "{found:?}");
            if let Ok(text) = std::str::from_utf8(text) {
                assert!(text.get(span.clone()).is_some(), "{found:?}");
            }
        }
        let start = text[..found.span.start].iter().filter(|&&byte| byte == b'\n').count();
        assert_eq!(found.line, start + 1, "{found:?}");
        assert!(found.column >= 1);
        assert!(found.to_string().chars().all(is_printable), "{found:?}");
        assert!(found.to_string().len() < 2000, "{found:?}");
    }
}
