//! Scans of all ports as virtual packets, straight through the engine: no kernel, no waiting.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use knock_engine::local::LocalAddresses;
use knock_engine::output::{Action, Output};
use knock_engine::packet::{Packet, TcpFlags, Transport};
use knock_engine::time::Timestamp;
use knock_engine::{Engine, HashKey, config};
use knock_lab::lab::SERVER;
use knock_lab::wire::Port;

use crate::bench::{Random, sample_or_full};
use crate::scans::DOORS;

/// A whole scan takes 20 s: less than the doors' 25, else time alone would stop it.
const PAUSE: Duration = Duration::from_nanos(20_000_000_000 / (2 * 65_535));

#[test]
fn random_scans_of_all_ports_open_nothing() -> Result<()> {
    let doors = DOORS.map(|(name, sequence, _)| {
        format!(
            "[{name}]\nsequence = {sequence}\nseq_timeout = 25\ntcpflags = syn\ncommand = true\n"
        )
    });
    let config = config::parse(doors.concat().as_bytes()).config.context("the config is right")?;
    let local = LocalAddresses::Known(vec![SERVER]);
    let mut trial = Trial {
        engine: Engine::new(config, local, HashKey([1, 2])),
        now: Timestamp::from_nanos(1_700_000_000_000_000_000),
        sequence_number: 0,
    };
    let mut random = Random::new(7);
    let tcp = (1..=u16::MAX).map(Port::Tcp);
    let mut ports: Vec<Port> = tcp.chain((1..=u16::MAX).map(Port::Udp)).collect();
    for number in 0..sample_or_full(20, 1000) {
        random.shuffle(&mut ports);
        let [high, low] = u16::try_from(number)?.to_be_bytes();
        let scanner = Ipv4Addr::new(203, 0, high, low).into();
        let opened = trial.send(scanner, &ports);
        ensure!(opened.is_empty(), "scan {number} opened {opened:?}");
        let honest = Ipv4Addr::new(198, 18, high, low).into();
        for (name, _, knock) in DOORS {
            let opened = trial.send(honest, &knock);
            ensure!(opened == [name], "a knock at {name} opened {opened:?}");
        }
    }
    Ok(())
}

struct Trial {
    engine: Engine,
    now: Timestamp,
    sequence_number: u32,
}

impl Trial {
    /// Sends packets and returns the names of the doors that open.
    fn send(&mut self, source: IpAddr, ports: &[Port]) -> Vec<String> {
        let mut opened = Vec::new();
        for &port in ports {
            self.now = self.now.saturating_add(PAUSE);
            self.sequence_number = self.sequence_number.wrapping_add(1);
            let (destination_port, transport) = match port {
                Port::Udp(port) => (port, Transport::Udp),
                Port::Tcp(port) => {
                    let sequence_number = self.sequence_number;
                    (port, Transport::Tcp { sequence_number, flags: TcpFlags::SYN })
                }
            };
            let packet = Packet {
                source,
                destination: SERVER,
                source_port: 40_000,
                destination_port,
                transport,
            };
            self.engine.handle_packet(&packet, self.now);
            while let Some(output) = self.engine.poll_output() {
                if let Output::Action(Action::Start { door, .. }) = output {
                    opened.push(door.name.clone());
                }
            }
        }
        opened
    }
}
