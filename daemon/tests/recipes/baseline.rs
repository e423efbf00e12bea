//! The baseline firewall takes itself back, unless somebody says that it shall stay.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use knock_lab::lab::{CLIENT, SERVER};
use knock_lab::reach::{self, Reached};
use knock_lab::service::Service;
use knock_lab::{privilege, wait};

use crate::bench::{SIDES, connects, example, lab, shell};

#[test]
fn the_baseline_undoes_itself_unless_it_is_confirmed() {
    privilege::test(|| {
        for tool in ["nft", "iptables-nft", "iptables-legacy"] {
            undone_or_confirmed(tool)?;
        }
        Ok(())
    });
}

fn undone_or_confirmed(tool: &str) -> Result<()> {
    let lab = lab()?;
    let _ssh = Service::tcp(&lab.server, 22)?;
    let _web = Service::tcp(&lab.server, 443)?;
    let setup = example("baseline/setup").display().to_string();
    let is_open = |port| -> Result<Vec<bool>> {
        let services = SIDES.map(|side| (side.source, SocketAddr::new(side.server, port)));
        services.into_iter().map(|(from, to)| connects(&lab.client, from, to)).collect()
    };
    // No rule has made the kernel track it.
    let before = reach::tcp(&lab.client, CLIENT, SocketAddr::new(SERVER, 22), wait::SOON)?;
    let Reached::Connected(mut session) = before else { anyhow::bail!("no firewall, no entry") };

    let apply = format!("{setup} --with {tool} --allow 443/tcp");
    // However it is called, somebody is there to undo it.
    let options = apply.split_once(' ').map_or("", |(_, options)| options);
    let folder = example("baseline").display().to_string();
    shell(&lab.server, &format!("cd {folder}; bash setup {options} --seconds 1"))?;
    ensure!(is_open(22)? == [false, false], "{tool}: port 22 is open behind the baseline");
    ensure!(is_open(443)? == [true, true], "{tool}: --allow 443/tcp did not");
    reach::echo(&mut session, "the session of before goes on")?;
    wait::until("the baseline to undo itself", || Ok(is_open(22)? == [true, true]))?;

    shell(&lab.server, &format!("{apply} --seconds 60; {setup} undo"))?;
    ensure!(is_open(22)? == [true, true], "{tool}: undo left port 22 shut");
    ensure!(
        shell(&lab.server, &format!("{setup} confirm")).is_err(),
        "there is nothing to confirm"
    );

    shell(&lab.server, &format!("{apply} --seconds 1; {setup} confirm"))?;
    // Whoever would undo it is gone before the second is over.
    wait::until("the timer to end", || Ok(lab.server.processes()?.is_empty()))?;
    ensure!(is_open(22)? == [false, false], "{tool}: it was undone though it was confirmed");
    reach::echo(&mut session, "still")
}

#[test]
fn the_baseline_that_cannot_be_loaded_changes_nothing() {
    privilege::test(|| {
        let lab = lab()?;
        let _ssh = Service::tcp(&lab.server, 22)?;
        let setup = example("baseline/setup").display().to_string();
        // A port that no rule can have.
        let outcome = shell(&lab.server, &format!("{setup} --allow 70000/tcp"));
        ensure!(outcome.is_err(), "port 70000 was taken");
        let service = SocketAddr::new(SERVER, 22);
        ensure!(connects(&lab.client, CLIENT, service)?, "port 22 is shut by rules that are none");
        shell(&lab.server, &format!("{setup} --seconds 60; {setup} confirm"))?;
        Ok(())
    });
}

#[test]
fn the_baseline_prints_what_a_boot_can_load() {
    privilege::test(|| {
        let lab = lab()?;
        let setup = example("nftables/setup").display().to_string();
        shell(&lab.server, &format!("{setup} --print > /run/knock.nft; nft -f /run/knock.nft"))?;
        let sets = shell(&lab.server, "nft list sets inet")?;
        ensure!(sets.contains("ssh4") && sets.contains("ssh6"), "{sets}");
        Ok(())
    });
}
