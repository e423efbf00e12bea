//! As much of the shell's grammar as it takes to know which programs a command runs.

use std::iter::Peekable;
use std::str::Chars;

/// One program with its arguments, as the shell would call it.
pub(super) type Call = Vec<String>;

/// What a command may write to or read from besides its pipes.
const NOWHERE: &str = "/dev/null";

/// Takes a command apart into the programs that it calls.
///
/// Returns `None` where the shell would do more than call programs by name: run what it finds in a
/// variable or in another program's output, open files, define functions. Words such as `if` come
/// back as names of programs, which nobody has.
pub(super) fn calls(command: &str) -> Option<Vec<Call>> {
    // These two hold an address or a network, whatever a stranger does.
    let mut text = command.to_owned();
    for name in ["IP", "NET"] {
        for variable in [format!("${{KNOCK_{name}}}"), format!("$KNOCK_{name}")] {
            text = text.replace(&variable, "address");
        }
    }
    let mut scan = Scan { rest: text.chars().peekable(), calls: Vec::new(), call: Vec::new() };
    scan.run()?;
    Some(scan.calls)
}

struct Scan<'a> {
    rest: Peekable<Chars<'a>>,
    calls: Vec<Call>,
    call: Call,
}

impl Scan<'_> {
    fn run(&mut self) -> Option<()> {
        while let Some(&next) = self.rest.peek() {
            match next {
                ' ' | '\t' => {
                    self.rest.next();
                }
                // A pipe or the background runs both sides, as a sequence does.
                ';' | '\n' | '&' | '|' => {
                    self.rest.next();
                    self.end_call();
                }
                '(' if self.call.is_empty() => {
                    self.rest.next();
                }
                ')' => {
                    self.rest.next();
                    self.end_call();
                }
                '>' | '<' => self.redirection()?,
                // The rest of the line is a comment; not worth understanding.
                '#' => return None,
                _ => {
                    let word = self.word()?;
                    self.call.push(word);
                }
            }
        }
        self.end_call();
        Some(())
    }

    fn end_call(&mut self) {
        if !self.call.is_empty() {
            self.calls.push(std::mem::take(&mut self.call));
        }
    }

    /// Reads a word up to what ends it. Before a redirection, a digit is not a word but says what
    /// is redirected; one that is taken for a word does no harm.
    fn word(&mut self) -> Option<String> {
        let mut word = String::new();
        while let Some(&next) = self.rest.peek() {
            if matches!(next, ' ' | '\t' | '\n' | ';' | '&' | '|' | ')' | '<' | '>') {
                break;
            }
            self.rest.next();
            match next {
                '\\' => word.extend(self.rest.next().filter(|&escaped| escaped != '\n')),
                '\'' => self.quoted(&mut word)?,
                '"' => self.double_quoted(&mut word)?,
                '$' | '`' | '(' => return None,
                _ => word.push(next),
            }
        }
        Some(word)
    }

    fn quoted(&mut self, word: &mut String) -> Option<()> {
        loop {
            match self.rest.next()? {
                '\'' => return Some(()),
                other => word.push(other),
            }
        }
    }

    fn double_quoted(&mut self, word: &mut String) -> Option<()> {
        loop {
            match self.rest.next()? {
                '"' => return Some(()),
                '$' | '`' => return None,
                '\\' => word.push(self.rest.next()?),
                other => word.push(other),
            }
        }
    }

    /// Reads `>/dev/null`, `>>/dev/null`, `</dev/null` or `>&1`; anything else is a file.
    fn redirection(&mut self) -> Option<()> {
        let out = self.rest.next() == Some('>');
        if out && self.rest.next_if_eq(&'&').is_some() {
            return self.rest.next().filter(|number| matches!(number, '1' | '2')).map(|_| ());
        }
        if out {
            self.rest.next_if_eq(&'>');
        }
        while self.rest.next_if_eq(&' ').is_some() {}
        (self.word()? == NOWHERE).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(command: &str) -> String {
        let joined = |calls: Vec<Call>| {
            calls.iter().map(|call| call.join("·")).collect::<Vec<_>>().join(" / ")
        };
        calls(command).map_or_else(|| "?".to_owned(), joined)
    }

    #[test]
    fn what_only_calls_programs_is_taken_apart() {
        for (command, expected) in [
            ("iptables -I INPUT -s %IP% -j ACCEPT", "iptables·-I·INPUT·-s·%IP%·-j·ACCEPT"),
            ("a;b && c||d\ne", "a / b / c / d / e"),
            ("(sleep 10; a) & b | c", "sleep·10 / a / b / c"),
            ("  a\t'b; c' \"d $\"x", "?"),
            ("a 'b; $c `d`' \"e & f\\\" \" g\\;h", "a·b; $c `d`·e & f\" ·g;h"),
            ("nft add element t s { %IP% timeout 5s }", "nft·add·element·t·s·{·%IP%·timeout·5s·}"),
            ("a -s $KNOCK_IP -d \"${KNOCK_NET}\"", "a·-s·address·-d·address"),
            ("a >/dev/null 2>&1 < /dev/null; b 2>> /dev/null", "a·2 / b·2"),
            ("a \\\n b", "a··b"),
            ("", ""),
        ] {
            assert_eq!(shown(command), expected, "{command}");
        }
    }

    #[test]
    fn what_does_more_is_not_understood() {
        for command in [
            "a $(b)",
            "a `b`",
            "a \"$(b)\"",
            "a \"`b`\"",
            "$a",
            "a $KNOCK_DOOR",
            "a > file",
            "a < file",
            "a >> /dev/nul",
            "a >| /dev/null",
            "a <<x\nx",
            "f() { a; }",
            "a 'b",
            "a \"b",
            "a # b",
            "a >&3",
            "a >",
            "${KNOCK_IP:-x}",
            "a $'\\x41'",
            "a <(b)",
            "a >/dev/null$x",
        ] {
            assert_eq!(shown(command), "?", "{command}");
        }
    }
}
