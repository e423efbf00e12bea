//! A recipe of `examples/firewalls`: what is special about each, and what is the same for all.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use knock_lab::daemon::{Daemon, Setup};
use knock_lab::lab::Lab;
use knock_lab::namespace::Namespace;
use knock_lab::service::Service;
use knock_lab::ssh::Sshd;
use knock_lab::{reach, wait};

use crate::bench::{SHORT, SIDES, Side, connects, example, folder, lab, program, shell};
use crate::stage::{Helpers, helpers, inner};

/// What is special about a recipe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    /// The folder.
    pub(crate) name: &'static str,
    /// What must be there before its setup.
    pub(crate) before: &'static str,
    /// Prints what the firewall lets in, with the sources.
    pub(crate) list: &'static str,
    /// What an administrator does that loses what is open; the setup may follow.
    pub(crate) flush: &'static str,
    /// How long a door is open here, in place of half a minute or a minute: longer than it takes to
    /// lose the rules and to set the firewall up again.
    pub(crate) open: Duration,
    /// What loses the kernel's rules alone, where that is more than the setup mends; else empty.
    pub(crate) lose: &'static str,
    /// What an administrator does that leaves open what is open.
    pub(crate) keep: &'static str,
    /// Whether it takes root, and not just `CAP_NET_ADMIN`.
    pub(crate) is_roots: bool,
    /// Whether only IPv6 is let in.
    pub(crate) is_v6_only: bool,
    /// Whether the kernel closes the door, and knockd has nothing to do with it.
    pub(crate) is_kernels: bool,
}

const WIREGUARD: u16 = 51820;
/// A recipe at work: its firewall, a service behind it, and the daemon.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) recipe: Recipe,
    pub(crate) lab: Lab,
    pub(crate) daemon: Daemon,
    pub(crate) sides: Vec<Side>,
    setup: Setup,
    /// The sequence, as clients write it.
    pub(crate) knock: String,
    /// In place of the echo service.
    pub(crate) sshd: Option<Sshd>,
    /// Here, or behind the router.
    _service: Option<Service>,
    _inner: Option<Namespace>,
    helpers: Helpers,
}

/// What may be otherwise in a trial.
#[derive(Debug)]
pub(crate) struct Fittings {
    /// In place of the echo service.
    pub(crate) sshd: Option<Sshd>,
    /// In place of our daemon as it is.
    pub(crate) program: PathBuf,
    /// Who may read the config, beside root.
    pub(crate) group: u32,
}

impl Default for Fittings {
    fn default() -> Self {
        Self { sshd: None, program: program().to_owned(), group: 0 }
    }
}

impl Trial {
    /// Sets the firewall up as the recipe says, with a session running meanwhile, and starts the
    /// daemon with the recipe's config, whose times alone are shorter.
    pub(crate) fn start(recipe: Recipe) -> Result<Self> {
        Self::start_with(recipe, |_| Ok(Fittings::default()))
    }

    /// Does the same, with what this puts in place of the usual.
    pub(crate) fn start_with(
        recipe: Recipe,
        fit: impl FnOnce(&Lab) -> Result<Fittings>,
    ) -> Result<Self> {
        let lab = lab()?;
        let mut sides: Vec<Side> =
            SIDES.into_iter().filter(|side| !recipe.is_v6_only || side.server.is_ipv6()).collect();
        let inner = if recipe.name == "router" { Some(inner(&lab, &mut sides)?) } else { None };
        let host = inner.as_ref().unwrap_or(&lab.server);
        let Fittings { sshd, program, group } = fit(&lab)?;
        let service = match (recipe.name, &sshd) {
            (_, Some(_)) => None,
            ("hidden-vpn", None) => Some(Service::udp(host, WIREGUARD)?),
            (_, None) => Some(Service::tcp(host, 22)?),
        };
        let helpers = helpers(&lab, recipe.name)?;
        shell(&lab.server, recipe.before)?;
        if sshd.is_some() {
            run_setup(&lab, recipe)?;
        } else {
            set_up_around_a_session(&lab, recipe, &sides)?;
        }

        let files = folder(&lab, "knockd")?;
        let text = std::fs::read_to_string(example(recipe.name).join("knockd.conf"))?;
        let copy = files.join("as-it-is.conf");
        std::fs::write(&copy, &text)?;
        // As in /etc: the sequence is nobody else's business.
        shell(&lab.server, &format!("chown 0:{group} {0}; chmod 640 {0}", copy.display()))?;
        check(&lab, &program, &copy)?;
        let mut setup = Setup::new(&program, &files);
        setup.arguments.extend(["-g".to_owned(), setup.log.display().to_string()]);
        setup.write_config_text(&shortened(&text, recipe.open)?)?;
        let daemon = setup.start(&lab.server)?;
        let knock = sequence(&text)?;
        Ok(Self {
            recipe,
            lab,
            daemon,
            sides,
            setup,
            knock,
            sshd,
            _service: service,
            _inner: inner,
            helpers,
        })
    }

    /// Tells whether the service lets this source in.
    pub(crate) fn lets_in(&self, source: IpAddr, server: IpAddr) -> Result<bool> {
        match self.recipe.name {
            "hidden-vpn" => {
                reach::udp(&self.lab.client, source, SocketAddr::new(server, WIREGUARD), SHORT)
            }
            _ => connects(&self.lab.client, source, SocketAddr::new(server, 22)),
        }
    }

    /// Knocks in both families, waits until both are let in, and until what the knocks have caused
    /// is over.
    pub(crate) fn knock(&self) -> Result<()> {
        let before = self.opens()?;
        for side in &self.sides {
            let (flag, server, ports) = (side.flag(), side.server, &self.knock);
            self.lab.client.run(&format!("knock {flag} -d 20 {server} {ports}"))?;
        }
        wait::until("the knocks to be heard", || Ok(self.opens()? == before + self.sides.len()))
            .with_context(|| self.story())?;
        for side in &self.sides {
            wait::until("the door to open", || self.lets_in(side.source, side.server))
                .with_context(|| self.story())?;
        }
        self.wait_for_commands()
    }

    fn opens(&self) -> Result<usize> {
        Ok(self.daemon.log()?.matches("OPEN SESAME").count())
    }

    /// Waits until the server runs nothing but what it always does, and does not begin to for a
    /// little while.
    fn wait_for_commands(&self) -> Result<()> {
        const A_WHILE: Duration = Duration::from_millis(60);
        let mut always: Vec<u32> = self.helpers.pids().collect();
        always.push(self.daemon.pid()?.as_raw_nonzero().get().cast_unsigned());
        let mut quiet_since = None;
        wait::until("the commands to be over", || {
            let others = self.lab.server.processes()?;
            let is_busy = others
                .iter()
                .any(|pid| !always.contains(&pid.as_raw_nonzero().get().cast_unsigned()));
            if is_busy {
                quiet_since = None;
            }
            Ok(!is_busy && quiet_since.get_or_insert_with(Instant::now).elapsed() >= A_WHILE)
        })
    }

    /// Sees to it that each source is let in by so many rules, and no stranger by any.
    pub(crate) fn expect_rules(&self, count: usize) -> Result<()> {
        let listed = self.rules()?;
        for side in &self.sides {
            let found = count_of(&listed, side.source);
            ensure!(
                found == count,
                "{found} rules, not {count}, let {} in:\n{listed}",
                side.source
            );
        }
        Ok(())
    }

    /// Tells whether no rule lets any source in.
    pub(crate) fn has_no_rules(&self) -> Result<bool> {
        let listed = self.rules()?;
        Ok(self.sides.iter().all(|side| count_of(&listed, side.source) == 0))
    }

    /// Sees to it that nobody is let in, in neither family.
    pub(crate) fn expect_shut(&self, when: &str) -> Result<()> {
        for side in &self.sides {
            ensure!(
                !self.lets_in(side.source, side.server)?,
                "{} comes in {when}\n{}",
                side.source,
                self.story()
            );
        }
        Ok(())
    }

    /// Sees to it that those who did not knock stay out.
    pub(crate) fn expect_no_strangers(&self) -> Result<()> {
        for side in &self.sides {
            ensure!(!self.lets_in(side.stranger, side.server)?, "{} comes in", side.stranger);
        }
        Ok(())
    }

    /// Does what loses the rules, and sets the firewall up again.
    pub(crate) fn flush(&self) -> Result<()> {
        shell(&self.lab.server, self.recipe.flush)?;
        run_setup(&self.lab, self.recipe)?;
        self.expect_lost()
    }

    /// Loses the rules by the shortest way.
    pub(crate) fn lose(&self) -> Result<()> {
        if self.recipe.lose.is_empty() {
            return self.flush();
        }
        shell(&self.lab.server, self.recipe.lose)?;
        self.expect_lost()
    }

    fn expect_lost(&self) -> Result<()> {
        self.expect_rules(0).context("after the flush")?;
        self.expect_shut("after the flush")
    }

    /// Does what leaves the rules alone.
    pub(crate) fn keep(&self) -> Result<()> {
        shell(&self.lab.server, self.recipe.keep)?;
        self.expect_rules(1)?;
        for side in &self.sides {
            let is_open = self.lets_in(side.source, side.server)?;
            ensure!(is_open, "{} is shut out by {}", side.source, self.recipe.keep);
        }
        Ok(())
    }

    /// Kills the daemon, and starts another, unless the kernel does without.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.daemon.signal(rustix::process::Signal::KILL)?;
        self.daemon.wait(wait::SOON)?;
        if !self.recipe.is_kernels {
            self.daemon = self.setup.start(&self.lab.server)?;
        }
        Ok(())
    }

    /// Tells all that there is to a failure.
    pub(crate) fn story(&self) -> String {
        let rules = self.rules().unwrap_or_else(|error| format!("{error:#}"));
        format!("{}\nthe firewall:\n{rules}", self.daemon.story())
    }

    fn rules(&self) -> Result<String> {
        shell(&self.lab.server, self.recipe.list)
    }
}

/// Counts how often an address stands in a text, or for IPv6 the network of a grant.
fn count_of(text: &str, source: IpAddr) -> usize {
    let words = text.split(|letter: char| !(letter.is_ascii_hexdigit() || ".:".contains(letter)));
    let own = source.to_string();
    words.filter(|word| *word == own || (source.is_ipv6() && *word == "2001:db8:7::")).count()
}

/// Runs the recipe's own setup, and says that it shall stay.
fn run_setup(lab: &Lab, recipe: Recipe) -> Result<()> {
    let setup = example(recipe.name).join("setup").display().to_string();
    shell(&lab.server, &setup)?;
    let is_confirmed = !matches!(recipe.name, "ufw" | "firewalld" | "router");
    if is_confirmed {
        shell(&lab.server, &format!("{setup} confirm"))?;
    }
    Ok(())
}

/// Sets the firewall up while sessions run that it knows nothing of: they go on, and the client is
/// the first to speak.
fn set_up_around_a_session(lab: &Lab, recipe: Recipe, sides: &[Side]) -> Result<()> {
    let mut sessions = Vec::new();
    if recipe.name != "hidden-vpn" {
        for side in sides {
            let service = SocketAddr::new(side.server, 22);
            let reached = reach::tcp(&lab.client, side.stranger, service, wait::SOON)?;
            let reach::Reached::Connected(session) = reached else {
                anyhow::bail!("{} is not let in before there is a firewall", side.stranger);
            };
            sessions.push(session);
        }
    }
    run_setup(lab, recipe)?;
    for session in &mut sessions {
        reach::echo(session, "still there?").context("the setup has cut off a session")?;
    }
    Ok(())
}

/// Sees to it that `knockd --check --strict` finds nothing in a recipe.
fn check(lab: &Lab, program: &Path, config: &Path) -> Result<()> {
    let mut command = lab.server.command(program);
    command.args(["--check", "--strict", "-c"]).arg(config);
    let output = command.output().context("cannot run knockd --check")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && errors.is_empty(), "knockd --check --strict: {errors}");
    Ok(())
}

/// Makes the doors' times this one; every other byte stays.
fn shortened(text: &str, open: Duration) -> Result<String> {
    let mut short = String::new();
    let mut times = 0;
    for line in text.lines() {
        let is_timeout =
            |key: &str| matches!(key, "cmd_timeout" | "start_command" | "start_command_6");
        let key = line.split_once('=').map_or("", |(key, _)| key.trim());
        let new = match is_timeout(key) {
            true => ["30s }", "60s }", "= 30", "timeout 30"].iter().fold(
                line.to_owned(),
                |line, old| {
                    line.replace(
                        old,
                        &old.replace(['3', '6'], "").replace('0', &open.as_secs().to_string()),
                    )
                },
            ),
            false => line.to_owned(),
        };
        times += usize::from(new != line);
        writeln!(short, "{new}")?;
    }
    ensure!(times > 0, "no time to make shorter in\n{text}");
    Ok(short)
}

/// Returns the first door's sequence as clients write it, by means of our own.
pub(crate) fn sequence(text: &str) -> Result<String> {
    let line = text.lines().find(|line| line.trim_start().starts_with("sequence"));
    let (_, value) = line.and_then(|line| line.split_once('=')).context("a config without door")?;
    Ok(value.trim().replace(',', " "))
}
