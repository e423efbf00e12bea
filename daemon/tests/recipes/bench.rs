//! What the tests have in common: programs, the files of `examples/`, and knocks.

use std::io::Write;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use knock_lab::lab::{CLIENT, CLIENT_V6, Lab, OTHER, SERVER, SERVER_V6};
use knock_lab::namespace::Namespace;
use knock_lab::reach;

/// How long somebody waits for an answer that a firewall drops.
pub(crate) const SHORT: Duration = Duration::from_millis(300);

/// An address beside [`CLIENT_V6`], in another network.
const OTHER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 8, 0, 0, 0, 0, 8));

/// One who knocks, one who does not, and whom they try to reach, in one family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    pub(crate) source: IpAddr,
    pub(crate) stranger: IpAddr,
    pub(crate) server: IpAddr,
}

/// IPv4 and IPv6.
pub(crate) const SIDES: [Side; 2] = [
    Side { source: CLIENT, stranger: OTHER, server: SERVER },
    Side { source: CLIENT_V6, stranger: OTHER_V6, server: SERVER_V6 },
];

impl Side {
    /// Returns what clients call this family.
    pub(crate) const fn flag(&self) -> &'static str {
        if self.server.is_ipv6() { "-6" } else { "-4" }
    }
}

/// Makes a lab with both families, and a stranger in each.
pub(crate) fn lab() -> Result<Lab> {
    let lab = Lab::new()?;
    lab.add_ipv6()?;
    lab.client.run(&format!("ip address add {OTHER_V6}/64 dev eth0 nodad"))?;
    lab.server.run(&format!("ip route add 2001:db8:8::/64 via {CLIENT_V6} dev eth0"))?;
    Ok(lab)
}

/// Returns our daemon.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_knockd"))
}

/// Returns a program of another package of this workspace, which stands beside ours.
///
/// `cargo test --workspace` builds all of them; with `-p knockd` alone cargo does not know that it
/// is wanted.
pub(crate) fn sibling(name: &str, package: &str) -> Result<PathBuf> {
    let path = program().with_file_name(name);
    ensure!(
        path.exists(),
        "there is no {}: run cargo build -p {package}, or cargo test --workspace",
        path.display()
    );
    Ok(path)
}

/// Returns a folder of `examples/firewalls`, or that folder.
pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/firewalls").join(name)
}

/// Returns a folder of the test's own in the lab's.
pub(crate) fn folder(lab: &Lab, name: &str) -> Result<PathBuf> {
    let folder = lab.folder().join(name);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Says on the real standard error what was not tried, whatever the test harness hides.
pub(crate) fn note(note: &str) -> Result<()> {
    writeln!(std::io::stderr(), "recipe tests: {note}").context("cannot write to standard error")
}

/// Runs lines of shell to their end, and returns what they printed.
pub(crate) fn shell(namespace: &Namespace, lines: &str) -> Result<String> {
    let output = namespace
        .command("bash")
        .args(["-euc", lines])
        .output()
        .with_context(|| format!("cannot run {lines}"))?;
    let (text, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{lines}: {}:\n{text}{errors}", output.status);
    Ok(text.into_owned())
}

/// Tells whether a TCP service lets somebody in.
pub(crate) fn connects(from: &Namespace, source: IpAddr, service: SocketAddr) -> Result<bool> {
    Ok(reach::tcp(from, source, service, SHORT)?.is_connected())
}
