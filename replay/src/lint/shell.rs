//! A command line in words, as a shell would cut it, with their places.
//!
//! No shell: variables, substitutions and compound commands are not followed. What follows them is
//! taken for commands of its own, which is enough to recognise the programs that open a firewall.

use std::ops::Range;

/// How deep `sh -c` is followed.
const MAX_DEPTH: usize = 3;

/// Programs that run another one, whose words follow.
const GO_BETWEENS: [&str; 9] =
    ["sudo", "doas", "run0", "exec", "env", "nohup", "command", "time", "nice"];

/// Words of the shell that a command follows.
const KEYWORDS: [&str; 9] = ["if", "then", "else", "elif", "while", "until", "do", "!", "{"];

/// A word without its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// Its text, as the program gets it.
    pub(super) text: String,
    /// Where it stands, quotes included.
    pub(super) span: Range<usize>,
}

/// A program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Simple {
    /// The program first; there is at least that.
    pub(super) words: Vec<Word>,
    /// Whether it stands in quotes, behind `sh -c`: its places are those in the inner text.
    pub(super) is_nested: bool,
}

impl Simple {
    /// Returns the program's name, without its folder.
    pub(super) fn program(&self) -> &str {
        let program = self.words[0].text.as_str();
        program.rsplit('/').next().unwrap_or(program)
    }

    /// Returns the arguments.
    pub(super) fn arguments(&self) -> &[Word] {
        &self.words[1..]
    }

    /// Returns where it stands.
    pub(super) fn span(&self) -> Range<usize> {
        let end = self.words.last().map_or(0, |word| word.span.end);
        self.words[0].span.start..end
    }
}

/// Cuts a command line into the programs that it runs, those behind `sh -c` too.
pub(super) fn programs(line: &str) -> Vec<Simple> {
    let mut found = Vec::new();
    cut(line, 0, &mut found);
    found
}

fn cut(line: &str, depth: usize, found: &mut Vec<Simple>) {
    for words in Lexer::new(line).commands() {
        let words = skip_prefix(words);
        if words.is_empty() {
            continue;
        }
        let simple = Simple { words, is_nested: depth > 0 };
        if let Some(inner) = inner_line(&simple)
            && depth < MAX_DEPTH
        {
            cut(inner, depth + 1, found);
        } else {
            found.push(simple);
        }
    }
}

/// Returns what `sh -c` runs.
fn inner_line(simple: &Simple) -> Option<&str> {
    if !["sh", "bash", "dash", "ash", "su"].contains(&simple.program()) {
        return None;
    }
    let at = simple.words.iter().position(|word| word.text == "-c")?;
    simple.words.get(at + 1).map(|word| word.text.as_str())
}

/// Takes away what stands in front of the program: keywords, variables, `sudo` and the like.
fn skip_prefix(words: Vec<Word>) -> Vec<Word> {
    let mut rest = words.into_iter().peekable();
    let mut behind_go_between = false;
    while let Some(word) = rest.peek() {
        let text = word.text.as_str();
        let name = text.rsplit('/').next().unwrap_or(text);
        let takes_value = behind_go_between && matches!(text, "-u" | "-g" | "-n" | "-C");
        let takes_value = takes_value && text != "-n";
        if GO_BETWEENS.contains(&name) {
            behind_go_between = true;
        } else if !(KEYWORDS.contains(&text)
            || is_assignment(text)
            || behind_go_between && text.starts_with('-'))
        {
            break;
        }
        rest.next();
        if takes_value {
            rest.next();
        }
    }
    rest.collect()
}

fn is_assignment(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| {
        let mut letters = name.chars();
        letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
            && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    })
}

/// Cuts a line into commands of words.
struct Lexer<'a> {
    line: &'a str,
    at: usize,
    word: Option<Word>,
    words: Vec<Word>,
    commands: Vec<Vec<Word>>,
    /// Whether the next word is a file that something is redirected to.
    is_redirected: bool,
}

impl<'a> Lexer<'a> {
    fn new(line: &'a str) -> Self {
        Self {
            line,
            at: 0,
            word: None,
            words: Vec::new(),
            commands: Vec::new(),
            is_redirected: false,
        }
    }

    fn commands(mut self) -> Vec<Vec<Word>> {
        while let Some(character) = self.next() {
            match character {
                '\'' => self.quoted('\''),
                '"' => self.quoted('"'),
                '\\' => {
                    if let Some(escaped) = self.next() {
                        self.push(escaped, 1 + escaped.len_utf8());
                    }
                }
                '>' | '<' => self.redirect(),
                ';' | '|' | '&' | '(' | ')' | '`' | '\n' => self.end_command(),
                '$' if self.line[self.at..].starts_with('(') => self.end_command(),
                '#' if self.word.is_none() => break,
                _ if character.is_ascii_whitespace() => self.end_word(),
                _ => self.push(character, character.len_utf8()),
            }
        }
        self.end_command();
        self.commands
    }

    fn next(&mut self) -> Option<char> {
        let character = self.line[self.at..].chars().next()?;
        self.at += character.len_utf8();
        Some(character)
    }

    /// Adds a character, of which the last `length` bytes of what was read are.
    fn push(&mut self, character: char, length: usize) {
        let (start, end) = (self.at - length, self.at);
        let word = self.word.get_or_insert_with(|| Word { text: String::new(), span: start..end });
        word.text.push(character);
        word.span.end = end;
    }

    /// Reads up to the quote that closes.
    fn quoted(&mut self, quote: char) {
        let start = self.at - 1;
        let mut word =
            self.word.take().unwrap_or_else(|| Word { text: String::new(), span: start..start });
        while let Some(character) = self.next() {
            if character == quote {
                break;
            }
            let is_escape = character == '\\' && quote == '"';
            let escaped =
                self.line[self.at..].chars().next().filter(|next| "\"\\$`".contains(*next));
            match (is_escape, escaped) {
                (true, Some(escaped)) => {
                    self.at += escaped.len_utf8();
                    word.text.push(escaped);
                }
                _ => word.text.push(character),
            }
        }
        word.span.end = self.at;
        self.word = Some(word);
    }

    fn redirect(&mut self) {
        // The number of a descriptor belongs to the redirection.
        if self
            .word
            .as_ref()
            .is_some_and(|word| word.text.bytes().all(|byte| byte.is_ascii_digit()))
        {
            self.word = None;
        }
        self.end_word();
        let rest = &self.line[self.at..];
        self.at += rest.len() - rest.trim_start_matches(['>', '<', '&', '|']).len();
        self.is_redirected = true;
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        if !std::mem::take(&mut self.is_redirected) {
            self.words.push(word);
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        self.is_redirected = false;
        if !self.words.is_empty() {
            self.commands.push(std::mem::take(&mut self.words));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(line: &str) -> Vec<Vec<String>> {
        let texts = |simple: Simple| simple.words.into_iter().map(|word| word.text).collect();
        programs(line).into_iter().map(texts).collect()
    }

    #[test]
    fn lines_are_cut_into_programs() {
        let cases: [(&str, &[&[&str]]); 12] = [
            ("iptables -I INPUT", &[&["iptables", "-I", "INPUT"]]),
            ("a b; c && d || e & f", &[&["a", "b"], &["c"], &["d"], &["e"], &["f"]]),
            ("a 'b c' \"d \\\" e\" f\\ g", &[&["a", "b c", "d \" e", "f g"]]),
            ("a > /tmp/x 2>&1 b", &[&["a", "b"]]),
            ("X=1 sudo -n -u root /sbin/x y", &[&["/sbin/x", "y"]]),
            ("if a; then b; fi", &[&["a"], &["b"], &["fi"]]),
            ("sh -c 'a b; c'", &[&["a", "b"], &["c"]]),
            ("a $(b c) d", &[&["a"], &["b", "c"], &["d"]]),
            ("a # b", &[&["a"]]),
            ("", &[]),
            ("'unclosed a", &[&["unclosed a"]]),
            ("x ''", &[&["x", ""]]),
        ];
        for (line, expected) in cases {
            assert_eq!(cut(line), expected, "{line}");
        }
    }

    #[test]
    fn words_know_where_they_stand() {
        let line = "a 'b c' d\\ e";
        let words = &programs(line)[0].words;
        let spans: Vec<_> = words.iter().map(|word| &line[word.span.clone()]).collect();
        assert_eq!(spans, ["a", "'b c'", "d\\ e"]);
    }
}
