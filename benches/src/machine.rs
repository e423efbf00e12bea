//! What the figures were measured on: they mean nothing without it.

use std::fs;
use std::process::Command;

/// Returns one line: date, CPU, cores, kernel, commit and the versions of the contenders.
///
/// What can't be found out is called unknown.
#[must_use]
pub fn description() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{} UTC, {}, {cores} cores, Linux {}, commit {}, {}",
        jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M"),
        cpu().unwrap_or_else(unknown),
        fs::read_to_string("/proc/sys/kernel/osrelease")
            .map_or_else(|_| unknown(), |release| release.trim().to_owned()),
        commit().unwrap_or_else(unknown),
        tcpdump().unwrap_or_else(|| "tcpdump unknown".to_owned()),
    )
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn cpu() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn commit() -> Option<String> {
    let hash = output("git", &["rev-parse", "--short", "HEAD"])?;
    let changes = output("git", &["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changes.is_empty() { hash } else { format!("{hash} with changes") })
}

fn tcpdump() -> Option<String> {
    let lines = output("tcpdump", &["--version"])?;
    let mut versions = lines.lines().filter(|line| !line.starts_with("OpenSSL"));
    let (tcpdump, libpcap) = (versions.next()?, versions.next()?);
    let libpcap = libpcap.split_once(" (").map_or(libpcap, |(name, _)| name);
    Some(format!("{}, {libpcap}", tcpdump.replace(" version", "")).replace(" version", ""))
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
