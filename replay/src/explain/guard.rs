//! The ports that the doors guard, as far as their commands tell, and who tried them.

use std::net::IpAddr;

use knock_engine::config::Door;
use knock_engine::time::Timestamp;

/// Finds the ports that a start command opens: the numbers behind `--dport`, `dport`, `port` and
/// their like, in the manner of iptables, nft, ufw and firewall-cmd.
pub(super) fn guarded_ports(door: &Door) -> Vec<u16> {
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

/// A try of a guarded port by another source than the one that holds the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ForeignTry {
    pub(super) source: IpAddr,
    pub(super) port: u16,
    pub(super) at: Timestamp,
}

/// Returns how many leading bits two addresses share; none where their families differ.
pub(super) fn shared_bits(a: IpAddr, b: IpAddr) -> u32 {
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
