//! The way of a new user, from the built programs to a login: the very lines of the recipes' README.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use knock_lab::namespace::Namespace;
use knock_lab::ssh::Sshd;
use knock_lab::{privilege, wait};

use crate::bench::{SIDES, Side, connects, example, folder, lab, note, shell, sibling};

/// What the user chooses in place of the example's sequence, as the config and as clients have it.
const OWN: [&str; 2] = ["50517,3391:udp,61160,8029", "50517 3391:udp 61160 8029"];
const EXAMPLE: &str = "38211 9127:udp 52904 21733";

#[test]
fn a_new_user_gets_in_by_what_the_readme_says() {
    privilege::test(|| {
        if !privilege::is_real_root() {
            return note("sshd needs real root: the way of a new user was not tried");
        }
        let readme = std::fs::read_to_string(example("README.md"))?;
        let (_, steps) = readme.split_once("## From nothing to a login").context("the steps")?;
        let blocks: Vec<&str> = steps
            .split("```sh\n")
            .skip(1)
            .take(3)
            .filter_map(|block| block.split("```").next())
            .collect();
        let [on_server, on_client, in_one_step] = blocks[..] else {
            anyhow::bail!("the steps for server and client are {blocks:?}")
        };
        for side in SIDES {
            follow(side, on_server, [on_client, in_one_step])
                .with_context(|| format!("in the family of {}", side.server))?;
        }
        Ok(())
    });
}

fn follow(side: Side, on_server: &str, on_client: [&str; 2]) -> Result<()> {
    let lab = lab()?;
    // What the package installs: programs on the path, and a config that others can't read.
    let programs = folder(&lab, "bin")?;
    for name in ["knockd", "knock"] {
        std::os::unix::fs::symlink(sibling(name, name)?, programs.join(name))?;
    }
    for namespace in [&lab.server, &lab.client] {
        namespace.own_folder("/etc")?;
    }
    std::fs::write(lab.server.path("/etc/knockd.conf"), "")?;
    lab.server.run("chmod 640 /etc/knockd.conf")?;
    let sshd = Sshd::start(&lab.server, &folder(&lab, "ssh")?)?;
    become_known(&lab.client, side, &sshd)?;
    let mut session = Session::begin(&lab.client, &programs)?;
    session.expect_answer().context("before there is a firewall")?;

    let edit = format!("sed -i 's/^\\( *sequence *=\\).*/\\1 {}/' /etc/knockd.conf", OWN[0]);
    let start = "knockd >/run/log 2>&1 &";
    let lines = replaced(on_server, "editor /etc/knockd.conf", &edit)?;
    let lines = replaced(&lines, "systemctl enable --now knockd", start)?;
    // The daemon outlives the shell, as it does with systemd.
    run(&mut in_a_shell(&lab.server, &programs, &lines))?;
    let log = lab.server.path("/run/log");
    let log = || std::fs::read_to_string(&log).unwrap_or_default();
    wait::until("knockd to listen", || Ok(log().contains("listening on eth0")))
        .with_context(log)?;

    session.expect_answer().context("the session that the setup promises to keep")?;

    let service = (side.server, 22).into();
    for lines in on_client {
        let lines = replaced(lines, EXAMPLE, OWN[1])?;
        ensure!(!connects(&lab.client, side.source, service)?, "port 22 is open before the knock");
        let who = run(&mut in_a_shell(&lab.client, &programs, &lines)).with_context(log)?;
        ensure!(who.contains("inside"), "no login, but {who}");
        // Half a minute is the kernel's business, and tried elsewhere.
        shell(&lab.server, "nft flush set inet knock ssh4; nft flush set inet knock ssh6")?;
    }
    Ok(())
}

/// Makes the client's machine one that knows the server by name and has a key for it.
fn become_known(client: &Namespace, side: Side, sshd: &Sshd) -> Result<()> {
    let hosts = client.path("/etc/hosts");
    std::fs::write(hosts, format!("{} server.example\n", side.server))?;
    let config = format!(
        "IdentityFile {}\nStrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n\
         ServerAliveInterval 5\nServerAliveCountMax 1\n",
        sshd.user_key().display()
    );
    std::fs::write(client.path("/etc/ssh/ssh_config"), config)?;
    Ok(())
}

/// Replaces what the user has to say otherwise; it must be there once.
fn replaced(lines: &str, old: &str, new: &str) -> Result<String> {
    ensure!(lines.matches(old).count() == 1, "{old:?} is not once in\n{lines}");
    Ok(lines.replace(old, new))
}

/// Makes a shell that stands in the repository, with the programs on its path; a login that runs
/// nothing there says where it is.
fn in_a_shell(namespace: &Namespace, programs: &Path, lines: &str) -> Command {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let lines = format!("cd {}\n{lines}", repository.display());
    // The login's shell reads what is said to ssh, and there is no terminal.
    let lines = lines.replace("root@server.example\n", "root@server.example echo inside\n");
    let mut command = namespace.command("bash");
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}:/usr/sbin:/sbin", programs.display()));
    command.args(["-euc", &lines]);
    command
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output().context("cannot run a shell")?;
    let (text, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{}:\n{text}{errors}", output.status);
    Ok(text.into_owned())
}

/// A session by ssh that says again what it hears.
struct Session {
    ssh: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Session {
    fn begin(client: &Namespace, programs: &Path) -> Result<Self> {
        let mut command = in_a_shell(client, programs, "exec ssh root@server.example cat");
        let mut ssh = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = ssh.stdin.take().context("its input is a pipe")?;
        let output = BufReader::new(ssh.stdout.take().context("its output is a pipe")?);
        Ok(Self { ssh, input, output })
    }

    fn expect_answer(&mut self) -> Result<()> {
        // Where nothing comes back ssh gives up (ServerAliveInterval).
        let mut line = String::new();
        self.input.write_all(b"still there?\n").context("ssh is gone")?;
        self.output.read_line(&mut line)?;
        ensure!(line == "still there?\n", "ssh says {line:?}");
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.ssh.kill();
        let _ = self.ssh.wait();
    }
}
