//! An interface that flaps a thousand times: it is heard again within 2 s, and nothing grows.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use knock_lab::daemon::Daemon;
use knock_lab::lab::SERVER;
use knock_lab::wire::Wire;
use knock_lab::{privilege, wait};

use crate::bench::{Random, note};
use crate::house::{Door, GRACE, House, source};
use crate::soak::{Holding, amount};

const OPEN: Duration = Duration::from_secs(2);
/// How soon it must hear again.
const BACK: Duration = Duration::from_secs(2);
/// How many flaps there are between two knocks.
const BURST: usize = 10;

#[test]
fn a_thousand_flaps_of_an_interface_lose_nothing() {
    privilege::test(|| {
        let flaps = usize::try_from(amount("TORTURE_FLAPS", 30, 1_000)?)?;
        let mut house = House::new(OPEN)?;
        let mut daemon = house.start()?;
        let mut random = Random::new(1);
        let mut early = None;
        let mut slowest = Duration::ZERO;
        for burst in 0..flaps.div_ceil(BURST) {
            for _ in 0..BURST {
                flap(&house, random.below(4)).context("cannot flap")?;
                wait::pace(Instant::now() + Duration::from_micros(random.below(20_000)));
            }
            slowest = slowest.max(is_heard(&mut house, &daemon, burst)?);
            ensure!(daemon.is_running()?, "it ended\n{}", daemon.story());
            let now = Holding::of(daemon.pid()?)?;
            let early = *early.get_or_insert(now);
            ensure!(now.descriptors <= early.descriptors + 8, "{early:?}, {now:?}");
            ensure!(now.threads == early.threads, "{early:?}, {now:?}");
            ensure!(now.memory <= early.memory + (4 << 20), "{early:?}, {now:?}");
        }
        house.wait_until_shut(&daemon, OPEN + GRACE)?;
        note(&format!("{flaps} flaps: heard again after {slowest:?} at most"))?;
        daemon.stop(wait::SOON)
    });
}

/// Takes the interface away and gives it back, in one of four ways.
fn flap(house: &House, way: u64) -> Result<()> {
    let server = &house.lab.server;
    let run = |lines: &[&str]| lines.iter().try_for_each(|it| server.run(it).map(drop));
    match way {
        0 => run(&["ip link set eth0 down"])?,
        1 => {
            run(&["ip link delete eth0"])?;
            return house.lab.plug_in("eth0");
        }
        2 => run(&[
            "ip link set eth0 down",
            "ip link set eth0 name away0",
            "ip link set away0 name eth0",
        ])?,
        _ => run(&[&format!("ip address delete {SERVER}/24 dev eth0")])?,
    }
    house.lab.number("eth0", SERVER)
}

/// Knocks from one new source after the other until one is let in, and tells how long it took.
fn is_heard(house: &mut House, daemon: &Daemon, burst: usize) -> Result<Duration> {
    // The client's end may be another one.
    house.wire = Wire::new(&house.lab.client)?;
    let before = house.starts()?;
    let start = Instant::now();
    for host in 1..=80 {
        if start.elapsed() > BACK {
            break;
        }
        house.knock(Door::Rule, source(burst, host)?)?;
        wait::pace(Instant::now() + Duration::from_millis(25));
        if house.starts()? > before {
            return Ok(start.elapsed());
        }
    }
    // The last knock in time counts, however long a busy machine takes to show it.
    wait::until("a knock to be heard", || Ok(house.starts()? > before))
        .with_context(|| format!("after burst {burst}\n{}", daemon.story()))?;
    Ok(start.elapsed())
}
