//! Capture sockets on interfaces that come, go and change, in a real kernel.

#![expect(clippy::unwrap_used, reason = "a test may panic where its own data is wrong")]

use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Command;
use std::time::{Duration, Instant};

use knock_engine::config::{Config, parse};
use knock_engine::wire::{LinkType, decode};
use knockd::capture::{
    Captures, Change, DEFAULT_BUFFER_SIZE, Drained, Filter, IpVersions, SNAP_LENGTH, Token,
};
use knockd::clock::Clock;
use knockd::host::{DefaultRoutes, Host, LinkState};
use pcap::Capture;

use crate::filter::{door_of_many_ports, with_doors};
use crate::frames::{EXTENSION_HEADERS, Frame, on_link, plain_ipv4, transport, with_extensions};
use crate::netns::{in_namespace, ip, patience_left, wait};

const TCP: u8 = 6;
const UDP: u8 = 17;
const SYN: u8 = 0x02;

/// Listens, and remembers all it was told.
struct Ear {
    host: Host,
    captures: Captures,
    clock: Clock,
    changes: Vec<String>,
    /// The destination ports of what was heard, and the link types they came by.
    heard: Vec<(u16, LinkType)>,
}

impl Ear {
    /// Listens for knocks at TCP 7000 and UDP 8000 and nothing else.
    fn on(names: &[&str]) -> Self {
        Self::with(names, filter("7000,8000:udp"), DEFAULT_BUFFER_SIZE)
    }

    fn with(names: &[&str], filter: Filter, buffer_size: u32) -> Self {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let mut ear = Self {
            host: Host::open(IpVersions::Both, DefaultRoutes::Ignore).unwrap(),
            captures: Captures::new(names, filter, buffer_size),
            clock: Clock::start(),
            changes: Vec::new(),
            heard: Vec::new(),
        };
        ear.reconcile();
        ear
    }

    fn reconcile(&mut self) {
        let changes = self.captures.reconcile(self.host.network(), self.clock.now());
        self.changes.extend(changes.iter().map(Change::to_string));
    }

    /// Does what the daemon's loop does, once.
    fn turn(&mut self, at_most: Duration) {
        let due = self.captures.next_retry();
        let until_due = due.map(|due| due.saturating_duration_since(self.clock.now()));
        let mut descriptors: Vec<BorrowedFd<'_>> = vec![self.host.as_fd()];
        descriptors.extend(self.captures.fds().map(|(_, fd)| fd));
        wait(&descriptors, until_due.unwrap_or(at_most).min(at_most));
        let is_due = due.is_some_and(|due| due <= self.clock.now());
        if self.host.read_events().unwrap().any() || is_due {
            self.reconcile();
        }
        let tokens: Vec<Token> = self.captures.fds().map(|(token, _)| token).collect();
        for token in tokens {
            let heard = &mut self.heard;
            let drained = self.captures.drain(token, 1000, &mut |_, link, bytes| {
                let segment = decode(link, bytes).unwrap();
                heard.push((segment.destination_port(), link));
            });
            if drained == Drained::Failed {
                self.reconcile();
            }
        }
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !is_so(self) {
            let left = patience_left(begin, &format!("{what}; so far: {:?}", self.changes));
            self.turn(left);
        }
    }

    /// Waits until these ports have been heard, and nothing else, and forgets them.
    fn until_heard(&mut self, ports: &[u16]) {
        self.until(&format!("{ports:?} are heard"), |ear| ear.heard.len() >= ports.len());
        let heard: Vec<u16> = self.heard.drain(..).map(|(port, _)| port).collect();
        assert_eq!(heard, ports);
    }

    /// Waits until it listens on another interface of the same name, whether that had its carrier
    /// at once or a moment later; forgets all that was said.
    fn until_replaced(&mut self) {
        self.until("another interface is listened on", |ear| {
            let newest = ear.changes.last().map_or("", String::as_str);
            newest.ends_with("is another one now: listening on that")
                || newest.starts_with("listening on near0 again")
        });
        assert!(self.changes.len() <= 2, "{:?}", self.changes);
        self.changes.clear();
    }

    /// Waits until this is the newest thing that there was to say; forgets and returns all.
    fn until_said(&mut self, newest: &str) -> Vec<String> {
        self.until(newest, |ear| ear.changes.last().is_some_and(|its| its.starts_with(newest)));
        std::mem::take(&mut self.changes)
    }
}

fn config(sequence: &str) -> Config {
    let text = format!("[door]\nsequence = {sequence}\nstart_command = true\nmax_strays = off\n");
    parse(text.as_bytes()).config.unwrap()
}

fn filter(sequence: &str) -> Filter {
    Filter::new(&config(sequence), IpVersions::Both)
}

fn syn(tags: &[u16], port: u16) -> Frame {
    let segment = transport(TCP, [40_000, port], SYN);
    on_link(LinkType::Ethernet, tags, 4, &plain_ipv4(TCP, 0, 0, &segment))
}

/// Sends a frame out of an interface.
fn send(interface: &str, frame: &Frame) {
    let mut sender = Capture::from_device(interface).unwrap().open().unwrap();
    sender.sendpacket(frame.bytes.as_slice()).unwrap();
}

/// Makes two interfaces that are the ends of one wire. Nobody talks on it by itself.
fn make_wire(end: &str, other_end: &str) {
    ip(&format!("link add {end} type veth peer name {other_end}"));
    for interface in [end, other_end] {
        ip(&format!("link set {interface} addrgenmode none"));
    }
    ip(&format!("link set {other_end} up"));
    ip(&format!("link set {end} up"));
}

/// Sends a SYN to a port that is no knock, and one to a port that is: only that is heard.
fn check_hearing(ear: &mut Ear) {
    send("far0", &syn(&[], 7001));
    send("far0", &syn(&[], 7000));
    ear.until_heard(&[7000]);
}

#[test]
fn an_interface_is_heard_again_whatever_becomes_of_it() {
    in_namespace("capture::an_interface_is_heard_again_whatever_becomes_of_it", || {
        let mut ear = Ear::on(&["near0"]);
        assert_eq!(
            std::mem::take(&mut ear.changes),
            ["there is no interface near0: it is listened on as soon as there is; there are: lo \
              (no address)"]
        );
        make_wire("near0", "far0");
        let said = ear.until_said("listening on near0");
        assert!(said.len() <= 2, "{said:?}");
        check_hearing(&mut ear);
        for round in 0..10 {
            ip("link set near0 down");
            let said = ear.until_said("interface near0 is down");
            assert_eq!(said.len(), 1, "{round}: {said:?}");
            ip("link set near0 up");
            let said = ear.until_said("listening on near0 again");
            assert_eq!(said.len(), 1, "{round}: {said:?}");
            check_hearing(&mut ear);

            ip("link set far0 down");
            assert_eq!(ear.until_said("interface near0 has no carrier").len(), 1, "{round}");
            ip("link set far0 up");
            assert_eq!(ear.until_said("listening on near0 again").len(), 1, "{round}");
            check_hearing(&mut ear);

            ip("link delete near0");
            let said = ear.until_said("interface near0 is gone");
            assert!(said.len() <= 2, "{round}: {said:?}");
            make_wire("near0", "far0");
            let said = ear.until_said("listening on near0 again");
            assert!(said.len() <= 2, "{round}: {said:?}");
            check_hearing(&mut ear);

            ip(&format!("addr add 192.0.2.{round}/24 dev near0"));
            let said = ear.until_said("interface near0 has other addresses now");
            let expected = format!("interface near0 has other addresses now (192.0.2.{round})");
            assert_eq!(said, [expected]);
            check_hearing(&mut ear);
        }
    });
}

#[test]
fn an_interface_that_is_renamed_is_heard_until_another_has_its_name() {
    in_namespace(
        "capture::an_interface_that_is_renamed_is_heard_until_another_has_its_name",
        || {
            make_wire("near0", "far0");
            let mut ear = Ear::on(&["near0"]);
            let _ = ear.until_said("listening on near0");
            ip("link set near0 down");
            assert_eq!(ear.until_said("interface near0 is down").len(), 1);
            ip("link set near0 name other0");
            assert_eq!(ear.until_said("interface near0 is called other0 now").len(), 1);
            ip("link set other0 up");
            assert_eq!(ear.until_said("listening on near0 again").len(), 1);
            check_hearing(&mut ear);

            // All at once: libpcap asks for the interface by its old name, and gives up.
            ip("link set other0 down");
            ip("link set other0 name another0");
            ip("link set another0 up");
            ear.until("it has been opened anew and has its carrier", |ear| {
                let interface = ear.host.network().interface("another0");
                let newest = ear.changes.last().map_or("", String::as_str);
                interface.is_some_and(|interface| interface.state == LinkState::Up)
                    && (newest.contains("broke off and has begun again")
                        || newest.starts_with("listening on near0 again"))
            });
            assert!(ear.changes[0].contains("is called another0 now"), "{:?}", ear.changes);
            assert_eq!(ear.captures.next_retry(), None);
            check_hearing(&mut ear);
            ear.changes.clear();

            make_wire("near0", "far1");
            ear.until_replaced();
            send("far0", &syn(&[], 7000));
            send("far1", &syn(&[], 7001));
            send("far1", &on_link(LinkType::Ethernet, &[], 4, &udp(8000)));
            ear.until_heard(&[8000]);
        },
    );
}

fn udp(port: u16) -> Vec<u8> {
    plain_ipv4(UDP, 0, 0, &transport(UDP, [40_000, port], 0))
}

#[test]
fn all_in_one_go_is_noticed_too() {
    in_namespace("capture::all_in_one_go_is_noticed_too", || {
        make_wire("near0", "far0");
        let mut ear = Ear::on(&["near0"]);
        let _ = ear.until_said("listening on near0");
        ip("link delete near0");
        make_wire("near0", "far0");
        ear.until_replaced();
        check_hearing(&mut ear);
    });
}

#[test]
fn a_capture_that_breaks_is_opened_anew() {
    in_namespace("capture::a_capture_that_breaks_is_opened_anew", || {
        make_wire("near0", "far0");
        let mut ear = Ear::on(&["near0"]);
        let _ = ear.until_said("listening on near0");
        // The interface takes its socket along, and the news of it are not read.
        ip("link delete near0");
        let token = ear.captures.fds().next().unwrap().0;
        let begin = Instant::now();
        while ear.captures.drain(token, 1, &mut |_, _, _| {}) != Drained::Failed {
            let descriptors: Vec<BorrowedFd<'_>> = ear.captures.fds().map(|(_, fd)| fd).collect();
            wait(&descriptors, patience_left(begin, "the capture breaks"));
        }
        assert_eq!(ear.captures.fds().count(), 0);
        ear.reconcile();
        assert!(ear.captures.next_retry().is_some_and(|at| at > ear.clock.now()));
        assert_eq!(ear.changes, [""; 0], "the kernel will say better what happened");
        let _ = ear.until_said("interface near0 is gone");
        assert_eq!(ear.captures.next_retry(), None);
    });
}

#[test]
fn tags_of_vlans_are_seen_through() {
    in_namespace("capture::tags_of_vlans_are_seen_through", || {
        make_wire("near0", "far0");
        let mut ear = Ear::on(&["near0"]);
        let _ = ear.until_said("listening on near0");
        for tags in [&[0x8100_u16][..], &[0x88a8]] {
            // The kernel takes one tag of a received frame out, before it asks the filter.
            send("far0", &syn(tags, 7001));
            send("far0", &syn(tags, 7000));
            ear.until_heard(&[7000]);
        }
        for tags in [&[0x88a8_u16, 0x8100][..], &[0x8100, 0x8100], &[0x9100]] {
            send("far0", &syn(tags, 7001));
            send("far0", &syn(tags, 7000));
            ear.until_heard(&[7001, 7000]);
        }

        // Of two tags the kernel says nothing there, and leaves one in. Where this host is meant,
        // `any` hears them as well where they come out of the interface of their VLAN.
        let mut ear = Ear::on(&["any"]);
        let _ = ear.until_said("listening on any");
        for tag in [0x8100, 0x88a8, 0x9100] {
            send("far0", &syn(&[tag], 7000));
            // It leaves one end and arrives at the other.
            ear.until_heard(&[7000, 7000]);
        }
    });
}

#[test]
fn the_loopback_is_heard_once_and_any_hears_all() {
    in_namespace("capture::the_loopback_is_heard_once_and_any_hears_all", || {
        ip("link set lo up");
        make_wire("near0", "far0");
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender_v6 = UdpSocket::bind("[::1]:0").unwrap();
        for (name, link) in [("lo", LinkType::Ethernet), ("any", LinkType::LinuxSll2)] {
            let mut ear = Ear::on(&[name]);
            let _ = ear.until_said("listening on");
            for _ in 0..2 {
                sender.send_to(b"no", "127.0.0.1:8001").unwrap();
                sender.send_to(b"knock", "127.0.0.1:8000").unwrap();
                sender_v6.send_to(b"no", "[::1]:8001").unwrap();
                sender_v6.send_to(b"knock", "[::1]:8000").unwrap();
            }
            ear.until("all are heard", |ear| ear.heard.len() >= 4);
            assert_eq!(std::mem::take(&mut ear.heard), vec![(8000, link); 4]);
        }
        let mut ear = Ear::on(&["near0", "any"]);
        assert_eq!(ear.changes, ["listening on any"]);
        send("far0", &syn(&[], 7000));
        // It leaves one end and arrives at the other.
        ear.until_heard(&[7000, 7000]);
    });
}

#[test]
fn a_new_filter_loses_nothing_that_both_pass() {
    in_namespace("capture::a_new_filter_loses_nothing_that_both_pass", || {
        ip("link set lo up");
        for name in ["lo", "any"] {
            let mut ear = Ear::on(&[name]);
            let _ = ear.until_said("listening on");
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            let is_over = std::sync::atomic::AtomicBool::new(false);
            let sent = std::thread::scope(|scope| {
                let traffic = scope.spawn(|| {
                    let mut sent = 0;
                    while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                        sender.send_to(b"knock", "127.0.0.1:8000").unwrap();
                        sent += 1;
                    }
                    sent
                });
                for round in 0..100 {
                    let other = filter(["8000:udp,7000", "8000:udp,7001"][round % 2]);
                    ear.captures.set_filter(other).unwrap();
                    ear.turn(Duration::ZERO);
                }
                is_over.store(true, std::sync::atomic::Ordering::Relaxed);
                traffic.join().unwrap()
            });
            ear.until("all are heard", |ear| ear.heard.len() >= sent);
            assert_eq!(ear.heard.len(), sent, "{name}");
            assert_eq!(ear.captures.drops(), [], "{name}");
            // The last one is in force.
            ear.heard.clear();
            for port in [7000, 7001] {
                let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
                std::net::TcpStream::connect(address).unwrap_err();
            }
            ear.until_heard(&[7001]);
        }
    });
}

#[test]
fn packets_that_do_not_fit_into_the_ring_are_counted() {
    in_namespace("capture::packets_that_do_not_fit_into_the_ring_are_counted", || {
        ip("link set lo up");
        let mut ear = Ear::with(&["lo"], filter("8000:udp"), 256 * 1024);
        let _ = ear.until_said("listening on");
        assert_eq!(ear.captures.drops(), []);
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sent = 10_000;
        for _ in 0..sent {
            sender.send_to(b"knock", "127.0.0.1:8000").unwrap();
        }
        let [(name, lost)] = &ear.captures.drops()[..] else { panic!("nothing is lost") };
        assert_eq!(name, "lo");
        // Each of these is seen twice, on its way out and in.
        assert!((1..2 * sent).contains(lost), "{lost}");
        assert_eq!(ear.captures.drops(), []);
    });
}

#[test]
fn the_kernel_takes_the_longest_filters() {
    in_namespace("capture::the_kernel_takes_the_longest_filters", || {
        ip("link set lo up");
        let doors = (0..3).map(|number| door_of_many_ports(number * 2 + 1, 2));
        let filter = Filter::new(&with_doors(doors), IpVersions::Both);
        for name in ["lo", "any"] {
            let ear = Ear::with(&[name], filter.clone(), DEFAULT_BUFFER_SIZE);
            assert_eq!(ear.captures.fds().count(), 1, "{:?}", ear.changes);
        }
    });
}

#[test]
fn a_child_inherits_nothing() {
    in_namespace("capture::a_child_inherits_nothing", || {
        ip("link set lo up");
        let descriptors = || {
            let listed = Command::new("ls").arg("/proc/self/fd").output().unwrap();
            String::from_utf8(listed.stdout).unwrap()
        };
        let before = descriptors();
        let ear = Ear::on(&["lo"]);
        let any = Ear::on(&["any"]);
        assert_eq!(ear.captures.fds().count() + any.captures.fds().count(), 2);
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn without_the_capability_the_message_tells_the_way_out() {
    in_namespace("capture::without_the_capability_the_message_tells_the_way_out", || {
        ip("link set lo up");
        let raw = caps::Capability::CAP_NET_RAW;
        caps::drop(None, caps::CapSet::Effective, raw).unwrap();
        let mut ear = Ear::on(&["lo"]);
        assert_eq!(ear.changes.len(), 1);
        insta::assert_snapshot!(ear.changes[0], @"can't listen on lo, which is tried again: the capability CAP_NET_RAW is missing: start knockd as root, or give it that capability, with AmbientCapabilities=CAP_NET_RAW in its systemd unit or setcap cap_net_raw,cap_net_admin+ep on its program file (socket: Operation not permitted)");
        let first = ear.captures.next_retry().unwrap();
        ear.reconcile();
        assert_eq!(ear.captures.next_retry(), Some(first), "it is not tried before its time");
        caps::raise(None, caps::CapSet::Effective, raw).unwrap();
        let _ = ear.until_said("listening on lo");
        assert_eq!(ear.captures.next_retry(), None);
    });
}

#[test]
fn the_longest_chain_of_usual_headers_fits_into_what_is_captured() {
    // A routing header of three addresses, 56 bytes; an authentication header with a checksum of
    // 12 bytes; of the others the shortest.
    let chain = EXTENSION_HEADERS.map(|kind| match kind {
        43 => (kind, 6),
        51 => (kind, 3),
        _ => (kind, 0),
    });
    for protocol in [TCP, UDP] {
        let segment = transport(protocol, [40_000, 7000], SYN);
        let v6 = with_extensions(&chain, protocol, &segment);
        let longest = on_link(LinkType::Ethernet, &[0x88a8, 0x8100], 6, &v6);
        let captured = &longest.bytes[..longest.bytes.len().min(SNAP_LENGTH.into())];
        let segment = decode(longest.link, captured).unwrap();
        assert_eq!(segment.destination_port(), 7000);
        let v4 = plain_ipv4(protocol, 10, 0, &transport(protocol, [40_000, 7000], SYN));
        let longest = on_link(LinkType::Ethernet, &[0x88a8, 0x8100], 4, &v4);
        assert!(longest.bytes.len() < SNAP_LENGTH.into());
    }
}
