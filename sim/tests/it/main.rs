//! A sample of worlds, and every seed that has ever failed.

mod one_time;

use std::fs;
use std::path::Path;
use std::time::Duration;

use knock_sim::failure::Regression;
use knock_sim::many::{self, Seeds};
use knock_sim::run::{Options, once, shrink, twice};
use knock_sim::swarm::Class;

#[test]
fn two_thousand_worlds_keep_every_promise() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let seeds = Seeds { first: 0, count: 2_000, limit: Duration::MAX, threads };
    let totals = many::run(&seeds, &Options::default());
    let reports: Vec<_> = totals.failures.into_iter().map(|it| shrink(*it).report()).collect();
    assert!(reports.is_empty(), "{}", reports.join("\n"));
    assert_eq!(totals.seeds, 2_000);
    assert!(totals.counts.starts > 10_000, "{} start commands", totals.counts.starts);
    assert!(totals.counts.died_at.len() > 30, "{:?}", totals.counts.died_at);
    for (class, struck) in Class::ALL.iter().zip(totals.counts.struck) {
        assert!(struck > 0, "{class} never strikes");
    }
}

#[test]
fn every_seed_that_failed_once_is_well() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut count = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let regression: Regression = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let options = regression.options().unwrap();
        let failed = twice(regression.seed, &options).err();
        let report = failed.map(|failure| failure.report());
        assert!(report.is_none(), "{}: {}", path.display(), report.unwrap_or_default());
        count += 1;
    }
    assert!(count > 0, "there are regressions");
}

#[test]
fn a_seed_is_a_world_and_another_seed_another_one() {
    let hash = |seed| once(seed, &Options::default()).hash;
    assert_eq!(hash(1), hash(1));
    assert_ne!(hash(1), hash(2));
}

#[test]
fn a_world_without_a_fault_class_does_not_have_it() {
    let without = vec![Class::Kills, Class::PowerCuts, Class::DeepCrashes];
    for seed in 0..50 {
        let outcome = once(seed, &Options { without: without.clone(), steps: None });
        assert_eq!(outcome.failed, None, "seed {seed}");
    }
}
