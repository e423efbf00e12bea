//! What must hold for any text on its way out; the fuzz target and the tests share it.

use knock_frontend::escape::{Escaped, append_json_line, is_unsafe};

/// Checks that text becomes fit for a terminal and for JSON, and that nothing is lost of it.
///
/// # Panics
///
/// Where that does not hold.
pub(crate) fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let shown = Escaped(&text).to_string();
    assert!(!shown.chars().any(is_unsafe), "{shown:?}");
    if !text.chars().any(is_unsafe) {
        assert_eq!(shown, text, "what is harmless stays as it is");
    }
    let harmless = |text: &str| text.chars().filter(|it| !is_unsafe(*it)).count();
    assert!(harmless(&shown) >= harmless(&text), "nothing is lost");

    let mut line = Vec::new();
    append_json_line(&mut line, &text).expect("memory takes all");
    let line = String::from_utf8(line).expect("JSON is UTF-8");
    let json = line.strip_suffix('\n').expect("a line ends");
    assert!(!json.chars().any(is_unsafe), "{json:?}");
    assert_eq!(serde_json::from_str::<String>(json).expect("JSON"), text, "it can be read again");
}
