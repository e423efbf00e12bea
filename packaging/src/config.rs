//! knockd.conf(5), of which the keys come from the parser's own table.

use clap_mangen::roff::{bold, roman};
use knock_engine::config::{KeyGroup, KeyPage, key_pages};

use crate::File;
use crate::page::Page;

const ABOUT: &str = "config of the port-knocking daemon";

const DESCRIPTION: [&str; 6] = [
    "This file tells `knockd`(1) which doors there are, what opens them, and what is run then. \
     `knock-replay`(1) and `knock`(1) read it too. It takes the files of knockd 0.8 as they are.",
    "A line is empty, a comment, a section's name in brackets, `KEY = VALUE`, or the bare word \
     `UseSyslog`. `#` begins a comment only as the first character of a line that is no blank; \
     behind a value it is part of the value.",
    "`[options]`, in lower case, is the section of options. Every other section is a door, which \
     has what stands between the brackets as its name.",
    "Keys may be written in any case. Where a key comes again in its section, the later line \
     counts; lines of `tcpflags`, `allow`, `deny` and `ignore_ports` add up.",
    "A span of time is a whole number of seconds, or a number with `ms`, `s`, `m` or `h` right \
     behind it; with a unit there may be a fraction. A list has commas between its entries. The \
     text is UTF-8.",
    "The sequences in the file are secrets, and its commands run with the daemon's privileges: \
     nobody else should be able to read or write it. `knockd --check` says what a config means, \
     and what would keep it from working.",
];

const COMMANDS: &str = "In every command `%IP%` is replaced by the source's address, and `%NET%` by \
                        the network around it that `grant` sets.";

const ONE_TIME_FILES: &str = "The file that `one_time_sequences` names has a sequence in each line, \
    written as for `sequence`. Lines that are empty or begin with # are skipped: that is how a used \
    line is marked. The first unused line is the door's sequence; a completed knock uses it up, \
    and when none is left, the door ignores everything. The daemon marks a line by a new file in \
    place of the old one, so the file's folder must be writable for it.";

/// The example of the page, which a test reads.
const EXAMPLE: &str = "\
[options]
UseSyslog

# TCP port 22 for whoever knocks, for new connections within 30 s.
[ssh]
sequence      = 7000,8000:udp,9000
seq_timeout   = 5
start_command = /usr/sbin/iptables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
stop_command  = /usr/sbin/iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
cmd_timeout   = 30s";

/// Makes the page.
pub(crate) fn page() -> File {
    let mut page = Page::new("knockd.conf", "5", ABOUT);
    page.section("DESCRIPTION");
    for (index, paragraph) in DESCRIPTION.iter().enumerate() {
        if index > 0 {
            page.paragraph();
        }
        page.text(paragraph);
    }
    for group in KeyGroup::ALL {
        page.section(&group.heading().replace('`', "").to_uppercase());
        if group == KeyGroup::Does {
            page.text(COMMANDS);
        }
        for key in key_pages().filter(|key| key.group == group) {
            write_key(&mut page, key);
        }
    }
    page.section("ONE-TIME FILES");
    page.text(ONE_TIME_FILES);
    page.section("FILES");
    page.term(vec![bold(knockd::cli::DEFAULT_CONFIG)]);
    page.text("Where the daemon looks for its config.");
    page.section("EXAMPLES");
    page.text("A door for SSH, behind a firewall that lets established connections through:");
    page.code(EXAMPLE.lines());
    page.see_also(&[("knockd", "1"), ("knock", "1"), ("knock-replay", "1")]);
    File { path: "man/man5/knockd.conf.5".into(), text: page.finish() }
}

fn write_key(page: &mut Page, key: &KeyPage) {
    page.term(vec![bold(key.name)]);
    page.text(&plain(key.value));
    page.more_of_term();
    page.text(&format!("Default: {}.", plain(key.default)));
    page.line_break();
    page.inlines(vec![roman("Example: "), bold(key.example)]);
}

/// Leaves out what only the documentation's pages have: the rules' numbers, and links.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(['[', '(']) {
        let (before, from) = rest.split_at(start);
        plain.push_str(before);
        let is_rule = |inside: &str| {
            inside.split(", ").all(|rule| {
                let number = rule.strip_prefix('S').unwrap_or_default();
                !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
            })
        };
        if let Some((inside, behind)) = from[1..].split_once(')')
            && from.starts_with('(')
            && is_rule(inside)
        {
            plain.truncate(plain.trim_end().len());
            rest = behind;
        } else if let Some((title, behind)) = from[1..].split_once("](")
            && let Some((_, behind)) = behind.split_once(')')
        {
            plain.push_str(title);
            rest = behind;
        } else {
            plain.push_str(&from[..1]);
            rest = &from[1..];
        }
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_and_links_are_left_out_and_nothing_else() {
        let cases = [
            ("A file (S12). See below.", "A file. See below."),
            ("Counted (S7, S9). With 0", "Counted. With 0"),
            ("names of [FORMATS.md](FORMATS.md).", "names of FORMATS.md."),
            ("sizes (powers of 1024) here", "sizes (powers of 1024) here"),
            ("behind `[options]`, S8", "behind `[options]`, S8"),
        ];
        for (text, expected) in cases {
            assert_eq!(plain(text), expected);
        }
    }

    #[test]
    fn the_example_is_a_config_without_problems() {
        let parsed = knock_engine::config::parse(EXAMPLE.as_bytes());
        assert_eq!(parsed.diagnostics, []);
        assert_eq!(parsed.config.map(|config| config.doors.len()), Some(1));
    }
}
