//! Comments that keep a finding: `# lint: allow CODE`.
//!
//! A comment belongs to the next line that is neither empty nor a comment. If that is a section's
//! header, it allows the code in the whole section; if it is a key, in that line. Codes about a
//! whole file are allowed by a comment anywhere in the config.

use std::collections::BTreeMap;
use std::ops::Range;

use knock_engine::config::EntryKind;

use super::code::Code;
use super::subject::{Finding, Subject, short_name};

/// A code named in a comment.
struct Allow {
    /// The bytes of its name.
    span: Range<usize>,
    name: String,
    is_used: bool,
}

/// What an allowed code applies to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    File,
    /// The section whose header begins at this byte.
    Section(usize),
    /// The line whose text begins at this byte.
    Line(usize),
}

/// All comments that allow something.
struct Allows {
    all: Vec<Allow>,
    /// The first that allows a code there.
    by_scope: BTreeMap<(Scope, Code), usize>,
    /// Where headers begin.
    sections: Vec<usize>,
    /// Where settings and headers begin.
    lines: Vec<usize>,
}

/// Takes the findings that a comment allows out, and adds one for each comment that allows
/// nothing. Returns how many were taken out.
pub(super) fn apply(subject: &Subject<'_>, findings: &mut Vec<Finding>) -> usize {
    let mut allows = Allows::read(subject);
    let before = findings.len();
    findings.retain(|finding| !allows.allow(finding));
    let allowed = before - findings.len();
    findings.extend(allows.all.into_iter().filter(|allow| !allow.is_used).map(unused));
    allowed
}

impl Allows {
    fn read(subject: &Subject<'_>) -> Self {
        let mut allows = Self {
            all: Vec::new(),
            by_scope: BTreeMap::new(),
            sections: Vec::new(),
            lines: Vec::new(),
        };
        let mut waiting: Vec<(Code, usize)> = Vec::new();
        for entry in &subject.entries {
            let start = entry.span.start;
            match entry.kind {
                EntryKind::Comment => {
                    allows.read_comment(&subject.files[0].text, &entry.span, &mut waiting);
                    continue;
                }
                EntryKind::Options | EntryKind::Door => {
                    allows.sections.push(start);
                    allows.attach(&mut waiting, Scope::Section(start));
                }
                EntryKind::Setting { .. } | EntryKind::Unknown => {
                    allows.attach(&mut waiting, Scope::Line(start));
                }
            }
            allows.lines.push(start);
        }
        allows
    }

    fn read_comment(&mut self, text: &[u8], span: &Range<usize>, waiting: &mut Vec<(Code, usize)>) {
        let comment = &text[span.clone()];
        let Some(list) = codes(comment) else { return };
        let base = span.start + comment.len() - list.len();
        for (offset, word) in words(list) {
            let index = self.all.len();
            let start = base + offset;
            let name = String::from_utf8_lossy(word).into_owned();
            match Code::find(&name) {
                Some(code) if code.is_of_file() => {
                    self.by_scope.entry((Scope::File, code)).or_insert(index);
                }
                Some(code) => waiting.push((code, index)),
                None => {}
            }
            self.all.push(Allow { span: start..start + word.len(), name, is_used: false });
        }
    }

    fn attach(&mut self, waiting: &mut Vec<(Code, usize)>, scope: Scope) {
        for (code, index) in waiting.drain(..) {
            self.by_scope.entry((scope, code)).or_insert(index);
        }
    }

    /// Tells whether a comment allows the finding, and notes that it does.
    fn allow(&mut self, finding: &Finding) -> bool {
        let last_up_to = |starts: &[usize]| {
            let count = starts.partition_point(|&start| start <= finding.anchor.start);
            count.checked_sub(1).map(|index| starts[index])
        };
        let scopes = [
            finding.code.is_of_file().then_some(Scope::File),
            last_up_to(&self.lines).map(Scope::Line),
            last_up_to(&self.sections).map(Scope::Section),
        ];
        let mut scopes = scopes.into_iter().flatten();
        let index = scopes.find_map(|scope| self.by_scope.get(&(scope, finding.code)));
        let Some(&index) = index else { return false };
        self.all[index].is_used = true;
        true
    }
}

/// Returns what stands behind `# lint: allow`; blanks may be left out or added.
fn codes(comment: &[u8]) -> Option<&[u8]> {
    let rest = comment.trim_ascii_start().strip_prefix(b"#")?.trim_ascii_start();
    let rest = rest.strip_prefix(b"lint:")?.trim_ascii_start().strip_prefix(b"allow")?;
    rest.first().is_some_and(|byte| byte.is_ascii_whitespace()).then_some(rest)
}

/// Returns the words of a list with commas or blanks, each with its place. A list ends where a
/// word in brackets or behind a dash begins: the reason why.
fn words(list: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let end = list.iter().position(|byte| b"(:".contains(byte)).unwrap_or(list.len());
    let is_separator = |byte: &u8| byte.is_ascii_whitespace() || *byte == b',';
    let mut offset = 0;
    let pieces = list[..end].split(is_separator).map(move |word| {
        let start = offset;
        offset += word.len() + 1;
        (start, word)
    });
    pieces.filter(|(_, word)| !word.is_empty())
}

fn unused(allow: Allow) -> Finding {
    let name = short_name(&allow.name);
    let (reason, remedy) = match Code::find(&allow.name) {
        Some(_) => (
            format!("this comment allows {name}, but there is no such finding in what follows"),
            "take it away, or put it right above the key or the section that has the finding"
                .to_owned(),
        ),
        None => (
            format!("this comment allows {name}, but no finding has that name"),
            "the names stand in brackets behind the findings, and in docs/LINT.md; a reason \
             stands in brackets: # lint: allow CODE (why)"
                .to_owned(),
        ),
    };
    Finding::new(Code::UnusedAllow, allow.span, reason, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(comment: &str) -> Option<Vec<&str>> {
        let list = codes(comment.as_bytes())?;
        Some(words(list).map(|(_, word)| std::str::from_utf8(word).unwrap()).collect())
    }

    #[test]
    fn comments_name_codes() {
        assert_eq!(read("# lint: allow a"), Some(vec!["a"]));
        assert_eq!(read("#lint:allow a, b c"), Some(vec!["a", "b", "c"]));
        assert_eq!(read("# lint: allow a (because of x)"), Some(vec!["a"]));
        assert_eq!(read("# lint: allowed a"), None);
        assert_eq!(read("# lint: a"), None);
        assert_eq!(read("# a comment"), None);
    }
}
