//! Shows a knock live: a server with everything shut, a client, and the daemon's log.
//!
//! `demo KNOCKD CONFIG`. Exits with 3, and says why, where network namespaces are not allowed.

use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result, bail, ensure};
use knock_lab::daemon::{Daemon, Setup};
use knock_lab::lab::{CLIENT, Lab, OTHER, SERVER};
use knock_lab::privilege::{self, Privilege};
use knock_lab::reach::{self, Reached};
use knock_lab::service::Service;
use knock_lab::wait;

/// There are no namespaces to be had.
const NOT_HERE: u8 = 3;
const LIMIT: Duration = Duration::from_secs(2);
const FIREWALL: [&str; 3] = [
    "iptables -I INPUT -p tcp -m state --state RELATED,ESTABLISHED -j ACCEPT",
    "iptables -I INPUT -p icmp -j ACCEPT",
    "iptables -A INPUT -j REJECT",
];
const KNOCK: &str = "knock 192.0.2.1 2222:udp 3333:tcp 4444:udp";

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const LOG: Style = AnsiColor::Cyan.on_default();

fn main() -> Result<ExitCode> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [knockd, config] = &arguments[..] else { bail!("usage: demo KNOCKD CONFIG") };
    match privilege::privilege() {
        Privilege::Own => {}
        Privilege::None(reason) => {
            writeln!(std::io::stderr(), "demo: {reason}")?;
            return Ok(ExitCode::from(NOT_HERE));
        }
        Privilege::InUserNamespace => {
            let mut command = privilege::again()?.context("there is a user namespace to enter")?;
            let status = command.args(&arguments).status().context("cannot run unshare")?;
            return Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Demo::set_the_stage(knockd, config)?.play()?;
    Ok(ExitCode::SUCCESS)
}

/// Who is on the stage.
struct Demo {
    lab: Lab,
    daemon: Daemon,
    _ssh: Service,
    start: Instant,
    /// How much of the log has been shown.
    shown: usize,
}

impl Demo {
    fn set_the_stage(knockd: &Path, config: &Path) -> Result<Self> {
        let absolute = |path: &Path| {
            path.canonicalize().with_context(|| format!("cannot find {}", path.display()))
        };
        let lab = Lab::new()?;
        let ssh = Service::tcp(&lab.server, 22)?;
        line(BOLD, "A server with everything shut, and a client, in two network namespaces.")?;
        line(DIM, "Nothing outside of them is touched.")?;
        blank()?;
        for rule in FIREWALL {
            lab.server.run(rule)?;
            said("server", rule)?;
        }
        let mut setup = Setup::new(&absolute(knockd)?, lab.folder());
        setup.config = absolute(config)?;
        setup.log = lab.server.path("/var/log/knockd.log");
        setup.arguments = ["-i", "eth0"].map(str::to_owned).to_vec();
        said("server", &format!("knockd -i eth0 -c {}", config.display()))?;
        let start = Instant::now();
        let daemon = setup.start(&lab.server)?;
        Ok(Self { lab, daemon, _ssh: ssh, start, shown: 0 })
    }

    fn play(mut self) -> Result<()> {
        self.show_log()?;
        step(1, "SSH before the knock")?;
        self.expect_refusal(CLIENT)?;

        step(2, "The knock")?;
        said("client", KNOCK)?;
        self.lab.client.run(KNOCK)?;
        let knocked = Instant::now();
        let (mut connection, took) = self.expect_connection(knocked)?;
        self.show_log()?;
        said("client", &format!("connect from {CLIENT} to {SERVER} port 22"))?;
        let ms = took.as_secs_f64() * 1000.0;
        outcome(&format!("connected, {ms:.1} ms after the knock"))?;

        step(3, "Only who knocked comes in")?;
        for rule in self.lab.server.run("iptables -S INPUT")?.lines() {
            if rule.contains("--dport 22 ") {
                line(LOG, &format!("          {rule}"))?;
            }
        }
        self.expect_refusal(OTHER)?;

        step(4, "The door closes by itself")?;
        wait::within(Duration::from_secs(40), "the door to close", || {
            self.show_log()?;
            Ok(self.lab.count_rules(|rule| rule.contains("--dport 22 "))? == 0)
        })?;
        self.show_log()?;
        self.expect_refusal(CLIENT)?;
        reach::echo(&mut connection, "still there?")?;
        outcome("the session of before goes on: it still carries data")?;
        blank()?;
        line(BOLD, "Opened, used, and closed again. Now look at what a capture tells: make replay")
    }

    fn expect_refusal(&self, source: IpAddr) -> Result<()> {
        said("client", &format!("connect from {source} to {SERVER} port 22"))?;
        let reached = reach::tcp(&self.lab.client, source, SocketAddr::new(SERVER, 22), LIMIT)?;
        ensure!(matches!(reached, Reached::Refused), "not refused, but {reached:?}");
        outcome("refused, as it should be")
    }

    /// Tries until it is let in, and tells how long that took.
    fn expect_connection(&self, knocked: Instant) -> Result<(TcpStream, Duration)> {
        let service = SocketAddr::new(SERVER, 22);
        while knocked.elapsed() < wait::SOON {
            let reached = reach::tcp(&self.lab.client, CLIENT, service, LIMIT)?;
            if let Reached::Connected(mut connection) = reached {
                let took = knocked.elapsed();
                reach::echo(&mut connection, "hello")?;
                return Ok((connection, took));
            }
        }
        bail!("no door opened\n{}", self.daemon.story());
    }

    /// Shows what the log has got since the last time, with the time since the start.
    fn show_log(&mut self) -> Result<()> {
        let log = self.daemon.log()?;
        let complete = log.rfind('\n').map_or(0, |end| end + 1);
        let new = log.get(self.shown..complete).unwrap_or_default();
        self.shown = complete.max(self.shown);
        for entry in new.lines().filter(|entry| !entry.is_empty()) {
            let words = entry.split_once("] ").map_or(entry, |(_, words)| words);
            let seconds = self.start.elapsed().as_secs_f64();
            line(LOG, &format!("  {seconds:5.1} s  knockd: {words}"))?;
        }
        Ok(())
    }
}

fn step(number: u32, title: &str) -> Result<()> {
    blank()?;
    line(BOLD, &format!("{number}. {title}"))
}

fn said(who: &str, command: &str) -> Result<()> {
    line(Style::new(), &format!("  {who}$ {command}"))
}

fn outcome(words: &str) -> Result<()> {
    line(GOOD, &format!("          {words}"))
}

fn blank() -> Result<()> {
    line(Style::new(), "")
}

fn line(style: Style, text: &str) -> Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{style}{text}{style:#}").context("cannot write to standard output")?;
    out.flush().context("cannot write to standard output")
}
