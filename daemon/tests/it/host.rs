//! What the daemon knows of the host's network, beside a real kernel.

#![expect(clippy::unwrap_used, reason = "a test may panic where its own data is wrong")]

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Instant;

use knockd::capture::IpVersions;
use knockd::host::{DefaultRoutes, Host, LinkState, Network};

use crate::netns::{in_namespace, ip, patience_left, wait};

fn open() -> Host {
    Host::open(IpVersions::Both, DefaultRoutes::Follow).unwrap()
}

/// Follows the network until it is as expected.
fn until(host: &mut Host, what: &str, is_so: impl Fn(&Network) -> bool) {
    let begin = Instant::now();
    while !is_so(host.network()) {
        wait(&[host.as_fd()], patience_left(begin, what));
        let _ = host.read_events().unwrap();
    }
    // Whoever asks anew finds the same.
    assert!(is_so(open().network()), "{what}: {:?}", open().network());
}

fn is_local(network: &Network, address: &str) -> bool {
    network.local_addresses().contains(address.parse::<IpAddr>().unwrap())
}

fn state(network: &Network, name: &str) -> Option<LinkState> {
    network.interface(name).map(|interface| interface.state)
}

#[test]
fn interfaces_come_and_go() {
    in_namespace("host::interfaces_come_and_go", || {
        let mut host = open();
        assert_eq!(state(host.network(), "lo"), Some(LinkState::Down));
        assert_eq!(host.network().to_string(), "lo (no address)");
        ip("link set lo up");
        until(&mut host, "lo is up", |network| state(network, "lo") == Some(LinkState::Up));
        until(&mut host, "lo has addresses", |network| {
            network.to_string() == "lo (127.0.0.1, ::1)"
        });

        ip("link add veth0 type veth peer name veth1");
        until(&mut host, "veth0 is there", |network| {
            state(network, "veth0") == Some(LinkState::Down)
        });
        ip("link set veth0 up");
        until(&mut host, "veth0 has no carrier", |network| {
            state(network, "veth0") == Some(LinkState::NoCarrier)
        });
        ip("link set veth1 up");
        until(&mut host, "veth0 is up", |network| state(network, "veth0") == Some(LinkState::Up));

        let index = host.network().interface("veth0").unwrap().index;
        ip("link property add dev veth0 altname an-interface-with-quite-a-long-name");
        until(&mut host, "veth0 has another name", |network| {
            network.interface("an-interface-with-quite-a-long-name").map(|its| its.index)
                == Some(index)
        });
        ip("link set veth0 down");
        ip("link set veth0 name door0");
        until(&mut host, "veth0 is called door0", |network| {
            network.interface("veth0").is_none()
                && network.interface("door0").map(|its| its.index) == Some(index)
        });
        ip("link delete door0");
        until(&mut host, "both ends are gone", |network| network.interfaces().count() == 1);
    });
}

#[test]
fn a_port_that_leaves_a_bridge_is_still_there() {
    in_namespace("host::a_port_that_leaves_a_bridge_is_still_there", || {
        let mut host = open();
        ip("link add veth0 type veth peer name veth1");
        ip("addr add 192.0.2.1/24 dev veth0");
        ip("link add br0 type bridge");
        ip("link set veth0 master br0");
        ip("link set veth0 nomaster");
        // The last message is one about something else: all those before it have been read.
        ip("link add veth2 type veth peer name veth3");
        until(&mut host, "veth2 is there", |network| network.interface("veth2").is_some());
        assert!(host.network().interface("veth0").is_some());
        assert!(is_local(host.network(), "192.0.2.1"));
    });
}

#[test]
fn addresses_are_followed() {
    in_namespace("host::addresses_are_followed", || {
        ip("link add veth0 type veth peer name veth1");
        ip("addr add 192.0.2.1/24 dev veth0");
        let mut host = open();
        assert!(is_local(host.network(), "192.0.2.1"));
        ip("addr add 192.0.2.2/24 dev veth0");
        // Tentative until its owner is up, which it never is.
        ip("addr add 2001:db8::2/64 dev veth0");
        ip("addr add 198.51.100.1 peer 198.51.100.2/32 dev veth1");
        until(&mut host, "all addresses are there", |network| {
            ["192.0.2.1", "192.0.2.2", "2001:db8::2", "198.51.100.1"]
                .iter()
                .all(|address| is_local(network, address))
        });
        assert!(!is_local(host.network(), "198.51.100.2"), "the peer is another host");

        ip("addr del 192.0.2.1/24 dev veth0");
        ip("addr del 2001:db8::2/64 dev veth0");
        until(&mut host, "two addresses are gone", |network| {
            !is_local(network, "192.0.2.1") && !is_local(network, "2001:db8::2")
        });
        ip("link delete veth0");
        until(&mut host, "all addresses are gone", |network| {
            network.to_string() == "lo (no address)"
        });

        let only_v4 = Host::open(IpVersions::OnlyV4, DefaultRoutes::Follow).unwrap();
        ip("link set lo up");
        until(&mut host, "lo has both addresses", |network| is_local(network, "::1"));
        let mut only_v4 = only_v4;
        until_v4(&mut only_v4);
    });
}

/// Follows the network until it has 127.0.0.1; it never gets the address of IPv6 that it has too.
fn until_v4(host: &mut Host) {
    let begin = Instant::now();
    while !is_local(host.network(), "127.0.0.1") {
        wait(&[host.as_fd()], patience_left(begin, "127.0.0.1 is there"));
        let _ = host.read_events().unwrap();
        assert!(!is_local(host.network(), "::1"));
    }
    let anew = Host::open(IpVersions::OnlyV4, DefaultRoutes::Follow).unwrap();
    assert!(!is_local(anew.network(), "::1"));
}

#[test]
fn the_default_route_is_followed() {
    fn defaults(network: &Network) -> Vec<String> {
        network.default_interfaces().iter().map(|interface| interface.name.clone()).collect()
    }
    in_namespace("host::the_default_route_is_followed", || {
        for (number, name) in ["eth0", "eth1", "eth2"].into_iter().enumerate() {
            ip(&format!("link add {name} type veth peer name peer{number}"));
            ip(&format!("addr add 192.0.{number}.1/24 dev {name}"));
            ip(&format!("addr add 2001:db8:{number}::1/64 dev {name} nodad"));
            ip(&format!("link set peer{number} up"));
            ip(&format!("link set {name} up"));
        }
        let mut host = open();
        assert_eq!(defaults(host.network()), [""; 0]);
        assert_eq!(host.network().interfaces_to_hear(), ["eth0"]);
        ip("route add default via 192.0.1.2 metric 100");
        until(&mut host, "there is one", |network| defaults(network) == ["eth1"]);
        ip("route add default via 192.0.2.2 metric 50");
        until(&mut host, "there is a better one", |network| defaults(network) == ["eth2"]);
        ip("-6 route add default via 2001:db8:1::2");
        until(&mut host, "there is one of IPv6", |network| defaults(network) == ["eth2", "eth1"]);
        assert_eq!(host.network().interfaces_to_hear(), ["eth2", "eth1", "eth0"]);
        // The kernel tells nobody which routes of IPv4 go with it.
        let mut only_v4 = Host::open(IpVersions::OnlyV4, DefaultRoutes::Follow).unwrap();
        assert_eq!(defaults(only_v4.network()), ["eth2"]);
        ip("link set eth2 down");
        until(&mut only_v4, "the better one is gone", |network| defaults(network)[0] == "eth1");
        until(&mut host, "the better one is gone", |network| defaults(network) == ["eth1"]);
        ip("-6 route del default");
        ip("route replace default metric 100 nexthop via 192.0.0.2 nexthop via 192.0.1.2");
        until(&mut host, "it has two ways", |network| defaults(network) == ["eth0", "eth1"]);
        ip("route add blackhole default metric 1");
        ip("route add default via 192.0.1.2 table 100 metric 2");
        ip("link add veth0 type veth peer name veth1");
        until(&mut host, "veth0 is there", |network| network.interface("veth0").is_some());
        assert_eq!(defaults(host.network()), ["eth0", "eth1"], "no others lead anywhere");
        ip("route del default metric 100");
        until(&mut host, "there is none", |network| defaults(network).is_empty());
    });
}

#[test]
fn an_overrun_loses_nothing() {
    in_namespace("host::an_overrun_loses_nothing", || {
        ip("link add veth0 type veth peer name veth1");
        let mut host = open();
        let mut commands = String::new();
        for round in 0..3000 {
            let (third, fourth) = (round / 250, round % 250 + 1);
            commands += &format!("addr add 10.0.{third}.{fourth}/32 dev veth0\n");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("commands");
        std::fs::write(&path, commands).unwrap();
        ip(&format!("-batch {}", path.display()));
        ip("link delete veth0");
        ip("link add veth2 type veth peer name veth3");
        let changes = host.read_events().unwrap();
        assert!(changes.interfaces && !changes.addresses && changes.any());
        assert_eq!(host.network(), open().network());
        assert_eq!(host.network().interfaces().count(), 3);
        let changes = host.read_events().unwrap();
        assert!(!changes.any());
    });
}
