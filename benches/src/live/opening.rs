//! From the last knock to the first accepted connection.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use knock_lab::lab::{Lab, SERVER};
use knock_lab::service::Service;
use knock_lab::storm::KNOCK;
use knock_lab::wire::Wire;
use knock_lab::{reach, storm, wait};

use super::Contender;

/// The client's addresses, each of which knocks once while the doors of the others are open.
const SOURCES: std::ops::RangeInclusive<u8> = 10..=59;
/// Longer than it takes all of them.
const OPEN_S: u32 = 15;
const LIMIT: Duration = Duration::from_secs(5);

/// How long it took: half of the knocks, and all but one in a hundred, took at most this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spans {
    /// The median.
    pub median: Duration,
    /// The 99th percentile.
    pub p99: Duration,
}

/// Measures so many knocks through `sh` and `iptables`, the firewall refusing all others.
///
/// # Errors
///
/// Where the daemon does not start, or a knock does not open.
pub fn measure(contender: &Contender, rounds: usize) -> Result<Spans> {
    let lab = Lab::new()?;
    for rule in [
        "-A INPUT -p tcp -m state --state RELATED,ESTABLISHED -j ACCEPT",
        "-A INPUT -p tcp --dport 22 -j REJECT --reject-with tcp-reset",
        "-A INPUT -j DROP",
    ] {
        lab.server.run(&format!("iptables {rule}"))?;
    }
    let _service = Service::tcp(&lab.server, 22)?;
    let rule = "INPUT -s %IP% -p tcp --dport 22 -j ACCEPT";
    let daemon = contender.start(
        &lab,
        &storm::door(&format!(
            "start_command = iptables -I {rule}\ncmd_timeout = {OPEN_S}\n\
             stop_command = iptables -D {rule}"
        )),
    )?;
    let mut wire = Wire::new(&lab.client)?;
    let mut spans = Vec::new();
    while spans.len() < rounds {
        for last in SOURCES.take(rounds - spans.len()) {
            let source = Ipv4Addr::new(198, 51, 100, last).into();
            spans.push(knock(&lab, &mut wire, source).with_context(|| daemon.story())?);
        }
        wait::within(Duration::from_secs(60), "all doors to close", || {
            Ok(lab.count_rules(|rule| rule.starts_with("-A INPUT -s"))? == 0)
        })
        .with_context(|| daemon.story())?;
    }
    spans.sort_unstable();
    let at = |share: usize| spans[(spans.len() - 1) * share / 100];
    Ok(Spans { median: at(50), p99: at(99) })
}

fn knock(lab: &Lab, wire: &mut Wire, source: IpAddr) -> Result<Duration> {
    let service = SocketAddr::new(SERVER, 22);
    let refused = reach::tcp(&lab.client, source, service, LIMIT)?;
    ensure!(!refused.is_connected(), "the door is open before the knock");
    for port in KNOCK {
        wire.knock(source, SERVER, port)?;
    }
    let knocked = Instant::now();
    while !reach::tcp(&lab.client, source, service, LIMIT)?.is_connected() {
        ensure!(knocked.elapsed() < LIMIT, "a knock of {source} opened nothing");
    }
    Ok(knocked.elapsed())
}
