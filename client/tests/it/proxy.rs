//! `--proxy`: what ssh's `ProxyCommand` gets.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use knock_lab::lab::Lab;
use knock_lab::service::Service;
use knock_lab::{privilege, wait};
use socket2::SockRef;

use crate::bench::{Ran, command, ran};

const BIG: usize = 12_000_000;

/// Bytes of which no two stretches are alike.
fn bytes(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// Runs a test that would wait for ever for a client that does not end, or does not pass the end
/// of one side on: after a while the client is killed, which ends all waiting.
fn test(body: impl FnOnce(&Lab) -> Result<()>) {
    privilege::test(|| {
        let lab = Lab::new()?;
        let (done, is_done) = channel::<()>();
        std::thread::scope(|scope| {
            let client = &lab.client;
            scope.spawn(move || match is_done.recv_timeout(2 * wait::SOON) {
                Err(RecvTimeoutError::Timeout) => client.kill_all(),
                Ok(()) | Err(RecvTimeoutError::Disconnected) => Ok(()),
            });
            let outcome = body(&lab);
            drop(done);
            outcome
        })
    });
}

fn start(lab: &Lab) -> Result<Child> {
    std::fs::create_dir_all(lab.folder().join("knock"))?;
    let profile = "[home]\nhost = \"192.0.2.1\"\nports = [7000, \"7001:udp\"]\ndelay = 10\n";
    std::fs::write(lab.folder().join("knock/config.toml"), profile)?;
    let mut command = command(lab);
    command.args(["home", "-v", "--proxy", "192.0.2.1", "22"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().context("cannot run knock")
}

fn finish(mut child: Child, since: Instant) -> Result<Ran> {
    wait::until("knock to end", || Ok(child.try_wait()?.is_some()))?;
    ran(child.wait_with_output().context("cannot wait for knock")?, since)
}

/// Listens on the server's port 22, in the server's network.
fn listen(lab: &Lab) -> Result<TcpListener> {
    lab.server
        .enter(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 22)).context("cannot serve port 22"))
}

#[test]
fn all_bytes_come_through_both_ways_and_the_end_of_input_ends_it() {
    test(|lab| {
        let _echo = Service::tcp(&lab.server, 22)?;
        let start_of_all = Instant::now();
        let mut child = start(lab)?;
        let mut input = child.stdin.take().context("its input is a pipe")?;
        let mut output = child.stdout.take().context("its output is a pipe")?;
        let sent = bytes(1, BIG);
        let back = std::thread::scope(|scope| {
            let writing = scope.spawn(|| {
                let written = input.write_all(&sent);
                drop(input);
                written
            });
            let mut back = Vec::new();
            output.read_to_end(&mut back)?;
            writing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            anyhow::Ok(back)
        })?;
        ensure!(back == sent, "{} bytes of {} came back", back.len(), sent.len());
        let ran = finish(child, start_of_all)?.expect(0)?;
        insta::assert_snapshot!(ran.stderr, @r"
        knocking at 192.0.2.1
        hitting tcp 192.0.2.1:7000
        hitting udp 192.0.2.1:7001
        192.0.2.1:22 accepts connections
        ");
        Ok(())
    });
}

#[test]
fn each_half_ends_by_itself() {
    test(|lab| {
        let listener = listen(lab)?;
        let since = Instant::now();
        let mut child = start(lab)?;
        let (mut connection, _) = listener.accept()?;
        let (greeting, answer) = (bytes(2, BIG), bytes(3, BIG));
        let mut input = child.stdin.take().context("its input is a pipe")?;
        let mut output = child.stdout.take().context("its output is a pipe")?;
        std::thread::scope(|scope| {
            let server = scope.spawn(|| {
                connection.write_all(&greeting)?;
                connection.shutdown(Shutdown::Write)?;
                let mut received = Vec::new();
                connection.read_to_end(&mut received)?;
                anyhow::Ok(received)
            });
            let mut heard = Vec::new();
            output.read_to_end(&mut heard)?;
            ensure!(heard == greeting, "{} bytes of {BIG} came", heard.len());
            // Standard output has ended, and standard input goes on.
            input.write_all(&answer)?;
            drop(input);
            let received =
                server.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            ensure!(received == answer, "{} bytes of {BIG} went", received.len());
            Ok(())
        })?;
        finish(child, since)?.expect(0).map(drop)
    });
}

#[test]
fn a_connection_that_breaks_off_is_told() {
    test(|lab| {
        let listener = listen(lab)?;
        let since = Instant::now();
        let mut child = start(lab)?;
        // Standard input stays open all the time: nothing may wait for it.
        let _input = child.stdin.take().context("its input is a pipe")?;
        let (mut connection, _) = listener.accept()?;
        // One that breaks off before it is joined is tried again.
        connection.write_all(b"hello")?;
        let mut hello = [0; 5];
        child.stdout.as_mut().context("its output is a pipe")?.read_exact(&mut hello)?;
        reset(connection)?;
        let ran = finish(child, since)?.expect(3)?;
        let last = ran.stderr.lines().last().unwrap_or_default();
        insta::assert_snapshot!(last, @"knock: the connection broke off: connection reset by peer");
        Ok(())
    });
}

#[test]
fn where_nobody_reads_any_more_it_ends() {
    test(|lab| {
        let listener = listen(lab)?;
        let since = Instant::now();
        let mut child = start(lab)?;
        let _input = child.stdin.take().context("its input is a pipe")?;
        drop(child.stdout.take());
        let (mut connection, _) = listener.accept()?;
        connection.write_all(b"hello")?;
        finish(child, since)?.expect(0).map(drop)
    });
}

fn reset(connection: TcpStream) -> Result<()> {
    SockRef::from(&connection).set_linger(Some(std::time::Duration::ZERO))?;
    drop(connection);
    Ok(())
}
