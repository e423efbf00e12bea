//! Every client that somebody may have knocks at our daemon, and gets in; and our client knocks at
//! Debian's daemon.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use knock_lab::daemon::Setup;
use knock_lab::ssh::Sshd;
use knock_lab::{privilege, wait};

use crate::bench::{SIDES, Side, folder, lab, note, shell, sibling};
use crate::firewalls::NFT;
use crate::recipe::{Fittings, Trial};

/// A client: how it knocks once.
#[derive(Clone, Copy)]
struct Client {
    name: &'static str,
    /// The program, and the package of Debian that has it.
    program: &'static str,
    package: &'static str,
    /// The line that sends a SYN; `ADDRESS`, `SOURCE`, `PORT` and `FLAG` (-4 or -6) stand for
    /// what they say.
    tcp: &'static str,
    /// The line that sends a datagram.
    udp: &'static str,
    /// The same for IPv6, where the client has it.
    v6: Option<[&'static str; 2]>,
}

const HPING3: Client = Client {
    name: "hping3",
    program: "hping3",
    package: "hping3",
    // It waits a second for an answer, and fails without one.
    tcp: "hping3 -q -S -c 1 -p PORT ADDRESS || [ $? = 1 ]",
    udp: "hping3 -q --udp -c 1 -p PORT ADDRESS || [ $? = 1 ]",
    v6: None,
};

const SENDIP: Client = Client {
    name: "sendip",
    program: "sendip",
    package: "sendip",
    // Without a source it takes that of the loopback.
    tcp: "sendip -p ipv4 -is SOURCE -p tcp -ts r2 -td PORT ADDRESS",
    udp: "sendip -p ipv4 -is SOURCE -p udp -us r2 -ud PORT ADDRESS",
    v6: Some([
        "sendip -p ipv6 -6s SOURCE -p tcp -ts r2 -td PORT ADDRESS",
        "sendip -p ipv6 -6s SOURCE -p udp -us r2 -ud PORT ADDRESS",
    ]),
};

const PACKIT: Client = Client {
    name: "packit",
    program: "packit",
    package: "packit",
    // The protocol stands first, or it sends TCP whatever is said.
    tcp: "packit -m inject -t TCP -i eth0 -F S -s SOURCE -d ADDRESS -D PORT -c 1",
    udp: "packit -m inject -t UDP -i eth0 -s SOURCE -d ADDRESS -D PORT -c 1",
    v6: None,
};

const NMAP: Client = Client {
    name: "nmap",
    program: "nmap",
    package: "nmap",
    tcp: "nmap FLAG -n -Pn -sS --max-retries 0 --host-timeout 201ms -p PORT ADDRESS",
    udp: "nmap FLAG -n -Pn -sU --max-retries 0 --host-timeout 201ms -p PORT ADDRESS",
    v6: Some([
        "nmap FLAG -n -Pn -sS --max-retries 0 --host-timeout 201ms -p PORT ADDRESS",
        "nmap FLAG -n -Pn -sU --max-retries 0 --host-timeout 201ms -p PORT ADDRESS",
    ]),
};

/// nmap for those who are not root.
const NMAP_CONNECT: Client = Client {
    name: "nmap -sT",
    tcp: "nmap FLAG -n -Pn -sT --max-retries 0 --host-timeout 201ms -p PORT ADDRESS",
    v6: Some([
        "nmap FLAG -n -Pn -sT --max-retries 0 --host-timeout 201ms -p PORT ADDRESS",
        NMAP.udp,
    ]),
    ..NMAP
};

const NC_OPENBSD: Client = Client {
    name: "netcat of OpenBSD",
    program: "nc.openbsd",
    package: "netcat-openbsd",
    // It waits for an answer as long as it may, and fails without one.
    tcp: "nc.openbsd FLAG -n -z -w 1 ADDRESS PORT || [ $? = 1 ]",
    // With -z it sends nothing by UDP.
    udp: "echo | nc.openbsd FLAG -n -u -w 1 ADDRESS PORT",
    v6: Some([
        "nc.openbsd FLAG -n -z -w 1 ADDRESS PORT || [ $? = 1 ]",
        "echo | nc.openbsd FLAG -n -u -w 1 ADDRESS PORT",
    ]),
};

const NC_TRADITIONAL: Client = Client {
    name: "traditional netcat",
    program: "nc.traditional",
    package: "netcat-traditional",
    tcp: "nc.traditional -n -z -w 1 ADDRESS PORT || [ $? = 1 ]",
    udp: "echo | nc.traditional -n -u -w 1 ADDRESS PORT",
    v6: None,
};

const BASH: Client = Client {
    name: "bash",
    program: "bash",
    package: "bash",
    // It waits for an answer until it is ended.
    tcp: "timeout 0.2 bash -c '>/dev/tcp/ADDRESS/PORT' || [ $? = 124 ]",
    udp: "echo >/dev/udp/ADDRESS/PORT",
    v6: Some([
        "timeout 0.2 bash -c '>/dev/tcp/ADDRESS/PORT' || [ $? = 124 ]",
        "echo >/dev/udp/ADDRESS/PORT",
    ]),
};

const KNOCK_0_8: Client = Client {
    name: "Debian's knock",
    program: "/usr/bin/knock",
    package: "knockd",
    tcp: "/usr/bin/knock FLAG ADDRESS PORT:tcp",
    udp: "/usr/bin/knock FLAG ADDRESS PORT:udp",
    v6: Some(["/usr/bin/knock FLAG ADDRESS PORT:tcp", "/usr/bin/knock FLAG ADDRESS PORT:udp"]),
};

const CLIENTS: [Client; 9] =
    [HPING3, SENDIP, PACKIT, NMAP, NMAP_CONNECT, NC_OPENBSD, NC_TRADITIONAL, BASH, KNOCK_0_8];

#[test]
fn every_client_knocks_and_gets_in() {
    privilege::test(|| {
        let knock = sibling("knock", "knock")?;
        // They wait most of the time, so they run side by side.
        let outcomes: Vec<Result<()>> = std::thread::scope(|scope| {
            let others = CLIENTS.map(|client| {
                scope.spawn(move || {
                    let knock = |side: &Side, steps: &[(&str, &str)]| client.lines(side, steps);
                    lets_in(knock).with_context(|| client.name.to_owned())
                })
            });
            let ours = scope.spawn(|| {
                let line = |side: &Side, steps: &[(&str, &str)]| {
                    let ports: Vec<String> =
                        steps.iter().map(|(port, protocol)| format!("{port}:{protocol}")).collect();
                    let (flag, server) = (side.flag(), side.server);
                    Some(format!("{} {flag} {server} {}", knock.display(), ports.join(" ")))
                };
                lets_in(line).context("our knock")
            });
            others
                .into_iter()
                .chain([ours])
                .map(|thread| thread.join().expect("no panic"))
                .collect()
        });
        let failures: Vec<String> = outcomes
            .into_iter()
            .filter_map(Result::err)
            .map(|error| format!("{error:#}"))
            .collect();
        ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
        Ok(())
    });
}

impl Client {
    /// Returns the shell's lines for a whole knock; `None` where it does not have this family.
    fn lines(&self, side: &Side, steps: &[(&str, &str)]) -> Option<String> {
        let [tcp, udp] = if side.server.is_ipv6() { self.v6? } else { [self.tcp, self.udp] };
        let (program, package) = (self.program, self.package);
        let mut lines = format!(
            "type {program} >/dev/null || {{ echo 'apt-get install {package}'; exit 9; }}\n"
        );
        for (port, protocol) in steps {
            let line = if *protocol == "udp" { udp } else { tcp };
            let line = line
                .replace("ADDRESS", &side.server.to_string())
                .replace("SOURCE", &side.source.to_string())
                .replace("PORT", port)
                .replace("FLAG", if side.server.is_ipv6() { "-6" } else { "" });
            lines.push_str(&line);
            lines.push('\n');
        }
        Some(lines)
    }
}

/// Knocks in each family that the client has, at a firewall that drops everything, and gets in.
fn lets_in(lines: impl Fn(&Side, &[(&str, &str)]) -> Option<String>) -> Result<()> {
    let trial = Trial::start(NFT)?;
    let steps: Vec<(&str, &str)> = trial
        .knock
        .split_whitespace()
        .map(|step| step.split_once(':').unwrap_or((step, "tcp")))
        .collect();
    for side in &trial.sides {
        let Some(lines) = lines(side, &steps) else { continue };
        ensure!(!trial.lets_in(side.source, side.server)?, "{} is let in already", side.source);
        let said = shell(&trial.lab.client, &lines)?;
        wait::until("the door to open", || trial.lets_in(side.source, side.server))
            .with_context(|| format!("{lines}\n{said}\n{}", trial.story()))?;
        let opened =
            trial.daemon.log()?.matches(&format!("{}: ssh: OPEN SESAME", side.source)).count();
        ensure!(opened == 1, "one knock opened {opened} times\n{}", trial.story());
    }
    Ok(())
}

#[test]
fn debian_s_knockd_accepts_our_knock() {
    privilege::test(|| {
        let knock = sibling("knock", "knock")?;
        let lab = lab()?;
        let mut setup = Setup::new(Path::new("/usr/sbin/knockd"), &folder(&lab, "knockd")?);
        setup.log = lab.server.path("/var/log/knockd.log");
        let opened = lab.folder().join("opened");
        setup.write_config_text(&format!(
            "[options]\nlogfile = /var/log/knockd.log\n[door]\nsequence = 38211,9127:udp,52904\n\
             seq_timeout = 15\ntcpflags = syn\ncommand = echo %IP% >> {}\n",
            opened.display()
        ))?;
        let daemon = setup.start(&lab.server)?;
        for side in SIDES {
            let mut command = lab.client.command(&knock);
            command.args([side.flag(), "-d", "50", &side.server.to_string()]);
            let status = command.args(["38211", "9127:udp", "52904"]).status()?;
            ensure!(status.success(), "our knock ends with {status}");
            wait::until("Debian's knockd to open", || {
                let sources = std::fs::read_to_string(&opened).unwrap_or_default();
                Ok(sources.lines().any(|source| source == side.source.to_string()))
            })
            .with_context(|| daemon.story())?;
        }
        Ok(())
    });
}

/// The names of two profiles, one for each family.
const NAMES: [&str; 2] = ["four", "six"];

#[test]
fn ssh_comes_in_through_knock_as_its_proxy() {
    privilege::test(|| {
        if !privilege::is_real_root() {
            return note("sshd needs real root: ssh through knock --proxy was not tried");
        }
        let knock = sibling("knock", "knock")?.display().to_string();
        let trial = Trial::start_with(NFT, |lab| {
            let sshd = Sshd::start(&lab.server, &folder(lab, "ssh")?)?;
            Ok(Fittings { sshd: Some(sshd), ..Fittings::default() })
        })?;
        let sshd = trial.sshd.as_ref().context("it was started")?;
        let home = folder(&trial.lab, "home")?;
        let ports: Vec<String> = trial.knock.split(' ').map(|port| format!("{port:?}")).collect();
        std::fs::create_dir_all(home.join("knock"))?;
        let mut profiles = String::new();
        for (name, side) in NAMES.into_iter().zip(&trial.sides) {
            write!(
                profiles,
                "[{name}]\nhost = \"{}\"\nports = [{}]\ndelay = 20\n",
                side.server,
                ports.join(", ")
            )?;
        }
        std::fs::write(home.join("knock/config.toml"), profiles)?;
        let written = NAMES.map(|_| format!("{knock} -d 20 %h {} --proxy %h %p", trial.knock));
        let by_profile = NAMES.map(|name| format!("{knock} {name} --proxy %h %p"));
        for proxies in [written, by_profile] {
            trial.expect_shut("without any knock")?;
            for (proxy, side) in proxies.into_iter().zip(&trial.sides) {
                let mut command = sshd.login(&trial.lab.client, side.server);
                command.env("XDG_CONFIG_HOME", &home).arg(format!("-oProxyCommand={proxy}"));
                let output = command.args(["echo", "inside"]).output().context("cannot run ssh")?;
                expect_inside(&output, &trial).context(proxy)?;
            }
            wait::until("the doors to close", || trial.has_no_rules())?;
        }
        Ok(())
    });
}

fn expect_inside(output: &std::process::Output, trial: &Trial) -> Result<()> {
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(
        output.status.success() && said == "inside\n",
        "ssh through knock says {said}{errors}\n{}",
        trial.story()
    );
    Ok(())
}

#[test]
fn what_knock_would_send_opens_in_a_replay() {
    let (knock, replay) = (
        sibling("knock", "knock").expect("our client"),
        sibling("knock-replay", "knock-replay").expect("the replay"),
    );
    let folder = tempfile::tempdir().expect("a folder");
    let (capture, config) = (folder.path().join("knock.pcap"), folder.path().join("knockd.conf"));
    std::fs::write(
        &config,
        "[door]\nsequence = 38211,9127:udp,52904\nstart_command = let in %IP%\n",
    )
    .expect("a config");
    for server in [[192, 0, 2, 1].into(), "2001:db8::1".parse::<IpAddr>().expect("an address")] {
        let status = std::process::Command::new(&knock)
            .args([&server.to_string(), "38211", "9127:udp", "52904", "--write-pcap"])
            .arg(&capture)
            .status()
            .expect("knock runs");
        assert!(status.success(), "knock --write-pcap: {status}");
        let output = std::process::Command::new(&replay)
            .args(["run", "--format", "summary", "-c"])
            .args([&config, &capture])
            .output()
            .expect("the replay runs");
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{errors}");
        let door = said.lines().find(|line| line.starts_with("door ") && !line.contains("opened"));
        let counts: Vec<&str> = door.unwrap_or_default().split_whitespace().collect();
        assert_eq!(counts.get(..3), Some(&["door", "1", "1"][..]), "for {server}:\n{said}{errors}");
    }
}
