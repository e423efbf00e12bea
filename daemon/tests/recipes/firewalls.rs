//! Every recipe opens, is renewed, survives a flush and a kill, and closes, in both families.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use knock_lab::lab::Lab;
use knock_lab::{privilege, wait};

use crate::bench::{example, folder, note, program, shell};
use crate::recipe::{Fittings, Recipe, Trial};

/// How much too late a door may close on a busy machine.
const LATE: Duration = Duration::from_secs(4);

pub(crate) const NFT: Recipe = Recipe {
    name: "nftables",
    before: "",
    list: "nft list set inet knock ssh4; nft list set inet knock ssh6",
    flush: "nft flush ruleset",
    lose: "",
    keep: "",
    open: Duration::from_secs(4),
    is_roots: false,
    is_v6_only: false,
    is_kernels: true,
};

const IPTABLES: Recipe = Recipe {
    name: "iptables-nft",
    list: "iptables-nft -S INPUT; ip6tables-nft -S INPUT",
    flush: "iptables-nft -F; ip6tables-nft -F",
    is_kernels: false,
    ..NFT
};

const RECIPES: [Recipe; 9] = [
    NFT,
    IPTABLES,
    Recipe {
        name: "iptables-legacy",
        list: "iptables-legacy -S INPUT; ip6tables-legacy -S INPUT",
        flush: "iptables-legacy -F; ip6tables-legacy -F",
        is_roots: true,
        ..IPTABLES
    },
    Recipe {
        name: "ip6tables",
        list: "ip6tables -S INPUT",
        flush: "iptables -F; ip6tables -F",
        is_v6_only: true,
        ..IPTABLES
    },
    Recipe {
        name: "ipset",
        list: "ipset list knock4; ipset list knock6",
        flush: "ipset flush knock4; ipset flush knock6; iptables -F; ip6tables -F",
        ..NFT
    },
    Recipe {
        name: "ufw",
        before: "ufw allow OpenSSH",
        list: "iptables -S ufw-user-input; ip6tables -S ufw6-user-input",
        flush: "ufw --force reset",
        // Its files still have the rule.
        lose: "iptables -F ufw-user-input; ip6tables -F ufw6-user-input",
        keep: "ufw reload",
        is_roots: true,
        open: Duration::from_secs(7),
        ..IPTABLES
    },
    Recipe {
        name: "firewalld",
        list: "firewall-cmd --list-rich-rules",
        flush: "firewall-cmd --reload",
        is_roots: true,
        open: Duration::from_secs(7),
        ..IPTABLES
    },
    Recipe {
        name: "hidden-vpn",
        list: "nft list set inet knock vpn4; nft list set inet knock vpn6",
        ..NFT
    },
    Recipe {
        name: "router",
        list: "nft list set inet knock_router inner4; nft list set inet knock_router inner6",
        ..NFT
    },
];

#[test]
fn every_recipe_opens_is_renewed_flushed_and_closes() {
    privilege::test(|| side_by_side(RECIPES.to_vec(), play));
}

#[test]
fn recipes_that_need_no_root_work_for_an_ordinary_user() {
    privilege::test(|| {
        if !privilege::is_real_root() {
            return note("it takes real root to be another user: knockd was tried as root alone");
        }
        let recipes = RECIPES.into_iter().filter(|recipe| !recipe.is_roots).collect();
        side_by_side(recipes, |recipe| {
            let trial = Trial::start_with(recipe, unprivileged)?;
            trial.expect_shut("before any knock")?;
            let since = Instant::now();
            trial.knock()?;
            trial.expect_rules(1)?;
            expect_close(&trial, since)
        })
    });
}

/// Plays with all recipes at once, for they wait most of the time.
fn side_by_side(recipes: Vec<Recipe>, play: fn(Recipe) -> Result<()>) -> Result<()> {
    let outcomes: Vec<Result<()>> = std::thread::scope(|scope| {
        let threads: Vec<_> = recipes
            .into_iter()
            .map(|recipe| {
                scope.spawn(move || {
                    play(recipe).with_context(|| format!("the recipe {}", recipe.name))
                })
            })
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<()>>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    });
    let failures: Vec<String> =
        outcomes.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

/// Runs the daemon as nobody, with the two capabilities that a hardened unit gives it.
fn unprivileged(lab: &Lab) -> Result<Fittings> {
    let files = folder(lab, "knockd")?.display().to_string();
    let (own, ours) = (lab.folder().display(), program().display());
    let wrapper = lab.folder().join("as-nobody");
    let caps = "+net_admin,+net_raw";
    std::fs::write(
        &wrapper,
        format!(
            "#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups \
             --inh-caps=-all,{caps} --ambient-caps=-all,{caps} {own}/program \"$@\"\n"
        ),
    )?;
    // Where the tests were built may be nobody's business, too.
    shell(
        &lab.server,
        &format!(
            "chmod 755 {own} {}; chmod 777 {files}; ln {ours} {own}/program 2>/dev/null || cp {ours} {own}/program
             install -d -m 700 -o 65534 /var/lib/knockd",
            wrapper.display()
        ),
    )?;
    Ok(Fittings { program: wrapper, group: 65534, ..Fittings::default() })
}

#[test]
fn every_folder_of_the_examples_is_tried() {
    let mut there = BTreeSet::new();
    for entry in std::fs::read_dir(example("")).expect("the examples are there") {
        let entry = entry.expect("a folder can be listed");
        if entry.path().join("knockd.conf").exists() {
            there.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    let tried: BTreeSet<String> = RECIPES.iter().map(|recipe| recipe.name.to_owned()).collect();
    assert_eq!(there, tried);
}

fn play(recipe: Recipe) -> Result<()> {
    let mut trial = Trial::start(recipe)?;
    trial.expect_shut("before any knock")?;
    renew(&trial)?;

    let since = bring_back(&trial)?;
    expect_close(&trial, since)?;

    trial.knock().context("the knock before the second flush")?;
    let knocked = Instant::now();
    trial.keep()?;
    trial.flush()?;
    wait::pace(knocked + recipe.open);
    // What is owed for a rule that is gone is settled in one try, and knockd is at peace.
    let since = Instant::now();
    trial.knock().context("the knock after the stop")?;
    trial.expect_rules(1)?;
    trial.kill()?;
    expect_close(&trial, since).context("after a kill")?;
    if !recipe.is_kernels {
        trial.daemon.stop(wait::SOON)?;
    }
    let log = trial.daemon.log()?;
    for word in ["failed", "tried again", "given up", "exited"] {
        ensure!(!log.contains(word), "{word} in the log:\n{log}");
    }
    Ok(())
}

/// Knocks a second time while the door is open: it stays open for longer, by the same one rule.
fn renew(trial: &Trial) -> Result<()> {
    let open = trial.recipe.open;
    for _ in 0..5 {
        trial.knock().context("the first knock")?;
        let first = Instant::now();
        trial.expect_rules(1)?;
        trial.expect_no_strangers()?;
        wait::pace(first + open / 2);
        let second = Instant::now();
        trial.knock().context("the second knock")?;
        trial.expect_rules(1).context("after a second knock")?;
        wait::pace(first + open + Duration::from_millis(100));
        let is_open = trial.sides.iter().try_fold(true, |open, side| {
            Ok::<_, anyhow::Error>(open && trial.lets_in(side.source, side.server)?)
        })?;
        if is_open {
            return Ok(());
        }
        // A machine that is too slow to tell gets another chance.
        ensure!(second.elapsed() >= open, "the second knock did not help\n{}", trial.story());
        wait::until("the door to close", || trial.has_no_rules())?;
    }
    anyhow::bail!("this machine is too slow to see a door that is open for {open:?}")
}

/// Loses the rules while the door is open: a knock brings them back. Returns when it began.
fn bring_back(trial: &Trial) -> Result<Instant> {
    let open = trial.recipe.open;
    for _ in 0..5 {
        // The door opens at the last knock, which comes later than this.
        let before = Instant::now();
        trial.knock().context("the knock before the flush")?;
        trial.lose()?;
        let since = Instant::now();
        trial.knock().context("the knock after the flush")?;
        let is_in_time = before.elapsed() < open;
        trial.expect_rules(1)?;
        let is_told = trial.daemon.log()?.contains("ssh: check_command finds it shut");
        if trial.recipe.is_kernels || is_told {
            return Ok(since);
        }
        // A flush that takes longer than the door is open meets a shut one.
        ensure!(!is_in_time, "the knock after the flush was no second one\n{}", trial.story());
        wait::until("the door to close", || trial.has_no_rules())?;
    }
    anyhow::bail!("this machine is too slow to flush a door that is open for {open:?}")
}

/// Sees to it that the door closes by itself, in time, after the last knock, which began then.
fn expect_close(trial: &Trial, since: Instant) -> Result<()> {
    let wanted = trial.recipe.open;
    wait::within(wanted + LATE, "the rules to go", || trial.has_no_rules())
        .with_context(|| trial.story())?;
    // However long the commands take: the door's time begins with the last packet of the knock.
    let open = since.elapsed();
    ensure!(open >= wanted, "the door was open for {open:?} only\n{}", trial.story());
    trial.expect_shut("after the door has closed")
}
