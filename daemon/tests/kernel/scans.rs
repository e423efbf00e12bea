//! Port scans open nothing, and keep nobody else from opening.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result, ensure};
use knock_lab::daemon::{Daemon, Setup};
use knock_lab::lab::{Lab, SERVER};
use knock_lab::privilege;
use knock_lab::wire::{Port, Wire};

use crate::bench::{Tally, folder, program, sample_or_full, shared};

/// The doors, with their sequences as they are written and as they are sent.
pub(crate) const DOORS: [(&str, &str, [Port; 3]); 3] = [
    ("tcp", "7000,8000,9000", [Port::Tcp(7000), Port::Tcp(8000), Port::Tcp(9000)]),
    ("mixed", "7001,8001:udp,9001", [Port::Tcp(7001), Port::Udp(8001), Port::Tcp(9001)]),
    ("udp", "7002:udp,8002:udp,9002:udp", [Port::Udp(7002), Port::Udp(8002), Port::Udp(9002)]),
];

/// A way to go through the ports.
#[derive(Clone, Copy, Debug)]
enum Scan {
    /// By nmap, with these options.
    Nmap(&'static str),
    /// SYNs and datagrams from the highest port down, which nmap does not do.
    Backwards,
}

const SCANS: [Scan; 6] = [
    Scan::Nmap("-sS -r"),
    Scan::Backwards,
    Scan::Nmap("-sS"),
    Scan::Nmap("-sF -r"),
    Scan::Nmap("-sS -r --scanflags SYNACK"),
    Scan::Nmap("-sU -r --max-retries 0 --min-rate 2000"),
];

#[test]
fn scans_open_no_door_and_honest_knocks_open_every_time() {
    privilege::test(|| {
        let _machine = shared();
        let lab = Lab::new()?;
        let doors: Vec<Guarded> =
            DOORS.iter().map(|door| guard(&lab, door)).collect::<Result<_>>()?;
        let mut honest = Honest { wire: Wire::new(&lab.client)?, doors: &doors, count: 0 };
        let count = sample_or_full(SCANS.len(), 100);
        for (number, scan) in (0..count).zip(SCANS.iter().cycle()) {
            let source = Ipv4Addr::new(198, 51, 100, 10 + u8::try_from(number % 40)?);
            // Every other scan has the doors for itself, as on a quiet night.
            if number % 2 == 0 {
                scan.run(&lab, source)?;
            } else {
                honest.knock_during(|| scan.run(&lab, source))?;
            }
            honest.knock()?;
            for door in &doors {
                let opened = door.tally.count(source.into())?;
                ensure!(opened == 0, "{scan:?} opened {}\n{}", door.name, door.daemon.story());
            }
        }
        Ok(())
    });
}

/// A door behind a daemon of its own, for another door's ports would disturb a scan.
struct Guarded {
    name: &'static str,
    ports: [Port; 3],
    tally: Tally,
    daemon: Daemon,
}

fn guard(lab: &Lab, &(name, sequence, ports): &(&'static str, &str, [Port; 3])) -> Result<Guarded> {
    let tally = Tally::new(lab, name)?;
    let setup = Setup::new(&program(), &folder(lab, name)?);
    setup.write_config(
        "",
        &format!(
            "[{name}]\nsequence = {sequence}\nseq_timeout = 25\ntcpflags = syn\n\
             start_command = {}\n",
            tally.command()
        ),
    )?;
    let daemon = setup.start(&lab.server)?;
    Ok(Guarded { name, ports, tally, daemon })
}

impl Scan {
    /// Goes through the ports 1 to 10,000.
    fn run(self, lab: &Lab, source: Ipv4Addr) -> Result<()> {
        match self {
            Self::Nmap(options) => {
                let line =
                    format!("nmap -Pn -n -T4 -e eth0 -S {source} {options} -p 1-10000 {SERVER}");
                let report = lab.client.run(&line)?;
                ensure!(report.contains("1 host up"), "{line}: {report}");
            }
            Self::Backwards => {
                let mut wire = Wire::new(&lab.client)?;
                for port in (1..=10_000).rev() {
                    wire.knock(source.into(), SERVER, Port::Tcp(port))?;
                    wire.knock(source.into(), SERVER, Port::Udp(port))?;
                }
            }
        }
        Ok(())
    }
}

/// Sources that knock rightly, each once.
struct Honest<'a> {
    wire: Wire,
    doors: &'a [Guarded],
    count: usize,
}

impl Honest<'_> {
    /// Knocks at every door and sees it open.
    fn knock(&mut self) -> Result<()> {
        for door in self.doors {
            let source = honest_source(self.count)?;
            self.count += 1;
            for port in door.ports {
                self.wire.knock(source, SERVER, port)?;
            }
            door.tally.wait_for(source, 1).with_context(|| door.daemon.story())?;
        }
        Ok(())
    }

    /// Knocks as long as something else goes on.
    fn knock_during(&mut self, other: impl FnOnce() -> Result<()> + Send) -> Result<()> {
        std::thread::scope(|scope| {
            let other = scope.spawn(other);
            while !other.is_finished() {
                self.knock()?;
            }
            other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

fn honest_source(number: usize) -> Result<IpAddr> {
    let [high, low] = u16::try_from(number).context("too many honest knocks")?.to_be_bytes();
    Ok(Ipv4Addr::new(198, 18, high, low).into())
}
