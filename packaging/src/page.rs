//! A man page on its way: text with roff's escapes, in the few forms that the pages use.

use clap_mangen::roff::{Inline, Roff, bold, roman};

/// What is behind the name in the title of every page.
const SOURCE: &str = concat!("Sesame ", env!("CARGO_PKG_VERSION"));

/// A man page.
#[derive(Debug)]
pub(crate) struct Page {
    title: String,
    body: Roff,
}

impl Page {
    /// Begins a page with its title and its first section.
    pub(crate) fn new(name: &str, section: &str, about: &str) -> Self {
        // The empty one is the date: the same code gives the same page. The renderer leaves out
        // what is empty, so the title is written here.
        let title = format!(
            ".TH \"{}\" \"{section}\" \"\" \"{SOURCE}\" \"Port knocking\"\n",
            name.to_uppercase()
        );
        let mut page = Self { title, body: Roff::new() };
        page.section("NAME");
        page.body.text([roman(format!("{name} - {about}"))]);
        page
    }

    /// Begins a section.
    pub(crate) fn section(&mut self, heading: &str) {
        self.body.control("SH", [heading]);
    }

    /// Begins a part of a section.
    pub(crate) fn part(&mut self, heading: &str) {
        self.body.control("SS", [heading]);
    }

    /// Begins a new paragraph.
    pub(crate) fn paragraph(&mut self) {
        self.body.control("PP", []);
    }

    /// Breaks the line.
    pub(crate) fn line_break(&mut self) {
        self.body.control("br", []);
    }

    /// Writes text, in which what stands in backticks is emphasised.
    pub(crate) fn text(&mut self, text: &str) {
        self.body.text(marked(text));
    }

    /// Writes text of which the pieces have their fonts already.
    pub(crate) fn inlines(&mut self, pieces: Vec<Inline>) {
        self.body.text(pieces);
    }

    /// Begins an entry of a list of terms; its text, and more paragraphs, follow.
    pub(crate) fn term(&mut self, term: Vec<Inline>) {
        self.body.control("TP", []);
        self.body.text(term);
    }

    /// Begins another paragraph of a term.
    pub(crate) fn more_of_term(&mut self) {
        self.body.control("IP", []);
    }

    /// Writes lines as they are.
    pub(crate) fn code<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        self.body.control("PP", []);
        self.body.control("RS", ["4"]);
        self.body.control("nf", []);
        for line in lines {
            self.body.text([roman(line)]);
        }
        self.body.control("fi", []);
        self.body.control("RE", []);
    }

    /// Writes the last section: other pages, each with its number.
    pub(crate) fn see_also(&mut self, pages: &[(&str, &str)]) {
        self.section("SEE ALSO");
        let mut pieces = Vec::new();
        for (index, (name, section)) in pages.iter().enumerate() {
            let comma = if index + 1 == pages.len() { "" } else { ", " };
            pieces.extend([bold(*name), roman(format!("({section}){comma}"))]);
        }
        self.body.text(pieces);
    }

    /// Returns the page as text.
    pub(crate) fn finish(self) -> String {
        self.title + &self.body.render()
    }
}

/// Makes pieces of text in which backticks stand around what is to be typed.
pub(crate) fn marked(text: &str) -> Vec<Inline> {
    let pieces = text.split('`').enumerate().filter(|(_, piece)| !piece.is_empty());
    pieces.map(|(index, piece)| if index % 2 == 0 { roman(piece) } else { bold(piece) }).collect()
}
