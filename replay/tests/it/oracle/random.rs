//! Random configs and captures: the model must decide exactly what the real knockd does.

use std::thread;

use knock_replay::knockd08::Families;

use super::case::{Capture, Case, Frame, Outcome};
use super::configs;
use super::generator::{self, Kind, Transport};
use super::knockd::Workplace;
use super::model;

const SEED: u64 = 0x5e5a_3e00_0000_0000;
const THREADS: u64 = 2;

/// What a series of cases came to, so that a test can tell that it tested something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    cases: usize,
    opens: usize,
    timeouts: usize,
    refused: usize,
    crashed: usize,
}

impl Tally {
    fn count(&mut self, outcome: &Outcome) {
        let lines = |event: &str| outcome.lines.iter().filter(|l| l.contains(event)).count();
        self.cases += 1;
        self.opens += lines(" OPEN ");
        self.timeouts += lines(" TIMEOUT ");
        self.refused += usize::from(outcome.end == "EXIT 1");
        self.crashed += usize::from(outcome.end == "CRASH 6");
    }

    fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.opens += other.opens;
        self.timeouts += other.timeouts;
        self.refused += other.refused;
        self.crashed += other.crashed;
    }
}

#[test]
fn two_thousand_plain_cases_agree_with_knockd() {
    let tally = compare("plain", 2000, |seed| generator::case(Kind::Plain, seed));
    assert_eq!(tally.cases, 2000);
    assert!(tally.opens > 5000 && tally.timeouts > 3000 && tally.refused > 5, "{tally:?}");
}

#[test]
fn wild_cases_agree_with_knockd() {
    let tally = compare("wild", 600, |seed| generator::case(Kind::Wild, seed));
    assert_eq!(tally.cases, 600);
    assert!(tally.opens > 300 && tally.refused > 20 && tally.crashed > 10, "{tally:?}");
}

#[test]
fn random_configs_are_read_as_knockd_reads_them() {
    let tally = compare("config", 600, configs::case);
    assert_eq!(tally.cases, 600);
    assert!(tally.opens > 100 && (100..500).contains(&tally.refused), "{tally:?}");
}

/// The filter sees no more than was captured.
///
/// A whole segment without SYN comes first: knockd takes the flags behind the end of a frame from
/// what the last one left there, which the model cannot know and takes for none.
#[test]
fn frames_cut_anywhere_agree_with_knockd() {
    let configs: [&[u8]; 3] = [
        b"[x]\nsequence=7000\ntcpflags=syn\n[y]\nsequence=7000\n",
        b"[x]\nsequence=7001\ntcpflags=syn\n[y]\nsequence=7000\n",
        b"[y]\nsequence=7000\n",
    ];
    let addresses = [("192.0.2.1", "10.0.0.1"), ("2001:db8:f::1", "2001:db8::1")];
    let make = |number: u64| {
        let number = usize::try_from(number - SEED).unwrap();
        let (config, (source, destination)) = (configs[number % 3], addresses[number / 3 % 2]);
        let frame = |port, flags| {
            generator::ethernet_frame(source, destination, (Transport::Tcp, port, flags))
        };
        let (before, mut knock) = (frame(22, 0x10), frame(7000, 2));
        knock.truncate(number / 6);
        let frames = [before, knock].map(|bytes| Frame { at_ns: 1_700_000_000_000_000_000, bytes });
        Case {
            config: config.to_vec(),
            files: Vec::new(),
            local: addresses.map(|(_, local)| local.parse().unwrap()).to_vec(),
            families: Families::Both,
            capture: Capture { link_type: 1, frames: frames.to_vec() },
        }
    };
    let tally = compare("cut", 6 * 75, make);
    // Whole frames open both doors of the first config; without flags, the ports are enough.
    assert!(tally.opens > 150 && tally.opens < 300, "{tally:?}");
}

/// Runs the cases of a series on each side and compares them.
fn compare(series: &str, cases: u64, make: impl Fn(u64) -> Case + Sync) -> Tally {
    let make = &make;
    let share = |thread: u64| {
        let workplace = Workplace::new(&format!("{series}{thread}"));
        let mut tally = Tally::default();
        for number in (thread..cases).step_by(usize::try_from(THREADS).unwrap()) {
            let case = make(SEED + number);
            let (knockd, model) = (workplace.run(&case), model::run(&case));
            assert!(knockd == model, "{}", describe(series, number, &case, &knockd, &model));
            tally.count(&knockd);
        }
        tally
    };
    let share = &share;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || share(n))).collect();
        let mut tally = Tally::default();
        for thread in threads {
            match thread.join() {
                Ok(part) => tally.add(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        tally
    })
}

fn describe(series: &str, number: u64, case: &Case, knockd: &Outcome, model: &Outcome) -> String {
    let config = String::from_utf8_lossy(&case.config);
    let pcap = std::env::temp_dir().join(format!("sesame-{series}-{number}.pcap"));
    let written = std::fs::write(&pcap, case.capture.to_pcap());
    let first = knockd.lines.iter().zip(&model.lines).position(|(a, b)| a != b);
    format!(
        "case {number} of {series} differs (first at line {first:?}); the capture is {} \
         ({written:?})\nlocal {:?} {:?} link {}\n{config}\n{:?}\nknockd {knockd:#?}\nmodel {model:#?}",
        pcap.display(),
        case.local,
        case.families,
        case.capture.link_type,
        case.files,
    )
}
