//! A real sshd, and who may log in to it by a key.

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use anyhow::{Context, Result, ensure};

use crate::namespace::Namespace;
use crate::wait;

/// A server at port 22; dropping it ends it, and not the sessions that it has.
#[derive(Debug)]
pub struct Sshd {
    child: Child,
    files: PathBuf,
}

impl Sshd {
    /// Starts a server with keys of its own, whose files are in this folder.
    ///
    /// It takes real root: sshd gives up its groups, which a user namespace forbids.
    ///
    /// # Errors
    ///
    /// Where it can't be started, or does not listen.
    pub fn start(namespace: &Namespace, files: &Path) -> Result<Self> {
        let path = |name: &str| files.join(name).display().to_string();
        for key in ["host-key", "user-key"] {
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-t", "ed25519", "-N", "", "-f", &path(key)]);
            let status = command.status().context("cannot run ssh-keygen, of openssh-client")?;
            ensure!(status.success(), "ssh-keygen failed");
        }
        std::fs::copy(path("user-key.pub"), path("authorized-keys"))?;
        std::fs::set_permissions(path("authorized-keys"), PermissionsExt::from_mode(0o600))?;
        let config = format!(
            "Port 22\nHostKey {}\nAuthorizedKeysFile {}\nPasswordAuthentication no\n\
             PermitRootLogin yes\nStrictModes no\nUsePAM no\nPidFile none\n",
            path("host-key"),
            path("authorized-keys"),
        );
        std::fs::write(path("sshd.conf"), config)?;
        std::fs::create_dir_all(namespace.path("/run/sshd"))?;
        let log = std::fs::File::create(path("sshd.log"))?;
        let child = namespace
            .command("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", &path("sshd.conf")])
            .stderr(log)
            .spawn()
            .context("cannot run sshd, of openssh-server")?;
        let sshd = Self { child, files: files.to_owned() };
        wait::until("sshd to listen", || {
            let log = std::fs::read_to_string(path("sshd.log"))?;
            Ok(log.contains("Server listening on 0.0.0.0 port 22"))
        })?;
        Ok(sshd)
    }

    /// Returns the private key of the user who may log in.
    #[must_use]
    pub fn user_key(&self) -> PathBuf {
        self.files.join("user-key")
    }

    /// Returns a command that logs in from a namespace; what to run there is its last argument, and
    /// more options come before it.
    #[must_use]
    pub fn login(&self, from: &Namespace, server: IpAddr) -> Command {
        let mut command = from.command("ssh");
        command.arg("-i").arg(self.user_key());
        for option in [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "ConnectTimeout=3",
            "LogLevel=ERROR",
        ] {
            command.args(["-o", option]);
        }
        command.args(["-F", "none", "-l", "root", &server.to_string()]);
        command
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
