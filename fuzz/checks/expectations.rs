//! What must hold for an expectation file of any text; the fuzz target and the tests share it.

use knock_replay::expect::case_names;

/// Checks that this text is read without a panic, and that every problem has its place and is fit
/// for a terminal.
///
/// # Panics
///
/// Where one of these does not hold.
pub(crate) fn check(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let problems = match case_names(text) {
        Ok(names) => {
            assert!(!names.is_empty(), "a file without a case can't fail");
            assert!(names.iter().all(|name| !name.trim().is_empty()));
            return;
        }
        Err(problems) => problems,
    };
    assert!(!problems.is_empty(), "what can't be read has a reason");
    assert!(problems.len() <= 1_000, "{}", problems.len());
    for found in &problems {
        let replaced = found.replacement.iter().map(|replacement| &replacement.span);
        for span in replaced.chain([&found.span]) {
            assert!(text.get(span.clone()).is_some(), "{found:?}");
        }
        let line = text[..found.span.start].matches('\n').count() + 1;
        assert_eq!(found.line, line, "{found:?}");
        assert!(found.column >= 1);
        let told = found.to_string();
        assert!(!told.chars().any(is_unsafe), "{told:?}");
        assert!(told.len() < 4_000, "{}", told.len());
    }
}

/// What a terminal must not get, whoever says it: control characters and changes of direction.
fn is_unsafe(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
