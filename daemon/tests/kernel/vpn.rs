//! A VPN, that is a service over UDP, hidden behind a knock, in both families.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use knock_lab::lab::{CLIENT, CLIENT_V6, Lab, OTHER, SERVER, SERVER_V6};
use knock_lab::service::Service;
use knock_lab::{privilege, reach, wait};

use crate::bench::{setup, shared};

/// WireGuard's usual port.
const PORT: u16 = 51820;
const DOOR: &str = "
[vpn]
sequence = 7000:udp,8000,9000:udp
seq_timeout = 15
tcpflags = syn
start_command = iptables -w -I INPUT -s %IP% -p udp --dport 51820 -j ACCEPT
start_command_6 = ip6tables -w -I INPUT -s %IP% -p udp --dport 51820 -j ACCEPT
cmd_timeout = 4
stop_command = iptables -w -D INPUT -s %IP% -p udp --dport 51820 -j ACCEPT
stop_command_6 = ip6tables -w -D INPUT -s %IP% -p udp --dport 51820 -j ACCEPT
";

#[test]
fn a_vpn_opens_to_a_knock_over_ipv4_and_ipv6() {
    privilege::test(|| {
        let _machine = shared();
        let lab = Lab::new()?;
        lab.add_ipv6()?;
        // Neither family says anything by itself: not even that a port is unreachable.
        lab.drop_everything()?;
        lab.server.run("ip6tables -P INPUT DROP")?;
        let _service = Service::udp(&lab.server, PORT)?;
        let setup = setup(&lab)?;
        setup.write_config("", DOOR)?;
        let daemon = setup.start(&lab.server)?;
        for (source, server) in [(CLIENT, SERVER), (CLIENT_V6, SERVER_V6)] {
            tunnel(&lab, source, server)
                .with_context(|| daemon.story())
                .with_context(|| format!("from {source}"))?;
        }
        Ok(())
    });
}

fn tunnel(lab: &Lab, source: IpAddr, server: IpAddr) -> Result<()> {
    let service = SocketAddr::new(server, PORT);
    let short = Duration::from_millis(300);
    let hears = |from| reach::udp(&lab.client, from, service, short);
    ensure!(!hears(source)?, "the service answers before any knock");
    let family = if server.is_ipv6() { "-6" } else { "-4" };
    lab.client.run(&format!("knock {family} -d 100 {server} 7000:udp 8000:tcp 9000:udp"))?;
    wait::until("the service to answer", || hears(source))?;
    if server.is_ipv4() {
        ensure!(!hears(OTHER)?, "the service answers a stranger");
    }
    wait::until("the service to fall silent", || Ok(!hears(source)?))
}
