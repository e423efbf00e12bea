//! Clients whose sockets stay open, so that the kernel repeats each SYN that nobody answers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use knock_lab::lab::{Lab, SERVER};
use knock_lab::{privilege, wait};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::bench::{Tally, setup, shared};

const PORTS: [u16; 3] = [7000, 8000, 9000];
const GAP: Duration = Duration::from_millis(300);
/// Between the first repeats, after 1 s, and the second, after 3 s.
const SECOND_TRY: Duration = Duration::from_secs(2);
/// When the last repeat that is waited for comes, after the first packet of the last try.
const LAST_REPEAT: Duration = Duration::from_secs(7);

/// A client and what becomes of its packets.
struct Client {
    last_octet: u8,
    /// Which packet of the first try is lost, if any.
    loses: Option<usize>,
    tries_again: bool,
    /// How many knocks are complete in the end: each opens once.
    completes: usize,
}

const CLIENTS: [Client; 5] = [
    Client { last_octet: 11, loses: None, tries_again: false, completes: 1 },
    Client { last_octet: 12, loses: None, tries_again: true, completes: 2 },
    Client { last_octet: 13, loses: Some(0), tries_again: true, completes: 1 },
    Client { last_octet: 14, loses: Some(1), tries_again: true, completes: 1 },
    // The repeat of the lost last packet completes the first try.
    Client { last_octet: 15, loses: Some(2), tries_again: true, completes: 2 },
];

#[test]
fn each_completed_knock_opens_once_though_the_kernel_repeats_its_packets() {
    privilege::test(|| {
        let _machine = shared();
        let lab = Lab::new()?;
        lab.drop_everything()?;
        // Newer kernels repeat every second at first, if they are let; older ones don't know how.
        lab.client.try_run("sysctl -qw net.ipv4.tcp_syn_linear_timeouts=0")?;
        let tally = Tally::new(&lab, "opened")?;
        let setup = setup(&lab)?;
        setup.write_config(
            "",
            &format!(
                "[door]\nsequence = 7000,8000,9000\nseq_timeout = 15\ntcpflags = syn\n\
                 start_command = {}\n",
                tally.command()
            ),
        )?;
        let daemon = setup.start(&lab.server)?;
        std::thread::scope(|scope| -> Result<()> {
            let clients: Vec<_> =
                CLIENTS.iter().map(|client| scope.spawn(|| client.knock(&lab))).collect();
            for client in clients {
                client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            }
            Ok(())
        })?;
        for client in &CLIENTS {
            let opened = tally.count(client.source())?;
            ensure!(
                opened == client.completes,
                "{} completes {} knocks and opened {opened} times\n{}",
                client.source(),
                client.completes,
                daemon.story()
            );
        }
        Ok(())
    });
}

impl Client {
    fn source(&self) -> IpAddr {
        Ipv4Addr::new(198, 51, 100, self.last_octet).into()
    }

    /// Knocks, once or twice, and holds all sockets until the last repeat is over.
    fn knock(&self, lab: &Lab) -> Result<()> {
        let mut sockets = Vec::new();
        let start = Instant::now();
        self.try_once(lab, start, self.loses, &mut sockets)?;
        let mut last = start;
        if self.tries_again {
            last = start + SECOND_TRY;
            self.try_once(lab, last, None, &mut sockets)?;
        }
        let last_packet = last + GAP * 2;
        wait::pace(last_packet + LAST_REPEAT + GAP);
        Ok(())
    }

    fn try_once(
        &self,
        lab: &Lab,
        start: Instant,
        loses: Option<usize>,
        sockets: &mut Vec<Socket>,
    ) -> Result<()> {
        let mut moment = start;
        for (index, port) in PORTS.into_iter().enumerate() {
            wait::pace(moment);
            moment += GAP;
            let loss = format!("OUTPUT -s {} -p tcp --dport {port} -j DROP", self.source());
            if loses == Some(index) {
                lab.client.run(&format!("iptables -w -A {loss}"))?;
            }
            let service = SocketAddr::new(SERVER, port);
            sockets.push(lab.client.enter(|| connecting(self.source(), service))?);
            if loses == Some(index) {
                lab.client.run(&format!("iptables -w -D {loss}"))?;
            }
        }
        Ok(())
    }
}

/// Returns a socket that goes on trying to connect for as long as it is held.
fn connecting(source: IpAddr, service: SocketAddr) -> Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SockAddr::from(SocketAddr::new(source, 0)))?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::from(service)) {
        Err(error) if error.raw_os_error() == Some(IN_PROGRESS) => Ok(socket),
        Err(error) => Err(error).context("cannot begin to connect"),
        Ok(()) => anyhow::bail!("a dropped SYN connected"),
    }
}

/// EINPROGRESS, which has no kind of its own in stable Rust.
const IN_PROGRESS: i32 = 115;
