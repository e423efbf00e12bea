//! The options of a command line, as a man page has them.

use clap::{Arg, Command};
use clap_mangen::roff::{Inline, bold, italic, roman};

use crate::page::Page;

/// Writes all options and arguments, each group under its heading. Of a command that has none
/// nothing is written.
pub(crate) fn write(page: &mut Page, command: &Command, section: &str) {
    let shown: Vec<&Arg> = command.get_arguments().filter(|arg| !arg.is_hide_set()).collect();
    if shown.is_empty() {
        return;
    }
    page.section(section);
    let mut headings: Vec<Option<&str>> = Vec::new();
    for arg in &shown {
        if !headings.contains(&arg.get_help_heading()) {
            headings.push(arg.get_help_heading());
        }
    }
    for heading in headings {
        if let Some(heading) = heading {
            page.part(heading);
        }
        let mut args: Vec<&Arg> =
            shown.iter().copied().filter(|arg| arg.get_help_heading() == heading).collect();
        args.sort_by_key(|arg| (!arg.is_positional(), arg.get_display_order()));
        for arg in args {
            write_argument(page, arg);
        }
    }
}

fn write_argument(page: &mut Page, arg: &Arg) {
    page.term(term(arg));
    let help = arg.get_long_help().or_else(|| arg.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    let mut is_first = true;
    for paragraph in help.split("\n\n") {
        if !is_first {
            page.more_of_term();
        }
        is_first = false;
        page.text(&paragraph.replace('\n', " "));
    }
    let values = arg.get_possible_values();
    if !arg.is_hide_possible_values_set() && takes_value(arg) && !values.is_empty() {
        let names: Vec<_> = values.iter().map(|value| format!("`{}`", value.get_name())).collect();
        page.more_of_term();
        page.text(&format!("One of {}.", names.join(", ")));
    }
    let defaults = arg.get_default_values();
    if !arg.is_hide_default_value_set() && takes_value(arg) && !defaults.is_empty() {
        let defaults: Vec<_> = defaults.iter().map(|value| value.to_string_lossy()).collect();
        page.more_of_term();
        page.text(&format!("Default: `{}`.", defaults.join(",")));
    }
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|range| range.takes_values())
}

/// Writes `-c, --config FILE`.
fn term(arg: &Arg) -> Vec<Inline> {
    let mut pieces = Vec::new();
    if let Some(short) = arg.get_short() {
        pieces.push(bold(format!("-{short}")));
    }
    if let Some(long) = arg.get_long() {
        if !pieces.is_empty() {
            pieces.push(roman(", "));
        }
        pieces.push(bold(format!("--{long}")));
    }
    if takes_value(arg) {
        let names = arg.get_value_names().unwrap_or_default();
        let names = names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        if !pieces.is_empty() {
            pieces.push(roman(" "));
        }
        pieces.push(italic(names));
        if arg.get_num_args().is_some_and(|range| range.max_values() == usize::MAX) {
            pieces.push(roman("..."));
        }
    }
    pieces
}
