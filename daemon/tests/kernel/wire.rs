//! Passive: the daemon opens no port and sends nothing.

use std::collections::BTreeSet;
use std::net::UdpSocket;

use anyhow::{Context, Result, ensure};
use knock_lab::lab::{CLIENT, Lab, SERVER, SERVER_MAC};
use knock_lab::namespace::Namespace;
use knock_lab::wire::{Port, Wire};
use knock_lab::{privilege, wait};

use crate::bench::{Tally, setup, shared};

#[test]
fn the_daemon_opens_no_port_and_sends_nothing() {
    privilege::test(|| {
        let _machine = shared();
        let lab = Lab::new()?;
        // The kernel must not answer either: what comes back is the daemon's.
        lab.drop_everything()?;
        let opened = Tally::new(&lab, "opened")?;
        let setup = setup(&lab)?;
        setup.write_config(
            "",
            &format!(
                "[door]\nsequence = 7000,8000:udp,9000\ntcpflags = syn\nstart_command = {}\n",
                opened.command()
            ),
        )?;
        let before = ports(&lab.server)?;
        let listener = Listener::new(&lab.client)?;
        let daemon = setup.start(&lab.server)?;
        let mut wire = Wire::new(&lab.client)?;
        for round in 1..=20 {
            for port in [Port::Tcp(7000), Port::Udp(8000), Port::Tcp(1), Port::Tcp(9000)] {
                wire.knock(CLIENT, SERVER, port)?;
            }
            // The stray port may or may not undo it; what is sent in answer is the question.
            wire.knock(CLIENT, SERVER, Port::Tcp(7000))?;
            wire.knock(CLIENT, SERVER, Port::Udp(8000))?;
            wire.knock(CLIENT, SERVER, Port::Tcp(9000))?;
            opened.wait_for(CLIENT, round).with_context(|| daemon.story())?;
        }
        let during = ports(&lab.server)?;
        ensure!(before == during, "it opened {:?}", during.difference(&before));
        listener.expect_silence(&lab.server)
    });
}

/// Returns the lines of all of `/proc/net`'s tables of ports that name one, without the volatile
/// columns. Packet sockets are no ports.
fn ports(namespace: &Namespace) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for table in
        ["tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp", "icmp6"]
    {
        // A kernel without a protocol lacks its table.
        let output = namespace.try_run(&format!("cat /proc/net/{table}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let lines = text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1));
        found.extend(lines.map(|local| format!("{table} {local}")));
    }
    Ok(found)
}

/// Counts what comes from the server, on the client's end of the cable.
struct Listener(pcap::Capture<pcap::Active>);

impl Listener {
    fn new(client: &Namespace) -> Result<Self> {
        let capture = client.enter(|| {
            let capture =
                pcap::Capture::from_device("eth0")?.immediate_mode(true).timeout(10).open()?;
            Ok(capture)
        })?;
        let mut capture = capture.setnonblock()?;
        let mac = SERVER_MAC.map(|byte| format!("{byte:02x}")).join(":");
        capture.filter(&format!("ether src {mac}"), true)?;
        Ok(Self(capture))
    }

    /// Sees to it that nothing has come, by a packet from the server that ends the wait.
    fn expect_silence(mut self, server: &Namespace) -> Result<()> {
        const MARK: &[u8] = b"the first thing that comes";
        server.enter(|| {
            let socket = UdpSocket::bind((SERVER, 0)).context("cannot make a socket")?;
            // To the discard port of a neighbour that is known.
            socket.send_to(MARK, (CLIENT, 9)).context("cannot send the mark")
        })?;
        let mut first = None;
        wait::until("the packet that ends the capture", || match self.0.next_packet() {
            Ok(packet) => {
                first = Some(packet.data.to_vec());
                Ok(true)
            }
            Err(pcap::Error::TimeoutExpired) => Ok(false),
            Err(error) => Err(error).context("cannot capture"),
        })?;
        let first = first.context("a packet came")?;
        ensure!(first.ends_with(MARK), "the daemon, or the kernel for it, sent {first:02x?}");
        Ok(())
    }
}
