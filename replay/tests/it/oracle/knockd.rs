//! Runs the real knockd over a case, with the shim that feeds it a capture.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;

use knock_replay::knockd08::Families;

use super::case::{Case, Outcome, is_decision};

/// What these tests need beside the Rust toolchain.
const INSTALL: &str = "apt-get install knockd gcc libpcap-dev";

/// The folder with the scenarios and the shim.
pub(super) fn oracle_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/oracle")
}

/// A folder for one thread's runs.
pub(super) struct Workplace {
    folder: PathBuf,
}

impl Workplace {
    /// Makes an empty folder; the name must be this thread's alone.
    pub(super) fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("knockd-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self { folder }
    }

    /// Runs the real knockd over a case.
    pub(super) fn run(&self, case: &Case) -> Outcome {
        let file = |name: &str| self.folder.join(name);
        fs::write(file("knockd.conf"), &case.config).unwrap();
        fs::write(file("in.pcap"), case.capture.to_pcap()).unwrap();
        fs::write(file("out"), []).unwrap();
        for (name, text) in &case.files {
            fs::write(file(name), text).unwrap();
        }
        let status = self.start(case);
        let lines = fs::read(file("out")).unwrap();
        let lines = String::from_utf8_lossy(&lines);
        let lines = lines.lines().filter(|line| is_decision(line)).map(str::to_owned).collect();
        let end = match (status.signal(), status.code()) {
            (Some(signal), _) => format!("CRASH {signal}"),
            (None, code) => format!("EXIT {}", code.unwrap()),
        };
        let read =
            |(name, _): &(String, String)| (name.clone(), fs::read_to_string(file(name)).unwrap());
        Outcome { lines, end, files: case.files.iter().map(read).collect() }
    }

    fn start(&self, case: &Case) -> ExitStatus {
        let knockd = std::env::var_os("KNOCKD").unwrap_or_else(|| "/usr/sbin/knockd".into());
        let local: Vec<_> = case.local.iter().map(ToString::to_string).collect();
        let mut command = Command::new(&knockd);
        command
            .args(["-c", "knockd.conf", "-i", "eth0", "-g", "/dev/null"])
            .args((case.families == Families::OnlyIpv4).then_some("-4"))
            .current_dir(&self.folder)
            .env("TZ", "UTC")
            .env("KNOCK_PCAP", "in.pcap")
            .env("KNOCK_IFACE", "eth0")
            .env("KNOCK_LOCAL_IPS", local.join(","))
            .env("KNOCK_OUT", "out")
            .env("LD_PRELOAD", shim())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().unwrap_or_else(|error| {
            panic!("the real knockd is needed ({}: {error}): {INSTALL}", knockd.display())
        })
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        // What stays behind lies in the target folder and does no harm.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Builds the shim once for each run of the tests.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (built, shim) = (
            folder.join(format!("pcapshim-{}.so", std::process::id())),
            folder.join("pcapshim.so"),
        );
        let output = Command::new("gcc")
            .args(["-O2", "-Wall", "-shared", "-fPIC", "-o"])
            .arg(&built)
            .arg(oracle_folder().join("pcapshim.c"))
            .args(["-lpcap", "-ldl"])
            .output()
            .unwrap_or_else(|error| panic!("gcc is needed ({error}): {INSTALL}"));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "the shim does not build; is all there? {INSTALL}\n{errors}"
        );
        fs::rename(built, &shim).unwrap();
        shim
    })
}
