//! The ports that the doors guard, as far as their commands tell, and who tried them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use knock_engine::config::Door;
use knock_engine::time::Timestamp;

/// Which doors guard a port.
#[derive(Debug)]
pub(crate) struct Guards {
    doors: HashMap<u16, Vec<usize>>,
}

impl Guards {
    pub(crate) fn new(doors: &[Arc<Door>]) -> Self {
        let mut guards: HashMap<u16, Vec<usize>> = HashMap::new();
        for (index, door) in doors.iter().enumerate() {
            for port in guarded_ports(door) {
                guards.entry(port).or_default().push(index);
            }
        }
        Self { doors: guards }
    }

    /// Returns the doors that guard this port, in the order of the config.
    pub(crate) fn of(&self, port: u16) -> &[usize] {
        self.doors.get(&port).map_or(&[], Vec::as_slice)
    }
}

/// The beginning of a connection to a guarded port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Try {
    pub(crate) source: IpAddr,
    pub(crate) port: u16,
    pub(crate) at: Timestamp,
}

/// Who tried the ports behind a door that a source has opened, as far as it explains why somebody
/// did not get in.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    /// The source's lease at the door: since when, and until when.
    lease: Option<(Timestamp, Timestamp)>,
    /// Whether the source itself tried while its lease lasted.
    pub(crate) in_time: bool,
    /// The port that it tried after its lease, and how long after.
    pub(crate) late: Option<(u16, Duration)>,
    pub(crate) foreign: Option<ForeignTry>,
}

/// A try by another source than the one that holds the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ForeignTry {
    pub(crate) source: IpAddr,
    pub(crate) port: u16,
    /// How long after the door had opened.
    pub(crate) after: Duration,
}

impl Tries {
    /// Notes that a lease begins.
    pub(crate) fn open(&mut self, since: Timestamp, until: Timestamp) {
        self.lease = Some((since, until));
    }

    /// Notes that the lease lasts longer.
    pub(crate) fn renew(&mut self, new: Timestamp) {
        if let Some((_, until)) = &mut self.lease {
            *until = new;
        }
    }

    /// Notes a try; `owner` is the source that holds the lease.
    pub(crate) fn note(&mut self, tried: Try, owner: IpAddr, door: &Door) {
        let Some((since, until)) = self.lease else { return };
        let Some(after) = tried.at.checked_duration_since(since) else { return };
        match tried.at.checked_duration_since(until) {
            None if tried.source == owner => self.in_time = true,
            None if !lets_in(door, owner, tried.source) => self.note_foreign(owner, tried, after),
            None => {}
            Some(late) if tried.source == owner => {
                self.late.get_or_insert((tried.port, late));
            }
            Some(_) => {}
        }
    }

    /// Keeps the try that most likely was the same person's: the one from nearest by.
    fn note_foreign(&mut self, owner: IpAddr, tried: Try, after: Duration) {
        let Try { source, port, .. } = tried;
        let nearness = |source: IpAddr| shared_bits(owner, source);
        if self.foreign.is_none_or(|known| nearness(known.source) < nearness(source)) {
            self.foreign = Some(ForeignTry { source, port, after });
        }
    }
}

/// Finds the ports that a start command opens: the numbers behind `--dport`, `dport`, `port` and
/// their like, in the manner of iptables, nft, ufw and firewall-cmd.
fn guarded_ports(door: &Door) -> Vec<u16> {
    let commands =
        [door.commands.start.as_ref(), door.commands.start_v6.as_ref().and_then(Option::as_ref)];
    let mut ports = Vec::new();
    for command in commands.into_iter().flatten() {
        ports.extend(ports_in(command.template()));
    }
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn ports_in(command: &str) -> Vec<u16> {
    const KEYWORDS: [&str; 8] = [
        "--dport",
        "--dports",
        "--destination-port",
        "--destination-ports",
        "dport",
        "port",
        "--port",
        "--add-port",
    ];
    let is_separator = |c: char| c.is_whitespace() || "=\"'{},;".contains(c);
    let mut ports = Vec::new();
    let mut is_behind_keyword = false;
    for word in command.split(is_separator).filter(|word| !word.is_empty()) {
        if KEYWORDS.contains(&word) {
            is_behind_keyword = true;
        } else if is_behind_keyword {
            // `22`, `22/tcp`, `22:tcp`; the first port of a range stands for it.
            let number: String = word.chars().take_while(char::is_ascii_digit).collect();
            match number.parse() {
                Ok(port) => ports.push(port),
                Err(_) => is_behind_keyword = false,
            }
        }
    }
    ports
}

/// Tells whether a door that `owner` opened lets another source in: only where its start command
/// speaks of the network that it grants.
fn lets_in(door: &Door, owner: IpAddr, other: IpAddr) -> bool {
    let start = door.start_command(owner);
    start.is_some_and(|command| command.template().contains("%NET%"))
        && door.grant.network(owner).contains(&other)
}

/// Returns how many leading bits two addresses share; none where their families differ.
fn shared_bits(a: IpAddr, b: IpAddr) -> u32 {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_found_in_the_commands_of_the_usual_firewalls() {
        let cases: [(&str, &[u16]); 9] = [
            ("/sbin/iptables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT", &[22]),
            ("iptables -A INPUT -s %IP% -p tcp --dport=ssh -j ACCEPT", &[]),
            ("iptables -I INPUT -p tcp -m multiport --dports 80,443 -s %IP% -j ACCEPT", &[80, 443]),
            (
                "nft add rule inet filter input ip saddr %IP% tcp dport { 22, 2222 } accept",
                &[22, 2222],
            ),
            ("ufw allow from %IP% to any port 22 proto tcp", &[22]),
            (
                "firewall-cmd --add-rich-rule='rule source address=\"%IP%\" port port=\"22\" protocol=\"tcp\" accept'",
                &[22],
            ),
            ("firewall-cmd --add-port=51820/udp", &[51820]),
            ("nft add element inet filter knockers { %IP% }", &[]),
            ("iptables -I INPUT -p tcp --dport 70000 -j ACCEPT", &[]),
        ];
        for (command, ports) in cases {
            assert_eq!(ports_in(command), ports, "{command}");
        }
    }

    #[test]
    fn addresses_of_one_network_share_more_bits() {
        let ip = |text: &str| -> IpAddr { text.parse().unwrap() };
        assert_eq!(shared_bits(ip("203.0.113.5"), ip("203.0.113.9")), 28);
        assert_eq!(shared_bits(ip("203.0.113.5"), ip("2001:db8::1")), 0);
    }
}
