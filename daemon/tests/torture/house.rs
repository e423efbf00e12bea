//! A house with a door of each firewall, and what is open there.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use knock_lab::daemon::{Daemon, Setup};
use knock_lab::lab::{Lab, SERVER};
use knock_lab::wait;
use knock_lab::wire::{Port, Wire};

use crate::bench::{Tally, setup};

/// How much longer a door may be open, after the daemon is up again.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// How long something is waited for that should be at once. Long runs meet moments in which nothing
/// on the machine gets on, as when others tear down many namespaces.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// How long a knock is waited for before it is done again: longer than a command may run.
const SOME_PATIENCE: Duration = Duration::from_secs(40);

/// A door: with iptables its rules are counted, with nft it is an element of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Door {
    Rule,
    Element,
}

impl Door {
    pub(crate) const BOTH: [Self; 2] = [Self::Rule, Self::Element];

    const fn knock(self) -> [Port; 3] {
        match self {
            Self::Rule => [Port::Tcp(7000), Port::Udp(8000), Port::Tcp(9000)],
            Self::Element => [Port::Tcp(7100), Port::Udp(8100), Port::Tcp(9100)],
        }
    }
}

/// A server with both doors, and whoever knocks there.
pub(crate) struct House {
    pub(crate) lab: Lab,
    pub(crate) setup: Setup,
    pub(crate) wire: Wire,
    /// Every start that ran.
    starts: Tally,
}

impl House {
    /// Makes a house whose doors are open for so long.
    pub(crate) fn new(open: Duration) -> Result<Self> {
        let lab = Lab::new()?;
        lab.server.run("nft add table inet house")?;
        lab.server.run("nft add set inet house open { type ipv4_addr; }")?;
        let (setup, wire) = (setup(&lab)?, Wire::new(&lab.client)?);
        let starts = Tally::new(&lab, "starts")?;
        let house = Self { lab, setup, wire, starts };
        house.setup.write_config("", &house.doors(open))?;
        Ok(house)
    }

    /// Returns the sections of both doors.
    pub(crate) fn doors(&self, open: Duration) -> String {
        let (tally, seconds) = (self.starts.command(), open.as_secs());
        format!(
            "[rule]\nsequence = 7000,8000:udp,9000\nseq_timeout = 10\ntcpflags = syn\n\
             start_command = {tally}; iptables -w -A INPUT -s %IP% -j ACCEPT\n\
             cmd_timeout = {seconds}\n\
             stop_command = iptables -w -D INPUT -s %IP% -j ACCEPT\n\
             [element]\nsequence = 7100,8100:udp,9100\nseq_timeout = 10\ntcpflags = syn\n\
             start_command = {tally}; nft add element inet house open '{{ %IP% }}'\n\
             cmd_timeout = {seconds}\n\
             stop_command = nft delete element inet house open '{{ %IP% }}'\n"
        )
    }

    /// Starts the daemon. A log that has become long goes first: whoever waits reads all of it.
    pub(crate) fn start(&self) -> Result<Daemon> {
        const LONG: u64 = 100_000;
        if std::fs::metadata(&self.setup.log).is_ok_and(|log| log.len() > LONG) {
            std::fs::remove_file(&self.setup.log).context("cannot remove the log")?;
        }
        let mut daemon = self.setup.spawn(&self.lab.server)?;
        let mut is_ready = false;
        wait::within(PATIENCE, "knockd to be ready", || {
            ensure!(daemon.is_running()?, "it ended");
            is_ready |= daemon.notified()?.contains("READY=1");
            Ok(is_ready)
        })
        .with_context(|| daemon.story())?;
        Ok(daemon)
    }

    pub(crate) fn knock(&mut self, door: Door, source: IpAddr) -> Result<()> {
        for port in door.knock() {
            self.wire.knock(source, SERVER, port)?;
        }
        Ok(())
    }

    /// Returns how often each source is let in by each door.
    pub(crate) fn open(&self) -> Result<BTreeMap<(Door, IpAddr), usize>> {
        open(&self.lab)
    }

    pub(crate) fn is_open(&self, door: Door, source: IpAddr) -> Result<bool> {
        Ok(self.open()?.contains_key(&(door, source)))
    }

    pub(crate) fn wait_until_open(&self, daemon: &Daemon, door: Door, who: IpAddr) -> Result<()> {
        wait::until(&format!("{door:?} to open for {who}"), || self.is_open(door, who))
            .with_context(|| daemon.story())
    }

    /// Waits until every door is shut, at most for this long.
    pub(crate) fn wait_until_shut(&self, daemon: &Daemon, limit: Duration) -> Result<()> {
        let mut left = BTreeMap::new();
        wait::within(limit, "every door to close", || {
            left = self.open()?;
            Ok(left.is_empty())
        })
        .with_context(|| format!("{left:?}\n{}", daemon.story()))
    }

    /// Sees to it that no source's door was opened more than once, if each knocked once.
    pub(crate) fn starts_ran_once(&self) -> Result<usize> {
        let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for source in self.starts.sources()? {
            *counts.entry(source).or_default() += 1;
        }
        let twice: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
        ensure!(twice.is_empty(), "they knocked once and were let in more often: {twice:?}");
        Ok(counts.len())
    }

    /// Waits until a start has run for a source. On a busy machine a door may have closed again
    /// before anybody looks.
    pub(crate) fn wait_until_let_in(&self, daemon: &Daemon, source: IpAddr) -> Result<()> {
        wait::within(SOME_PATIENCE, &format!("{source} to be let in"), || {
            Ok(self.starts.count(source)? > 0)
        })
        .with_context(|| daemon.story())
    }

    /// Returns how many starts ran, for whomever.
    pub(crate) fn starts(&self) -> Result<usize> {
        Ok(self.starts.sources()?.len())
    }
}

/// Returns how often each source is let in by each door of a house.
pub(crate) fn open(lab: &Lab) -> Result<BTreeMap<(Door, IpAddr), usize>> {
    let mut found: BTreeMap<_, usize> = BTreeMap::new();
    for rule in lab.server.look("iptables -w -S INPUT")?.lines() {
        let Some(source) = rule.strip_prefix("-A INPUT -s ") else { continue };
        let (source, _) = source.split_once('/').context("a rule names a network")?;
        *found.entry((Door::Rule, source.parse()?)).or_default() += 1;
    }
    let set = lab.server.look("nft list set inet house open")?;
    if let Some((_, elements)) = set.split_once("elements = {") {
        let (elements, _) = elements.split_once('}').context("a list ends")?;
        for source in elements.split(',') {
            let source = source.trim().parse().with_context(|| format!("odd element {source}"))?;
            *found.entry((Door::Element, source)).or_default() += 1;
        }
    }
    Ok(found)
}

/// Returns a source for a door in a round; it is another one for each.
pub(crate) fn source(round: usize, host: u8) -> Result<IpAddr> {
    let [high, low] = u16::try_from(round).context("too many rounds")?.to_be_bytes();
    Ok(Ipv4Addr::new(10, high, low, host).into())
}

/// Sends packets that concern no door and packets that disturb attempts, so many a second, until
/// it is told to stop.
pub(crate) fn make_noise(mut wire: Wire, rate: u32, is_over: impl Fn() -> bool) -> Result<u64> {
    const PORTS: [Port; 4] = [Port::Tcp(7000), Port::Tcp(4242), Port::Udp(8000), Port::Tcp(22)];
    let mut frames = Vec::new();
    for number in 0..4_000_u16 {
        let [high, low] = number.to_be_bytes();
        let source = Ipv4Addr::new(11, 0, high, low).into();
        frames.push(wire.fresh(source, SERVER, PORTS[usize::from(low % 4)]).frame()?);
    }
    let start = Instant::now();
    let mut sent = 0;
    for frame in frames.iter().cycle() {
        while u128::from(sent) >= u128::from(rate) * start.elapsed().as_micros() / 1_000_000 {
            if is_over() {
                return Ok(sent);
            }
            wait::pace(Instant::now() + Duration::from_millis(1));
        }
        if is_over() {
            break;
        }
        wire.send_frame(frame)?;
        sent += 1;
    }
    Ok(sent)
}
