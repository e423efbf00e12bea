//! What the configured commands can need, told from their text.

use super::shell::calls;

/// What the commands can need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Whether some change the firewall, which takes `CAP_NET_ADMIN`, and `CAP_NET_RAW` with the
    /// older iptables.
    pub firewall: bool,
    /// The first command that calls the older iptables for IPv4, which takes more.
    pub legacy_v4: Option<String>,
    /// The same for IPv6.
    pub legacy_v6: Option<String>,
    /// The first command that may need anything, for all we know.
    pub anything: Option<String>,
}

/// How the program is called in the end that a word in a command stands for: the name of a binary,
/// after all symbolic links. `None` where there is no such program, and where it is a script.
pub type Find<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Programs that change the firewall and run no others.
const FIREWALL: [&str; 16] = [
    "iptables",
    "iptables-nft",
    "iptables-legacy",
    "iptables-restore",
    "iptables-nft-restore",
    "iptables-legacy-restore",
    "iptables-save",
    "ip6tables",
    "ip6tables-nft",
    "ip6tables-legacy",
    "ip6tables-restore",
    "ip6tables-nft-restore",
    "ip6tables-legacy-restore",
    "ip6tables-save",
    "nft",
    "ipset",
];

/// What the shell does itself, without any privilege.
const BUILT_IN: [&str; 8] = [":", "true", "false", "echo", "printf", "test", "[", "exit"];

/// Programs that need no privilege and run no others.
const HARMLESS: [&str; 2] = ["sleep", "logger"];

impl Needs {
    /// Tells what commands can need, as they stand in the config or in the ledger.
    #[must_use]
    pub fn of<'a>(commands: impl IntoIterator<Item = &'a str>, find: Find<'_>) -> Self {
        let mut needs = Self::default();
        for command in commands {
            needs.add(command, find);
        }
        needs
    }

    fn add(&mut self, command: &str, find: Find<'_>) {
        let understood =
            calls(command).is_some_and(|calls| calls.iter().all(|call| self.add_call(call, find)));
        if !understood && self.anything.is_none() {
            self.anything = Some(command.to_owned());
        }
        for legacy in [&mut self.legacy_v4, &mut self.legacy_v6] {
            if legacy.as_deref() == Some("") {
                *legacy = Some(command.to_owned());
            }
        }
    }

    /// Adds one call; returns whether it is known what it needs.
    fn add_call(&mut self, call: &[String], find: Find<'_>) -> bool {
        let Some((program, arguments)) = call.split_first() else { return true };
        if BUILT_IN.contains(&program.as_str()) {
            return true;
        }
        let name = program.rsplit('/').next().unwrap_or(program);
        let Some(binary) = find(program) else { return false };
        if HARMLESS.contains(&name) {
            return true;
        }
        if !FIREWALL.contains(&name) {
            return false;
        }
        self.firewall = true;
        let family = match name {
            "nft" | "ipset" => return true,
            _ if name.starts_with("ip6") => &mut self.legacy_v6,
            _ => &mut self.legacy_v4,
        };
        if binary != "xtables-nft-multi" && family.is_none() {
            // The command's text is put there by who has it.
            *family = Some(String::new());
        }
        !arguments.iter().any(|argument| is_more(argument))
    }
}

/// Tells whether an argument of iptables makes it more than a change of the firewall: `--modprobe`
/// names a program to run, and a `bpf` match may load what somebody has pinned.
fn is_more(argument: &str) -> bool {
    let is_modprobe = match argument.strip_prefix("--") {
        // Long options may be shortened.
        Some(long) => long.starts_with("mo"),
        None => argument.starts_with('-') && argument.contains('M'),
    };
    is_modprobe || argument == "bpf"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn debian(word: &str) -> Option<String> {
        let name = match word.rsplit('/').next()? {
            "iptables" | "ip6tables" | "iptables-nft" | "iptables-restore" => "xtables-nft-multi",
            "iptables-legacy" | "ip6tables-legacy" => "xtables-legacy-multi",
            known @ ("nft" | "ipset" | "sleep" | "logger" | "ufw") => known,
            _ => return None,
        };
        Some(name.to_owned())
    }

    fn of(command: &str) -> Needs {
        Needs::of([command], &debian)
    }

    #[test]
    fn firewall_commands_need_the_firewall() {
        for command in [
            "iptables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT",
            "/sbin/iptables -I INPUT -s %IP% -m comment --comment 'by knockd' -j ACCEPT",
            "iptables -C INPUT -s %IP% -j ACCEPT 2>/dev/null || iptables -I INPUT -s %IP% -j ACCEPT",
            "iptables -I INPUT -s %IP% -j ACCEPT; sleep 60; iptables -D INPUT -s %IP% -j ACCEPT",
            "nft add element inet filter open '{ %IP% timeout 30s }'",
            "ipset add open %IP% timeout 30 && logger opened for %IP%",
            "echo '-A INPUT -s %IP% -j ACCEPT' | iptables-restore --noflush",
            "ip6tables -I INPUT -s %IP% -m multiport --dports 22,80 -j ACCEPT",
        ] {
            assert_eq!(of(command), Needs { firewall: true, ..Needs::default() }, "{command}");
        }
    }

    #[test]
    fn what_runs_nothing_of_note_needs_nothing() {
        for command in ["true", "sleep 3; echo %IP%", ":", "test 1 = 1 && [ a = b ] || exit 1"] {
            assert_eq!(of(command), Needs::default(), "{command}");
        }
    }

    #[test]
    fn all_else_may_need_anything() {
        for command in [
            "ufw allow from %IP%",
            "/usr/local/bin/open %IP%",
            "sudo iptables -I INPUT -s %IP% -j ACCEPT",
            "iptables -I INPUT -s $(cat /etc/extra) -j ACCEPT",
            "iptables -L > /tmp/out",
            "iptables --modprobe=/tmp/x -L",
            "iptables --mod /tmp/x -L",
            "iptables -M /tmp/x -L",
            "iptables -nM /tmp/x -L",
            "iptables -I INPUT -m bpf --object-pinned /sys/fs/bpf/x -j ACCEPT",
            "if true; then iptables -L; fi",
            "PATH=/tmp iptables -L",
            "exec iptables -L",
            "iptables-missing -L",
            "ip6tables-nft -L",
        ] {
            assert_eq!(of(command).anything.as_deref(), Some(command), "{command}");
        }
    }

    #[test]
    fn the_older_iptables_is_known_by_its_binary_and_the_first_of_each_kind_is_named() {
        let commands =
            ["true", "iptables-legacy -L", "iptables-legacy -S", "ip6tables-legacy -L", "ufw", "x"];
        let expected = Needs {
            firewall: true,
            legacy_v4: Some("iptables-legacy -L".to_owned()),
            legacy_v6: Some("ip6tables-legacy -L".to_owned()),
            anything: Some("ufw".to_owned()),
        };
        assert_eq!(Needs::of(commands, &debian), expected);
    }
}
