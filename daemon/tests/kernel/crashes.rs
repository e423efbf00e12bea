//! SIGKILL at random moments: no door stays open, and none is closed that somebody holds.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use knock_lab::daemon::Daemon;
use knock_lab::lab::{Lab, SERVER};
use knock_lab::wire::{Port, Wire};
use knock_lab::{privilege, wait};
use rustix::process::Signal;

use crate::bench::{Random, Tally, sample_or_full, setup, shared};

/// `cmd_timeout` of the doors here.
const OPEN: Duration = Duration::from_secs(3);
/// How much longer a rule may stand, after the daemon is up again.
const GRACE: Duration = Duration::from_secs(2);

#[test]
fn kills_at_random_moments_leave_no_door_open() {
    privilege::test(|| {
        let _machine = shared();
        let kills = sample_or_full(50, 300);
        // Two lives side by side, for most of the time is spent waiting.
        std::thread::scope(|scope| -> Result<()> {
            let lives: Vec<_> =
                (0..2).map(|seed| scope.spawn(move || live_through(kills / 2, seed))).collect();
            for life in lives {
                life.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            }
            Ok(())
        })
    });
}

/// A house whose daemon is killed again and again, with its children.
fn live_through(kills: usize, seed: u64) -> Result<()> {
    let lab = Lab::new()?;
    let tally = Tally::new(&lab, "started")?;
    let setup = setup(&lab)?;
    let commands = rule_commands(&format!("{}; ", tally.command()));
    setup.write_config("", &door(&commands))?;
    let mut daemon = setup.start(&lab.server)?;
    let mut wire = Wire::new(&lab.client)?;
    let is_over = AtomicBool::new(false);
    // Moments to kill at: the same in each run.
    let mut random = Random::new(seed);
    std::thread::scope(|scope| -> Result<()> {
        let watcher = scope.spawn(|| watch(&lab, &is_over));
        let outcome = (0..kills).try_for_each(|round| {
            let sources = round_of_sources(round)?;
            for source in sources {
                knock(&mut wire, source)?;
            }
            // Between nothing started and everything open, and sometimes well after.
            let pause = Duration::from_micros(random.below(60_000) * (1 + random.below(8)));
            wait::pace(Instant::now() + pause);
            daemon.kill_with_children(&lab.server)?;
            daemon = setup.start(&lab.server)?;
            Ok(())
        });
        let settled = outcome.and_then(|()| {
            wait::within(OPEN + GRACE, "every door to close", || Ok(rules(&lab)?.is_empty()))
                .with_context(|| daemon.story())
        });
        is_over.store(true, Ordering::Relaxed);
        watcher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        settled
    })?;
    for round in 0..kills {
        for source in round_of_sources(round)? {
            let starts = tally.count(source)?;
            ensure!(starts <= 1, "{source} knocked once and was let in {starts} times");
        }
    }
    Ok(())
}

/// The three sources that knock in a round; they are new in each.
fn round_of_sources(round: usize) -> Result<[IpAddr; 3]> {
    let [high, low] = u16::try_from(round).context("too many rounds")?.to_be_bytes();
    Ok([1, 2, 3].map(|host| Ipv4Addr::new(10, high, low, host).into()))
}

/// Looks at the rules all the time: each must go in time, and none may be there twice.
fn watch(lab: &Lab, is_over: &AtomicBool) -> Result<()> {
    // The daemon is down for a while at each kill; the machine may be busy with other tests.
    const DOWN: Duration = Duration::from_secs(3);
    let mut seen: BTreeMap<IpAddr, Instant> = BTreeMap::new();
    while !is_over.load(Ordering::Relaxed) {
        let now = Instant::now();
        let rules = rules(lab)?;
        seen.retain(|source, _| rules.contains_key(source));
        for (source, count) in rules {
            ensure!(count == 1, "{source} has {count} rules");
            let age = now - *seen.entry(source).or_insert(now);
            ensure!(age < OPEN + GRACE + DOWN, "{source} is let in for {age:?} already");
        }
        wait::pace(now + Duration::from_millis(50));
    }
    Ok(())
}

#[test]
fn a_kill_takes_no_door_from_who_knocked_again() {
    privilege::test(|| {
        let _machine = shared();
        let lab = Lab::new()?;
        let setup = setup(&lab)?;
        setup.write_config("", &door(&rule_commands("")))?;
        let mut wire = Wire::new(&lab.client)?;
        let mut daemon = setup.start(&lab.server)?;
        for round in 0..sample_or_full(3, 30) {
            let [source, ..] = round_of_sources(round)?;
            knock(&mut wire, source)?;
            wait_for_rule(&lab, &daemon, source)?;
            wait::pace(Instant::now() + OPEN.mul_f64(0.6));
            let opened = count_opened(&daemon, source)?;
            knock(&mut wire, source)?;
            let again = Instant::now();
            wait::until("the second knock to be heard", || {
                Ok(count_opened(&daemon, source)? > opened)
            })?;
            // Nothing waits for the note of a renewal, and nothing shows when it is written: a
            // kill in the moment before leaves the earlier deadline, which the docs say.
            wait::pace(Instant::now() + Duration::from_millis(250));
            daemon.kill_with_children(&lab.server)?;
            daemon = setup.start(&lab.server)?;
            let early = Duration::from_millis(300);
            let left = (OPEN - early).saturating_sub(again.elapsed());
            wait::throughout(left, "the door is open to who knocked again", || {
                Ok(rules(&lab)?.contains_key(&source))
            })
            .with_context(|| daemon.story())?;
            wait::within(GRACE + early, "the door to close", || {
                Ok(!rules(&lab)?.contains_key(&source))
            })
            .with_context(|| daemon.story())?;
        }
        Ok(())
    });
}

#[test]
fn a_restart_closes_what_is_overdue_at_once() {
    privilege::test(|| {
        let _machine = shared();
        let lab = Lab::new()?;
        let setup = setup(&lab)?;
        setup.write_config("", &door(&rule_commands("")))?;
        let mut daemon = setup.start(&lab.server)?;
        let [source, ..] = round_of_sources(0)?;
        knock(&mut Wire::new(&lab.client)?, source)?;
        wait_for_rule(&lab, &daemon, source)?;
        daemon.kill_with_children(&lab.server)?;
        wait::pace(Instant::now() + OPEN);
        ensure!(rules(&lab)?.len() == 1, "somebody else closed the door");
        // Another config, without that door: the stop that belonged to the start runs.
        setup.write_config("", "[other]\nsequence = 1,2,3\nstart_command = true\n")?;
        let daemon = setup.start(&lab.server)?;
        wait::within(GRACE, "the door to close", || Ok(rules(&lab)?.is_empty()))
            .with_context(|| daemon.story())
    });
}

#[test]
fn a_stop_that_fails_five_times_is_tried_again() {
    privilege::test(|| {
        let _machine = shared();
        let lab = Lab::new()?;
        let setup = setup(&lab)?;
        // Status 4 is what iptables says when somebody else holds its lock.
        let script = lab.folder().join("stop");
        let tries = Tally::new(&lab, "tries")?;
        std::fs::write(
            &script,
            format!(
                "{}\n[ $(wc -l <{}) -gt 5 ] || exit 4\nexec iptables -w -D INPUT -s $1 -j ACCEPT\n",
                tries.command().replace("%IP%", "$1"),
                tries.path().display()
            ),
        )?;
        let commands = format!(
            "start_command = iptables -w -A INPUT -s %IP% -j ACCEPT\ncmd_timeout = 1\n\
             stop_command = sh {} %IP%",
            script.display()
        );
        setup.write_config("", &door(&commands))?;
        let daemon = setup.start(&lab.server)?;
        let [source, other, _] = round_of_sources(0)?;
        let mut wire = Wire::new(&lab.client)?;
        knock(&mut wire, source)?;
        wait_for_rule(&lab, &daemon, source)?;
        wait::until("the first try", || Ok(tries.count(source)? >= 1))?;
        // A stop that waits for its next try keeps nobody else out.
        knock(&mut wire, other)?;
        wait_for_rule(&lab, &daemon, other)?;
        wait::within(Duration::from_secs(60), "both doors to close", || Ok(rules(&lab)?.is_empty()))
            .with_context(|| daemon.story())
    });
}

#[test]
fn a_flushed_firewall_is_repaired_by_a_knock_where_the_door_can_be_checked() {
    privilege::test(|| {
        let _machine = shared();
        for has_check in [true, false] {
            let lab = Lab::new()?;
            let setup = setup(&lab)?;
            let mut commands = rule_commands("");
            if has_check {
                commands += "check_command = iptables -w -C INPUT -s %IP% -j ACCEPT\n";
            }
            setup.write_config("", &door(&commands))?;
            let daemon = setup.start(&lab.server)?;
            let [source, ..] = round_of_sources(0)?;
            let mut wire = Wire::new(&lab.client)?;
            knock(&mut wire, source)?;
            wait_for_rule(&lab, &daemon, source)?;
            lab.server.run("iptables -F INPUT")?;
            knock(&mut wire, source)?;
            if has_check {
                wait_for_rule(&lab, &daemon, source)?;
            } else {
                // Nobody can tell; the next knock after the lease opens as ever.
                wait::pace(Instant::now() + OPEN + Duration::from_secs(1));
                knock(&mut wire, source)?;
                wait_for_rule(&lab, &daemon, source)?;
            }
            wait::within(OPEN + GRACE, "the door to close", || Ok(rules(&lab)?.is_empty()))
                .with_context(|| daemon.story())?;
        }
        Ok(())
    });
}

#[test]
fn a_full_disk_keeps_no_door_shut() {
    privilege::test(|| {
        let _machine = shared();
        let lab = Lab::new()?;
        lab.server.run("mount -t tmpfs -o size=2m tmpfs /var/lib")?;
        let setup = setup(&lab)?;
        setup.write_config("", &door(&rule_commands("")))?;
        let mut daemon = setup.start(&lab.server)?;
        // The disk fills up under a daemon that runs: its ledger has its room already.
        let full = lab.server.try_run("dd if=/dev/zero of=/var/lib/filler bs=4k")?;
        ensure!(!full.status.success(), "the disk never fills up");
        let mut wire = Wire::new(&lab.client)?;
        let [source, other, _] = round_of_sources(0)?;
        knock(&mut wire, source)?;
        wait_for_rule(&lab, &daemon, source)?;
        daemon.kill_with_children(&lab.server)?;
        daemon = setup.start(&lab.server)?;
        wait::within(OPEN + GRACE, "the door to close", || Ok(rules(&lab)?.is_empty()))
            .with_context(|| daemon.story())?;
        knock(&mut wire, other)?;
        wait_for_rule(&lab, &daemon, other)
    });
}

#[test]
fn without_a_ledger_a_door_stays_shut_and_the_log_says_why() {
    privilege::test(|| {
        let _machine = shared();
        for mount in ["tmpfs -o ro", "tmpfs -o size=4k"] {
            let lab = Lab::new()?;
            lab.server.run(&format!("mount -t {mount} tmpfs /var/lib"))?;
            // Takes the one page that there may be.
            lab.server.try_run("dd if=/dev/zero of=/var/lib/filler bs=4k")?;
            let setup = setup(&lab)?;
            setup.write_config("", &door(&rule_commands("")))?;
            let mut daemon = setup.spawn(&lab.server)?;
            // Where there can't be one it refuses to start; where there is no room for it, it may
            // find some later.
            if lab.server.try_run("test -w /var/lib")?.status.success() {
                daemon.wait_until_ready()?;
                let [source, ..] = round_of_sources(0)?;
                knock(&mut Wire::new(&lab.client)?, source)?;
                let told = || Ok(daemon.log()?.contains("the ledger can't be written"));
                wait::until("it to say that its ledger can't be written", told)
                    .with_context(|| daemon.story())?;
                wait::throughout(Duration::from_secs(1), "no door opens", || {
                    Ok(rules(&lab)?.is_empty())
                })?;
            } else {
                let status = daemon.wait(wait::SOON)?;
                let told = daemon.printed()? + &daemon.log()?;
                ensure!(!status.success() && told.contains("/var/lib/knockd"), "{status}: {told}");
            }
        }
        Ok(())
    });
}

#[test]
fn a_disk_that_fails_keeps_doors_shut_until_it_works_again() {
    /// How many calls that make something durable fail, with an input/output error.
    const FAILURES: usize = 12;
    privilege::test(|| {
        let _machine = shared();
        let lab = Lab::new()?;
        let mut setup = setup(&lab)?;
        let traced = lab.folder().join("knockd-on-a-failing-disk");
        let script = format!(
            "#!/bin/sh\nexec strace -D -f -qq -o /dev/null -e trace=fsync,fdatasync \
             -e inject=fsync,fdatasync:error=EIO:when=1..{FAILURES} {} \"$@\"\n",
            setup.program.display()
        );
        std::fs::write(&traced, script)?;
        std::fs::set_permissions(&traced, std::fs::Permissions::from_mode(0o755))?;
        setup.write_config("", &door(&rule_commands("")))?;
        // The ledger is there when the disk begins to fail.
        setup.start(&lab.server)?.stop(wait::SOON)?;
        setup.program = traced;
        let mut daemon = setup.start(&lab.server)?;
        let mut wire = Wire::new(&lab.client)?;
        let refused = || Ok(daemon.log()?.contains("the ledger can't be written"));
        let [source, ..] = round_of_sources(0)?;
        knock(&mut wire, source)?;
        wait::until("it to say that its ledger can't be written", refused)
            .with_context(|| daemon.story())?;
        ensure!(rules(&lab)?.is_empty(), "a door opened before its stop was safe");
        // Each knock from here on uses up some of the failures.
        for round in 1..=FAILURES + 1 {
            let [source, ..] = round_of_sources(round)?;
            let opened = count_opened(&daemon, source)?;
            knock(&mut wire, source)?;
            wait::until("the knock to be heard", || Ok(count_opened(&daemon, source)? > opened))?;
            let ran = wait::within(Duration::from_secs(1), "the door to open", || {
                Ok(rules(&lab)?.contains_key(&source))
            });
            if ran.is_ok() {
                return wait::within(OPEN + GRACE, "the door to close", || {
                    Ok(rules(&lab)?.is_empty())
                })
                .with_context(|| daemon.story());
            }
        }
        daemon.stop(wait::SOON)?;
        bail!("no door opened after the disk worked again: {}", daemon.story())
    });
}

#[test]
fn an_asked_for_end_is_quick_and_closes_the_doors() {
    privilege::test(|| {
        let _machine = shared();
        for signal in [Signal::TERM, Signal::INT] {
            let lab = Lab::new()?;
            let setup = setup(&lab)?;
            setup.write_config("", &door(&rule_commands("")))?;
            let mut daemon = setup.start(&lab.server)?;
            let mut wire = Wire::new(&lab.client)?;
            for source in round_of_sources(0)? {
                knock(&mut wire, source)?;
                wait_for_rule(&lab, &daemon, source)?;
            }
            daemon.signal(signal)?;
            let asked = Instant::now();
            let status = daemon.wait(wait::SOON)?;
            let took = asked.elapsed();
            ensure!(status.success(), "it ended with {status}\n{}", daemon.story());
            ensure!(took < Duration::from_secs(1), "it took {took:?} to end");
            let left = rules(&lab)?;
            ensure!(left.is_empty(), "it left {left:?} open\n{}", daemon.story());
        }
        Ok(())
    });
}

fn door(commands: &str) -> String {
    format!("[door]\nsequence = 7000,8000:udp,9000\nseq_timeout = 10\ntcpflags = syn\n{commands}\n")
}

/// Returns commands that let a source in for as long as doors here are open.
fn rule_commands(before: &str) -> String {
    format!(
        "start_command = {before}iptables -w -A INPUT -s %IP% -j ACCEPT\n\
         cmd_timeout = {}\n\
         stop_command = iptables -w -D INPUT -s %IP% -j ACCEPT\n",
        OPEN.as_secs()
    )
}

fn knock(wire: &mut Wire, source: IpAddr) -> Result<()> {
    for port in [Port::Tcp(7000), Port::Udp(8000), Port::Tcp(9000)] {
        wire.knock(source, SERVER, port)?;
    }
    Ok(())
}

fn wait_for_rule(lab: &Lab, daemon: &Daemon, source: IpAddr) -> Result<()> {
    wait::until(&format!("a rule for {source}"), || Ok(rules(lab)?.contains_key(&source)))
        .with_context(|| daemon.story())
}

fn count_opened(daemon: &Daemon, source: IpAddr) -> Result<usize> {
    let line = format!("{source}: door: OPEN SESAME");
    Ok(daemon.log()?.lines().filter(|other| other.ends_with(&line)).count())
}

/// Returns how many rules let each source in.
fn rules(lab: &Lab) -> Result<BTreeMap<IpAddr, usize>> {
    let mut found = BTreeMap::new();
    for rule in lab.server.look("iptables -w -S INPUT")?.lines() {
        let Some(source) = rule.strip_prefix("-A INPUT -s ") else { continue };
        let (source, _) = source.split_once('/').context("a rule names a network")?;
        *found.entry(source.parse()?).or_default() += 1;
    }
    Ok(found)
}
