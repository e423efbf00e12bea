//! The man pages of the programs.

use clap::{Command, CommandFactory as _};
use clap_mangen::roff::bold;
use knock_engine::config::Options;

use crate::page::Page;
use crate::{File, help, options};

/// Returns the command lines of all programs.
pub(crate) fn commands() -> [Command; 3] {
    [knock::cli::command(), knockd::cli::Cli::command(), knock_replay::cli::Cli::command()]
}

/// What a page has that the program does not print.
struct Rest {
    files: Vec<(&'static str, String)>,
    see_also: &'static [(&'static str, &'static str)],
}

/// Makes the pages.
pub(crate) fn pages() -> anyhow::Result<Vec<File>> {
    let rests = [client(), daemon(), replay()];
    commands().into_iter().zip(rests).map(|(command, rest)| page(command, &rest)).collect()
}

fn client() -> Rest {
    Rest {
        files: vec![(
            "~/.config/knock/config.toml",
            "The profiles; below `$XDG_CONFIG_HOME` where that is set.".to_owned(),
        )],
        see_also: &[("knockd", "1"), ("knockd.conf", "5"), ("knock-replay", "1"), ("ssh", "1")],
    }
}

fn daemon() -> Rest {
    let config =
        format!("The config, unless `--config` names another; see `{}`(5).", "knockd.conf");
    let state = "The ledger of open doors (`StateDir` in the config). With it the next start, or \
                 `--close-all`, closes what a daemon that was killed left open.";
    let pid_file = "The number of the process, with `-d` (`PidFile` in the config, or `-p`).";
    let defaults = "Read by the service's units (`KNOCKD_OPTS`) and by its init script \
                    (`KNOCKD_OPTS` and `START_KNOCKD`), and not by the program.";
    Rest {
        files: vec![
            (knockd::cli::DEFAULT_CONFIG, config),
            (Options::DEFAULT_STATE_DIR, state.to_owned()),
            (knockd::settings::DEFAULT_PID_FILE, pid_file.to_owned()),
            ("/etc/default/knockd", defaults.to_owned()),
        ],
        see_also: &[
            ("knockd.conf", "5"),
            ("knock", "1"),
            ("knock-replay", "1"),
            ("systemctl", "1"),
            ("nft", "8"),
            ("iptables", "8"),
        ],
    }
}

fn replay() -> Rest {
    Rest {
        files: Vec::new(),
        see_also: &[("knockd", "1"), ("knockd.conf", "5"), ("knock", "1"), ("tcpdump", "8")],
    }
}

fn page(mut command: Command, rest: &Rest) -> anyhow::Result<File> {
    command.build();
    let name = command.get_name().to_owned();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut page = Page::new(&name, "1", &about);
    write_synopsis(&mut page, &command);
    page.section("DESCRIPTION");
    write_description(&mut page, &command);
    options::write(&mut page, &command, "OPTIONS");
    let subcommands: Vec<_> = shown_subcommands(&command).collect();
    for subcommand in &subcommands {
        write_subcommand(&mut page, subcommand);
    }
    let parts = parts(&command, &subcommands);
    write_parts(&mut page, &parts, &rest.files)?;
    page.see_also(rest.see_also);
    Ok(File { path: format!("man/man1/{name}.1").into(), text: page.finish() })
}

/// A part of the text below the help, and the subcommands that end in it; none where the program
/// itself is all that does.
struct Owned {
    part: help::Part,
    owners: Vec<String>,
}

/// Returns the parts of all texts, each once.
fn parts(program: &Command, subcommands: &[&Command]) -> Vec<Owned> {
    let mut parts: Vec<Owned> = Vec::new();
    for &command in subcommands.iter().chain([&program]) {
        let owner =
            (command.get_name() != program.get_name()).then(|| command.get_name().to_owned());
        let text = command.get_after_long_help().or_else(|| command.get_after_help());
        for part in text.map(|text| help::read(&text.to_string())).unwrap_or_default() {
            match parts.iter_mut().find(|owned| owned.part == part) {
                Some(owned) => owned.owners.extend(owner.clone()),
                None => parts.push(Owned { part, owners: owner.iter().cloned().collect() }),
            }
        }
    }
    parts
}

fn shown_subcommands(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|its| !its.is_hide_set() && its.get_name() != "help")
}

/// Writes how the program is called, or each of its subcommands.
fn write_synopsis(page: &mut Page, command: &Command) {
    page.section("SYNOPSIS");
    let subcommands: Vec<_> = shown_subcommands(command).collect();
    let callable = if subcommands.is_empty() { vec![command] } else { subcommands };
    for (index, callable) in callable.into_iter().enumerate() {
        let usage = callable.clone().render_usage().to_string();
        let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage);
        for (line, usage) in usage.lines().map(str::trim).enumerate() {
            if index + line > 0 {
                page.line_break();
            }
            let name = callable.get_bin_name().unwrap_or_else(|| callable.get_name());
            match usage.strip_prefix(name) {
                Some(arguments) => page.text(&format!("`{name}`{arguments}")),
                None => page.text(usage),
            }
        }
    }
}

fn write_description(page: &mut Page, command: &Command) {
    let text = command.get_long_about().or_else(|| command.get_about());
    let text = text.map(ToString::to_string).unwrap_or_default();
    for (index, paragraph) in text.split("\n\n").enumerate() {
        if index > 0 {
            page.paragraph();
        }
        page.text(&paragraph.replace('\n', " "));
    }
}

fn write_subcommand(page: &mut Page, command: &Command) {
    let name = command.get_name().to_uppercase();
    page.section(&name);
    write_description(page, command);
    options::write(page, command, &format!("OPTIONS OF {name}"));
}

/// The sections that are made of what the help ends with, and its headings for them.
const SECTIONS: [(&str, &[&str]); 4] = [
    ("EXIT STATUS", &["Exit statuses", "Exit codes"]),
    ("SIGNALS", &["Signals"]),
    ("PROFILES", &["Profiles"]),
    ("EXAMPLES", &["Examples"]),
];

/// Returns the section that a part begins.
fn section_of(owned: &Owned) -> Option<usize> {
    SECTIONS.iter().position(|(_, headings)| headings.contains(&&*owned.part.heading))
}

/// Writes the sections, in the order that man pages have, and the files among them. A heading that
/// has no section of its own belongs to the one before it.
fn write_parts(
    page: &mut Page,
    parts: &[Owned],
    files: &[(&'static str, String)],
) -> anyhow::Result<()> {
    if let Some(first) = parts.first() {
        anyhow::ensure!(section_of(first).is_some(), "no section for {:?}", first.part.heading);
    }
    for (index, (title, _)) in SECTIONS.iter().enumerate() {
        if *title == "EXAMPLES" && !files.is_empty() {
            page.section("FILES");
            for (path, text) in files {
                page.term(vec![bold(*path)]);
                page.text(text);
            }
        }
        write_section(page, index, title, parts);
    }
    Ok(())
}

fn write_section(page: &mut Page, index: usize, title: &str, parts: &[Owned]) {
    let begun = parts.iter().filter(|owned| section_of(owned) == Some(index)).count();
    let mut section = None;
    let mut is_begun = false;
    for owned in parts {
        let own = section_of(owned);
        section = own.or(section);
        if section != Some(index) {
            continue;
        }
        if !is_begun {
            page.section(title);
        }
        let introduction = match own {
            None => Some(format!("{}:", owned.part.heading)),
            // Each subcommand may have its own.
            Some(_) if begun > 1 && !owned.owners.is_empty() => {
                Some(format!("With `{}`:", owned.owners.join("`, `")))
            }
            Some(_) => None,
        };
        if let Some(introduction) = introduction {
            if is_begun {
                page.paragraph();
            }
            page.text(&introduction);
            if matches!(owned.part.blocks.first(), Some(help::Block::Paragraph(_))) {
                page.paragraph();
            }
        }
        is_begun = true;
        help::write(page, &owned.part.blocks);
    }
}
