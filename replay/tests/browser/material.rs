//! Captures and configs, made here, and the pages about them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

pub(crate) const CONFIG: &str = "\
[ssh]
sequence = 7000,8000,9000
seq_timeout = 5
start_command = iptables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
cmd_timeout = 30
stop_command = iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT

[admin]
sequence = 2222,3333,4444,5555
seq_timeout = 5
start_command = admin-open %IP%
cmd_timeout = 120
stop_command = admin-close %IP%
";

const SSH: [u16; 3] = [7000, 8000, 9000];
const ADMIN: [u16; 4] = [2222, 3333, 4444, 5555];

/// Packets by their microsecond, each from a port of its own.
#[derive(Default)]
pub(crate) struct Traffic {
    packets: Vec<(u64, Vec<u8>)>,
    port: u16,
}

impl Traffic {
    /// Adds knocks at these ports, so many microseconds apart.
    fn knock(&mut self, at: u64, source: [u8; 4], ports: &[u16], gap: u64) {
        for (index, port) in (0..).zip(ports) {
            self.port = (self.port + 1) % 60_000;
            self.packets.push((at + index * gap, syn(source, 1_024 + self.port, *port)));
        }
    }

    pub(crate) fn into_pcap(mut self) -> Vec<u8> {
        self.packets.sort();
        let mut file = Vec::with_capacity(self.packets.len() * 70);
        for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1] {
            file.extend(u32::to_le_bytes(word));
        }
        for (at, frame) in self.packets {
            let second = 1_795_341_600 + u32::try_from(at / 1_000_000).unwrap();
            let micros = u32::try_from(at % 1_000_000).unwrap();
            let length = u32::try_from(frame.len()).unwrap();
            for word in [second, micros, length, length] {
                file.extend(u32::to_le_bytes(word));
            }
            file.extend(frame);
        }
        file
    }
}

fn syn(source: [u8; 4], source_port: u16, port: u16) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([0x08, 0x00, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
    frame.extend(source);
    frame.extend([192, 0, 2, 1]);
    frame.extend(source_port.to_be_bytes());
    frame.extend(port.to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
    frame
}

/// A few attempts, each of its kind: opened with time to spare and with next to none, too late,
/// one short, overtaken, a scan, and knocks without the first one.
pub(crate) fn few() -> Vec<u8> {
    const MINUTE: u64 = 60_000_000;
    let mut traffic = Traffic::default();
    let (home, away, office) = ([198, 51, 100, 7], [198, 51, 100, 8], [203, 0, 113, 20]);
    traffic.knock(0, home, &SSH, 300_000);
    traffic.knock(MINUTE, home, &SSH, 2_600_000);
    traffic.knock(2 * MINUTE, away, &SSH, 2_450_000);
    traffic.knock(3 * MINUTE, away, &SSH[..2], 400_000);
    traffic.knock(4 * MINUTE, office, &[7000, 9000, 8000], 20_000);
    traffic.knock(5 * MINUTE, office, &ADMIN, 500_000);
    traffic.knock(6 * MINUTE, office, &ADMIN[1..], 500_000);
    let scan: Vec<u16> = [7000].into_iter().chain(1..40).collect();
    traffic.knock(7 * MINUTE, [203, 0, 113, 66], &scan, 1_000);
    traffic.knock(8 * MINUTE, home, &ADMIN, 700_000);
    traffic.into_pcap()
}

/// So many attempts in a day, of all kinds, by thousands of sources.
pub(crate) fn many(attempts: u32) -> Vec<u8> {
    let mut traffic = Traffic::default();
    // A generator of Lehmer's is random enough to spread them.
    let mut state: u64 = 42;
    let mut random = |below: u64| {
        state = state * 48_271 % 0x7fff_ffff;
        state % below
    };
    for _ in 0..attempts {
        let at = random(86_400_000) * 1_000;
        let of_ten = u8::try_from(random(10)).unwrap();
        let [a, b, c] = [random(8), random(100), random(200)].map(|it| u8::try_from(it).unwrap());
        let source = if of_ten < 4 { [198, 51, 100, a] } else { [203, 0, b, c] };
        let ports: &[u16] = if random(2) == 0 { &SSH } else { &ADMIN };
        let gap = match random(10) {
            0 => 2_600_000,
            1 => 1_600_000,
            _ => 100_000 + random(600_000),
        };
        let knocks = if random(8) == 0 { ports.len() - 1 } else { ports.len() };
        traffic.knock(at, source, &ports[..knocks], gap);
    }
    traffic.into_pcap()
}

/// A folder of a test's own, with a page in it.
pub(crate) struct Made {
    pub(crate) page: PathBuf,
}

/// Makes the page of a capture.
pub(crate) fn make(test: &str, config: &str, trace: (&str, &[u8])) -> Made {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("browser").join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("knockd.conf"), config).unwrap();
    fs::write(folder.join(trace.0), trace.1).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_knock-replay"));
    command.current_dir(&folder).stdin(Stdio::null());
    command.args(["report", "-c", "knockd.conf", "--local", "192.0.2.1", "-o", "page.html", "--"]);
    let output = command.arg(trace.0).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    Made { page: folder.join("page.html") }
}
