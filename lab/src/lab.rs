//! The usual pair: a server that knockd guards, and a client with several addresses.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use tempfile::TempDir;

use crate::namespace::Namespace;

/// The server's address.
pub const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// The server's address in IPv6.
pub const SERVER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
/// The client's first address, which its programs use unless told otherwise.
pub const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
/// The client's second address: another source.
pub const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 8));
/// The client's address in IPv6.
pub const CLIENT_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 7));
/// The hardware address of the server's `eth0`.
pub const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The hardware address of the client's `eth0`.
pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];

/// A server and a client, joined by a cable between their interfaces `eth0`.
///
/// Every forged source is reached over the client, and neither side ever asks for the other's
/// hardware address: what is on the wire is what somebody sent.
#[derive(Debug)]
pub struct Lab {
    /// Where knockd runs.
    pub server: Namespace,
    /// Where knocks come from.
    pub client: Namespace,
    folder: TempDir,
}

impl Lab {
    /// Makes the pair, with IPv4.
    ///
    /// # Errors
    ///
    /// Where a namespace can't be made or set up.
    pub fn new() -> Result<Self> {
        let lab = Self {
            server: Namespace::new()?,
            client: Namespace::new()?,
            folder: TempDir::with_prefix("knock-lab-")?,
        };
        // A refusal is sent as often as it is due, or a client would wait a second for the next.
        lab.server.sysctl("net.ipv4.icmp_ratelimit", "0")?;
        // One limit for all until Linux 6.12, which a namespace can't change.
        for limit in ["icmp_msgs_per_sec", "icmp_msgs_burst"] {
            lab.server.try_run(&format!("sysctl -qw net.ipv4.{limit}=1000000"))?;
        }
        lab.plug_in("eth0")?;
        Ok(lab)
    }

    /// Makes the cable and all addresses and routes that hang on it, the server's end under this
    /// name.
    ///
    /// # Errors
    ///
    /// Where it is there already, or `ip` fails.
    pub fn plug_in(&self, interface: &str) -> Result<()> {
        let (server, client) = (&self.server, &self.client);
        server.run(&format!(
            "ip link add name {interface} address {} type veth peer name eth0 address {} netns {}",
            mac(SERVER_MAC),
            mac(CLIENT_MAC),
            client.holder(),
        ))?;
        self.number(interface, SERVER)?;
        let mut lines = String::new();
        for last in 7..=99 {
            writeln!(lines, "address add 198.51.100.{last}/24 dev eth0")?;
        }
        let server_mac = mac(SERVER_MAC);
        writeln!(lines, "link set eth0 up")?;
        writeln!(lines, "neighbour replace {SERVER} lladdr {server_mac} dev eth0 nud permanent")?;
        writeln!(lines, "route replace 192.0.2.0/24 dev eth0 src {CLIENT}")?;
        client.ip(&lines)
    }

    /// Sets the server's interface up, with an address and the routes to all clients.
    ///
    /// # Errors
    ///
    /// Where `ip` fails.
    pub fn number(&self, interface: &str, address: IpAddr) -> Result<()> {
        let mut lines = String::new();
        let client_mac = mac(CLIENT_MAC);
        writeln!(lines, "address replace {address}/24 dev {interface}")?;
        writeln!(lines, "link set {interface} up")?;
        writeln!(
            lines,
            "neighbour replace {CLIENT} lladdr {client_mac} dev {interface} nud permanent"
        )?;
        writeln!(lines, "route replace {CLIENT}/32 dev {interface}")?;
        for network in ["198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15"] {
            writeln!(lines, "route replace {network} via {CLIENT} dev {interface}")?;
        }
        self.server.ip(&lines)
    }

    /// Gives both ends their IPv6 addresses, and nothing that would speak by itself.
    ///
    /// # Errors
    ///
    /// Where `ip` or `sysctl` fails.
    pub fn add_ipv6(&self) -> Result<()> {
        let ends = [
            (&self.server, SERVER_V6, CLIENT_V6, CLIENT_MAC, "2001:db8:7::/64"),
            (&self.client, CLIENT_V6, SERVER_V6, SERVER_MAC, "2001:db8::/64"),
        ];
        for (namespace, own, peer, peer_mac, network) in ends {
            namespace.sysctl("net.ipv6.conf.eth0.addr_gen_mode", "1")?;
            namespace.sysctl("net.ipv6.conf.eth0.disable_ipv6", "0")?;
            namespace.run(&format!("ip address add {own}/64 dev eth0 nodad"))?;
            namespace.run(&format!("ip route add {network} dev eth0"))?;
            namespace.run(&format!(
                "ip neighbour replace {peer} lladdr {} dev eth0 nud permanent",
                mac(peer_mac)
            ))?;
        }
        Ok(())
    }

    /// Lets the firewall drop whatever knockd has not opened, as quietly as can be.
    ///
    /// # Errors
    ///
    /// Where `iptables` fails.
    pub fn drop_everything(&self) -> Result<()> {
        self.server.run("iptables -P INPUT DROP").map(drop)
    }

    /// Returns the folder for the files of this test.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Returns how often a rule stands in the server's chain INPUT, as `iptables -S` writes it.
    ///
    /// # Errors
    ///
    /// Where `iptables` fails.
    pub fn count_rules(&self, wanted: impl Fn(&str) -> bool) -> Result<usize> {
        let rules = self.server.run("iptables -w -S INPUT")?;
        Ok(rules.lines().filter(|rule| wanted(rule)).count())
    }
}

fn mac(address: [u8; 6]) -> String {
    address.map(|byte| format!("{byte:02x}")).join(":")
}
