//! The page as one file.

use std::io::{self, Write};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use knock_frontend::escape::is_unsafe;
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use sha2::{Digest as _, Sha256};

const PAGE: &str = include_str!("web/page.html");
const STYLE: &str = include_str!("web/page.css");
const SCRIPT: &str = concat!(
    include_str!("web/data.js"),
    include_str!("web/text.js"),
    include_str!("web/filter.js"),
    include_str!("web/near.js"),
    include_str!("web/charts.js"),
    include_str!("web/doors.js"),
    include_str!("web/detail.js"),
    include_str!("web/grid.js"),
    include_str!("web/main.js"),
);

/// Writes the page with its data.
///
/// # Errors
///
/// It can't be written.
pub(super) fn write(out: &mut impl Write, data: &impl Serialize) -> io::Result<()> {
    let mut rest = PAGE;
    while let Some((before, behind)) = rest.split_once("{{") {
        let (name, behind) = behind.split_once("}}").unwrap_or((behind, ""));
        out.write_all(before.as_bytes())?;
        match name {
            "policy" => out.write_all(policy().as_bytes())?,
            "style" => out.write_all(STYLE.as_bytes())?,
            "script" => out.write_all(SCRIPT.as_bytes())?,
            "data" => data.serialize(&mut Serializer::with_formatter(&mut *out, Inert))?,
            _ => return Err(io::Error::other(format!("the page has no {name}"))),
        }
        rest = behind;
    }
    out.write_all(rest.as_bytes())
}

/// Lets run the page's own script and styles, and load nothing.
fn policy() -> String {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; base-uri 'none'; \
         form-action 'none'",
        hash(SCRIPT),
        hash(STYLE)
    )
}

/// JSON that can't end the element that it stands in, nor look like markup at all: of the
/// characters that mean something to HTML, and of those that do more than appear, none is left.
struct Inert;

impl Formatter for Inert {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + Write,
    {
        let mut rest = fragment;
        let is_active = |c: char| matches!(c, '<' | '>' | '&') || is_unsafe(c);
        while let Some(position) = rest.find(is_active) {
            let (plain, tail) = rest.split_at(position);
            writer.write_all(plain.as_bytes())?;
            let mut characters = tail.chars();
            for unit in characters.next().unwrap_or_default().encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_the_element_of_the_data() {
        let hostile = "</script><script>alert(1)</script><!-- &amp; \u{2028}\u{202e}\u{e0041}\x1b";
        let mut page = Vec::new();
        write(&mut page, &hostile).unwrap();
        let page = String::from_utf8(page).unwrap();
        assert_eq!(page.matches("</script>").count(), 2, "the data's own end, and the script's");
        assert!(!page.contains("alert(1)</"));
        let (_, data) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
        let (data, _) = data.split_once("</script>").unwrap();
        assert!(!data.contains(['<', '>', '&']) && !data.chars().any(is_unsafe), "{data}");
        assert_eq!(serde_json::from_str::<String>(data).unwrap(), hostile);
    }

    #[test]
    fn the_page_s_own_text_can_stand_in_its_elements() {
        assert!(!SCRIPT.contains("</script") && !SCRIPT.contains("<!--"));
        assert!(!STYLE.contains("</style"));
        assert!(!SCRIPT.contains("innerHTML") && !SCRIPT.contains("insertAdjacentHTML"));
        assert!(!PAGE.contains("http:") && !PAGE.contains("https:"));
    }

    #[test]
    fn nothing_is_loaded_and_nothing_else_runs() {
        let policy = policy();
        assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }
}
