//! The text below a program's help, read back: its headings, lists, paragraphs and examples.

use clap_mangen::roff::bold;

use crate::page::Page;

/// A piece of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// A paragraph.
    Paragraph(String),
    /// A word, and what it means.
    Term(String, String),
    /// Lines to be typed.
    Code(Vec<String>),
}

/// A heading with what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Without its colon.
    pub(crate) heading: String,
    /// What follows.
    pub(crate) blocks: Vec<Block>,
}

/// Reads the text. A line at the left edge is a heading; two blanks before a line make it text,
/// with a second column a term; four make it an example, where no term is before it.
pub(crate) fn read(text: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut is_after_blank = true;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let content = line.trim();
        if content.is_empty() {
            is_after_blank = true;
            continue;
        }
        if indent == 0 {
            let heading = content.trim_end_matches(':').to_owned();
            parts.push(Part { heading, blocks: Vec::new() });
        } else if let Some(part) = parts.last_mut() {
            read_line(&mut part.blocks, indent, line, is_after_blank);
        }
        is_after_blank = indent == 0;
    }
    parts
}

fn read_line(blocks: &mut Vec<Block>, indent: usize, line: &str, is_after_blank: bool) {
    let content = line.trim();
    let columns = content.split_once("  ").filter(|_| indent == 2);
    match (blocks.last_mut(), columns) {
        (_, Some((term, text))) => {
            blocks.push(Block::Term(term.to_owned(), text.trim().to_owned()));
        }
        (Some(Block::Term(_, text)), None) if !is_after_blank && indent > 2 => {
            *text = format!("{text} {content}");
        }
        (Some(Block::Code(lines)), None) if indent >= 4 => {
            if is_after_blank {
                lines.push(String::new());
            }
            lines.push(line[4..].to_owned());
        }
        (_, None) if indent >= 4 => blocks.push(Block::Code(vec![line[4..].to_owned()])),
        (Some(Block::Paragraph(text)), None) if !is_after_blank => {
            *text = format!("{text} {content}");
        }
        _ => blocks.push(Block::Paragraph(content.to_owned())),
    }
}

/// Writes what follows a heading.
pub(crate) fn write(page: &mut Page, blocks: &[Block]) {
    for (index, block) in blocks.iter().enumerate() {
        match block {
            Block::Paragraph(text) => {
                if index > 0 {
                    page.paragraph();
                }
                page.text(text);
            }
            Block::Term(term, text) => {
                page.term(vec![bold(term)]);
                page.text(text);
            }
            Block::Code(lines) => page.code(lines.iter().map(String::as_str)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let text = "\
Examples:
  Knock, and
  wait:
    knock home |
        cat

    true

Exit statuses:
  0  it went
     well
With --check:
  SIGHUP, SIGINT  read
Profiles:
  One.

  Two.";
        let part = |heading: &str, blocks| Part { heading: heading.to_owned(), blocks };
        let paragraph = |text: &str| Block::Paragraph(text.to_owned());
        let term = |word: &str, text: &str| Block::Term(word.to_owned(), text.to_owned());
        let code = ["knock home |", "    cat", "", "true"].map(str::to_owned).to_vec();
        let expected = [
            part("Examples", vec![paragraph("Knock, and wait:"), Block::Code(code)]),
            part("Exit statuses", vec![term("0", "it went well")]),
            part("With --check", vec![term("SIGHUP, SIGINT", "read")]),
            part("Profiles", vec![paragraph("One."), paragraph("Two.")]),
        ];
        assert_eq!(read(text), expected);
    }
}
