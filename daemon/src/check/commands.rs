//! Whether the doors' commands can be run.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use knock_engine::config::{Command, Door};

use super::system::{Access, Kind, Privilege, System};
use super::{Findings, MORE_CAPABILITIES};

/// What firewall programs are that need no root: one that talks to the kernel by netlink only.
const NETLINK_FIREWALLS: [&str; 5] =
    ["nft", "xtables-nft-multi", "iptables-nft", "ip6tables-nft", "ipset"];

/// Programs that run others as somebody else.
const GO_BETWEENS: [&str; 4] = ["sudo", "doas", "run0", "pkexec"];

/// Words that a shell takes for part of its own language, so that no program is run by them.
const SHELL_WORDS: [&str; 42] = [
    "!", "(", ".", ":", "[", "[[", "alias", "bg", "break", "case", "cd", "command", "continue",
    "echo", "eval", "exit", "export", "false", "fg", "for", "function", "if", "jobs", "kill",
    "let", "local", "printf", "pwd", "read", "return", "set", "shift", "test", "times", "trap",
    "true", "ulimit", "umask", "unset", "until", "wait", "while",
];

/// A program of some commands, and where it is named.
struct Use<'a> {
    program: &'a str,
    /// `door ssh: start_command`.
    first: String,
    /// In how many commands besides.
    more: usize,
}

/// Looks at the first program of every command. What follows it is the shell's business.
pub(super) fn check(
    doors: &[impl AsRef<Door>],
    command_path: &str,
    system: &impl System,
    findings: &mut Findings,
) {
    let mut uses: Vec<Use<'_>> = Vec::new();
    let mut found: HashMap<&str, usize> = HashMap::new();
    for door in doors.iter().map(AsRef::as_ref) {
        for (key, command) in commands(door) {
            let Some(program) = first_program(command.template()) else { continue };
            if let Some(index) = found.get(program) {
                uses[*index].more += 1;
            } else {
                found.insert(program, uses.len());
                uses.push(Use { program, first: format!("door {}: {key}", door.name), more: 0 });
            }
        }
    }
    for Use { program, first, more } in uses {
        let place = match more {
            0 => first,
            1 => format!("{first} and another command"),
            more => format!("{first} and {more} other commands"),
        };
        check_program(program, &place, command_path, system, findings);
    }
}

/// Returns a door's commands, each with its key.
pub(super) fn commands(door: &Door) -> impl Iterator<Item = (&'static str, &Command)> {
    let commands = &door.commands;
    let plain = [
        ("start_command", commands.start.as_ref()),
        ("stop_command", commands.stop.as_ref()),
        ("check_command", commands.check.as_ref()),
    ];
    let v6 = [
        ("start_command_6", &commands.start_v6),
        ("stop_command_6", &commands.stop_v6),
        ("check_command_6", &commands.check_v6),
    ];
    let v6 = v6.map(|(key, command)| (key, command.as_ref().and_then(Option::as_ref)));
    plain.into_iter().chain(v6).filter_map(|(key, command)| Some((key, command?)))
}

/// Returns the program that a shell would run first; `None` where only a shell could tell.
fn first_program(command: &str) -> Option<&str> {
    for word in command.split_ascii_whitespace() {
        let word = match word.split_once([';', '|', '&', '<', '>']) {
            Some(("", _)) => return None,
            Some((word, _)) => word,
            None => word,
        };
        let unquoted = ['"', '\'']
            .iter()
            .find_map(|quote| word.strip_prefix(*quote).and_then(|word| word.strip_suffix(*quote)));
        let word = unquoted.unwrap_or(word);
        let is_plain = |letter: char| !"\"'`\\$(){}*?~#%".contains(letter);
        match word.split_once('=') {
            // A variable for the command; its value may be of any kind but in pieces.
            Some((name, value)) if is_name(name) && !value.contains(['"', '\'', '`', '(']) => {}
            _ if word == "exec" => {}
            _ if SHELL_WORDS.contains(&word) || !word.chars().all(is_plain) => return None,
            _ => return Some(word),
        }
    }
    None
}

fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

fn check_program(
    program: &str,
    place: &str,
    command_path: &str,
    system: &impl System,
    findings: &mut Findings,
) {
    match look_up(program, command_path, system) {
        Ok(path) => check_privileges(program, &path, place, system, findings),
        Err(why) => findings.error(format!("{place}: {why}")),
    }
}

/// Finds a program, as the shell will.
pub(super) fn look_up(
    program: &str,
    command_path: &str,
    system: &impl System,
) -> Result<PathBuf, String> {
    let candidates: Vec<PathBuf> = match program.contains('/') {
        // Commands run in this folder.
        true => vec![Path::new("/").join(program)],
        false => command_path.split(':').map(|folder| Path::new(folder).join(program)).collect(),
    };
    let mut unusable = None;
    for candidate in candidates {
        match system.find(&candidate) {
            Ok(found) if found.kind != Kind::File => {
                unusable.get_or_insert(format!("{} is no file", candidate.display()));
            }
            Ok(_) => match system.access(&candidate, Access::Execute) {
                Ok(()) => return Ok(candidate),
                Err(error) => {
                    let (path, why) = (candidate.display(), super::reason(&error));
                    unusable.get_or_insert(format!("{path} can't be run: {why}"));
                }
            },
            Err(error) if program.contains('/') => {
                let (path, why) = (candidate.display(), super::reason(&error));
                unusable.get_or_insert(format!("{path} can't be run: {why}"));
            }
            Err(_) => {}
        }
    }
    Err(unusable.unwrap_or_else(|| {
        format!(
            "there is no program {program} in {command_path}, where commands look for it; install \
             it, or write its whole path"
        )
    }))
}

fn check_privileges(
    program: &str,
    path: &Path,
    place: &str,
    system: &impl System,
    findings: &mut Findings,
) {
    let file_name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let real = system.resolve(path).ok().and_then(|path| file_name(&path)).unwrap_or_default();
    let name = file_name(path).unwrap_or_default();
    if NETLINK_FIREWALLS.contains(&&*real) {
        if !system.has(Privilege::NetAdmin) {
            let net_admin = Privilege::NetAdmin.name();
            findings.error(format!(
                "{place}: {program} needs {net_admin}, which is missing; {MORE_CAPABILITIES}"
            ));
        }
    } else if system.user() != 0 && !GO_BETWEENS.contains(&&*name) {
        let hint = if real.starts_with("xtables-legacy") {
            "iptables-nft, ip6tables-nft and nft do with CAP_NET_ADMIN"
        } else {
            "run knockd as root if it does"
        };
        findings.warn(format!(
            "{place}: {program} usually needs root, and knockd runs as user {}; {hint}",
            system.user()
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_program_is_found_where_it_is_plain() {
        let cases = [
            ("iptables -I INPUT -s %IP% -j ACCEPT", Some("iptables")),
            ("/usr/sbin/iptables -I INPUT", Some("/usr/sbin/iptables")),
            ("\"/usr/sbin/iptables\" -I INPUT", Some("/usr/sbin/iptables")),
            ("LANG=C IP=%IP% exec nft -f -", Some("nft")),
            ("nft add x;nft add y", Some("nft")),
            ("logger&", Some("logger")),
            ("echo %IP% > /tmp/x", None),
            ("[ -e /x ] && iptables", None),
            ("if true; then iptables; fi", None),
            ("$CMD %IP%", None),
            ("/opt/%IP%/run", None),
            ("\"two words\" x", None),
            ("X=\"a b\" iptables", None),
            ("(iptables -I INPUT)", None),
            ("> /tmp/x iptables", None),
            ("A=1", None),
            ("~/bin/open", None),
        ];
        for (command, program) in cases {
            assert_eq!(first_program(command), program, "{command}");
        }
    }
}
