//! Every recipe opens, is renewed, survives a flush and a kill, and closes, in both families.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use knock_lab::{privilege, wait};

use crate::bench::example;
use crate::recipe::{OPEN, Recipe, Trial};

/// How much too late a door may close on a busy machine.
const LATE: Duration = Duration::from_secs(4);

pub(crate) const NFT: Recipe = Recipe {
    name: "nftables",
    before: "",
    list: "nft list set inet knock ssh4; nft list set inet knock ssh6",
    flush: "nft flush ruleset",
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
        ..IPTABLES
    },
    Recipe {
        name: "firewalld",
        list: "firewall-cmd --list-rich-rules",
        flush: "firewall-cmd --reload",
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
    privilege::test(|| {
        // They wait most of the time, so they run side by side.
        let outcomes: Vec<Result<()>> = std::thread::scope(|scope| {
            let threads = RECIPES.map(|recipe| {
                scope.spawn(move || {
                    play(recipe).with_context(|| format!("the recipe {}", recipe.name))
                })
            });
            let join = |thread: std::thread::ScopedJoinHandle<'_, Result<()>>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(join).collect()
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

    trial.flush()?;
    trial.knock().context("the knock after the flush")?;
    let knocked = Instant::now();
    trial.expect_rules(1)?;
    expect_close(&trial, knocked)?;

    trial.knock().context("the knock before the second flush")?;
    let knocked = Instant::now();
    trial.flush()?;
    wait::pace(knocked + OPEN);
    // What is owed for a rule that is gone is settled in one try, and knockd is at peace.
    trial.knock().context("the knock after the stop")?;
    trial.expect_rules(1)?;
    trial.kill()?;
    expect_close(&trial, Instant::now()).context("after a kill")?;
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
    for _ in 0..3 {
        trial.knock().context("the first knock")?;
        let first = Instant::now();
        trial.expect_rules(1)?;
        trial.expect_no_strangers()?;
        wait::pace(first + OPEN / 2);
        let second = Instant::now();
        trial.knock().context("the second knock")?;
        trial.expect_rules(1).context("after a second knock")?;
        wait::pace(first + OPEN + Duration::from_millis(100));
        let is_open = trial.sides.iter().try_fold(true, |open, side| {
            Ok::<_, anyhow::Error>(open && trial.lets_in(side.source, side.server)?)
        })?;
        if is_open {
            return Ok(());
        }
        // A machine that is too slow to tell gets another chance.
        ensure!(second.elapsed() >= OPEN, "the second knock did not help\n{}", trial.story());
        wait::until("the door to close", || trial.has_no_rules())?;
    }
    anyhow::bail!("this machine is too slow to see a door that is open for {OPEN:?}")
}

/// Sees to it that the door closes by itself, in time, after the last knock has opened it.
fn expect_close(trial: &Trial, knocked: Instant) -> Result<()> {
    wait::within(OPEN + LATE, "the rules to go", || trial.has_no_rules())
        .with_context(|| trial.story())?;
    let open = knocked.elapsed();
    // The clock of this test began a little later than the door's.
    ensure!(open + Duration::from_secs(3) > OPEN, "the door was open for {open:?} only");
    trial.expect_shut("after the door has closed")
}
