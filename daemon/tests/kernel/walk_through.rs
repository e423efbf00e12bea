//! The walk-through: SSH is closed, opens to a knock, and closes by itself.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use knock_lab::daemon::Daemon;
use knock_lab::lab::{CLIENT, Lab, OTHER, SERVER};
use knock_lab::privilege;
use knock_lab::reach::{self, Reached};
use knock_lab::service::Service;
use knock_lab::ssh::Sshd;
use knock_lab::wait;

use crate::bench::{folder, note, setup, shared};

const CONFIG: &str = include_str!("../../../testdata/opencloseSSH.conf");
/// `cmd_timeout` of that config.
const OPEN: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(2);

#[test]
fn ssh_opens_to_a_knock_and_closes_again() {
    privilege::test(|| walk_through("iptables"));
}

#[test]
fn ssh_opens_behind_the_older_iptables() {
    privilege::test(|| walk_through("iptables-legacy"));
}

#[test]
fn a_real_ssh_session_outlives_the_open_door() {
    privilege::test(|| {
        if privilege::is_real_root() {
            return ssh_session();
        }
        // sshd gives up its groups, which a user namespace forbids; the rest is tested above.
        note("sshd needs real root: only the echo service was tried")
    });
}

fn walk_through(iptables: &str) -> Result<()> {
    let _machine = shared();
    let lab = Lab::new()?;
    let _service = Service::tcp(&lab.server, 22)?;
    let daemon = guard(&lab, iptables)?;

    ensure!(matches!(connect(&lab, false)?, Reached::Refused), "port 22 is open before any knock");
    knock(&lab)?;
    let knocked = Instant::now();
    wait::until("the rule", || Ok(rules(&lab, iptables)? == 1))?;
    let rule = format!("-A INPUT -s {CLIENT}/32 -p tcp -m tcp --dport 22 -j ACCEPT");
    let listed = lab.server.run(&format!("{iptables} -S INPUT"))?;
    ensure!(listed.lines().any(|line| line == rule), "{listed}");
    let Reached::Connected(mut connection) = connect(&lab, false)? else {
        anyhow::bail!("port 22 is closed after the knock\n{}", daemon.story());
    };
    reach::echo(&mut connection, "while the door is open")?;
    ensure!(matches!(connect(&lab, true)?, Reached::Refused), "port 22 is open to a stranger");

    wait::until("the rule to go", || Ok(rules(&lab, iptables)? == 0))
        .with_context(|| daemon.story())?;
    let open = knocked.elapsed();
    ensure!(
        OPEN.saturating_sub(LIMIT) < open && open < OPEN + LIMIT,
        "the door was open for {open:?}"
    );
    ensure!(matches!(connect(&lab, false)?, Reached::Refused), "port 22 is open for ever");
    reach::echo(&mut connection, "after the door has closed")?;

    let log = std::fs::read_to_string(lab.server.path("/var/log/knockd.log"))?;
    for line in [
        "198.51.100.7: opencloseSSH: Stage 1",
        "198.51.100.7: opencloseSSH: Stage 3",
        "198.51.100.7: opencloseSSH: OPEN SESAME",
        "opencloseSSH: running command: /sbin/iptables",
        "198.51.100.7: opencloseSSH: command timeout",
    ] {
        ensure!(log.contains(line), "the log lacks {line:?}:\n{log}");
    }
    Ok(())
}

/// Sets up the firewall of the walk-through and the daemon behind it.
fn guard(lab: &Lab, iptables: &str) -> Result<Daemon> {
    for rule in [
        "-I INPUT -p tcp -m state --state RELATED,ESTABLISHED -j ACCEPT",
        "-I INPUT -p icmp -j ACCEPT",
        "-A INPUT -j REJECT",
    ] {
        lab.server.run(&format!("{iptables} {rule}"))?;
    }
    let mut setup = setup(lab)?;
    setup.write_config_text(&CONFIG.replace("/sbin/iptables", &format!("/sbin/{iptables}")))?;
    setup.log = lab.server.path("/var/log/knockd.log");
    setup.start(&lab.server)
}

fn knock(lab: &Lab) -> Result<()> {
    lab.client.run(&format!("knock {SERVER} 2222:udp 3333:tcp 4444:udp")).map(drop)
}

fn connect(lab: &Lab, is_stranger: bool) -> Result<Reached> {
    let source = if is_stranger { OTHER } else { CLIENT };
    reach::tcp(&lab.client, source, SocketAddr::new(SERVER, 22), LIMIT)
}

/// Counts the rules about port 22, whomever they let in.
fn rules(lab: &Lab, iptables: &str) -> Result<usize> {
    let rules = lab.server.run(&format!("{iptables} -w -S INPUT"))?;
    Ok(rules.lines().filter(|rule| rule.contains("--dport 22 ")).count())
}

fn ssh_session() -> Result<()> {
    let _machine = shared();
    let lab = Lab::new()?;
    let sshd = Sshd::start(&lab.server, &folder(&lab, "ssh")?)?;
    let daemon = guard(&lab, "iptables")?;

    let refused = sshd.login(&lab.client, SERVER).arg("true").output()?;
    ensure!(!refused.status.success(), "ssh comes in before any knock");
    knock(&lab)?;
    let knocked = Instant::now();
    wait::until("the rule", || Ok(rules(&lab, "iptables")? == 1))?;
    // `cat` ends when its input does, long after the door has closed.
    let mut session = sshd
        .login(&lab.client, SERVER)
        .arg("cat")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let mut input = session.stdin.take().context("its input is a pipe")?;
    std::io::Write::write_all(&mut input, b"before\n")?;
    let mut output = std::io::BufReader::new(session.stdout.take().context("a pipe")?);
    let mut line = String::new();
    std::io::BufRead::read_line(&mut output, &mut line)?;
    ensure!(line == "before\n", "ssh says {line:?}\n{}", daemon.story());
    ensure!(knocked.elapsed() < OPEN, "ssh took longer to come in than the door is open");

    wait::until("the rule to go", || Ok(rules(&lab, "iptables")? == 0))?;
    let refused = sshd.login(&lab.client, SERVER).arg("true").output()?;
    ensure!(!refused.status.success(), "ssh comes in after the door has closed");
    std::io::Write::write_all(&mut input, b"after\n")?;
    drop(input);
    line.clear();
    std::io::BufRead::read_line(&mut output, &mut line)?;
    ensure!(line == "after\n", "the session did not outlive the door: {line:?}");
    ensure!(session.wait()?.success(), "ssh failed");
    Ok(())
}
