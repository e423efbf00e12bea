//! The interfaces of the host, their addresses, and its default routes, as one value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use knock_engine::local::LocalAddresses;

/// What the host's network is like at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    interfaces: BTreeMap<u32, Interface>,
    /// By interface; the same address can be there twice, with different prefix lengths.
    addresses: BTreeSet<(u32, IpAddr, u8)>,
    default_routes: Vec<DefaultRoute>,
}

/// An interface of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its number, which no other interface gets after it is gone, unless somebody asks for it.
    pub index: u32,
    /// Its name, which can change.
    pub name: String,
    /// Its other names, which work wherever the name does.
    pub other_names: Vec<String>,
    /// Whether packets come in by it.
    pub state: LinkState,
}

/// Whether packets come in by an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkState {
    /// It is up and has a carrier.
    Up,
    /// It is up, but nothing is at the other end.
    NoCarrier,
    /// It is switched off.
    Down,
}

/// A default route of the main table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DefaultRoute {
    pub(super) is_v6: bool,
    pub(super) metric: u32,
    pub(super) interfaces: Vec<u32>,
}

impl Interface {
    /// Tells whether this is its name, or one of its others.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.other_names.iter().any(|other| other == name)
    }
}

impl Network {
    /// The interface that knockd listens on where it is not told.
    const CUSTOMARY: &'static str = "eth0";

    /// Returns the interfaces, in the order of their numbers.
    pub fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces.values()
    }

    /// Finds the interface of that name, or with that other name.
    #[must_use]
    pub fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces().find(|interface| interface.is_called(name))
    }

    /// Returns the addresses of an interface: IPv4 first, in order.
    pub fn addresses(&self, index: u32) -> impl Iterator<Item = IpAddr> {
        let of_it = self.addresses.iter().filter(move |(its, _, _)| *its == index);
        let distinct: BTreeSet<IpAddr> = of_it.map(|(_, address, _)| *address).collect();
        distinct.into_iter()
    }

    /// Returns every address of every interface (S4), the loopback's and those that are tentative
    /// or deprecated among them.
    #[must_use]
    pub fn local_addresses(&self) -> LocalAddresses {
        let distinct: BTreeSet<IpAddr> =
            self.addresses.iter().map(|(_, address, _)| *address).collect();
        LocalAddresses::Known(distinct.into_iter().collect())
    }

    /// Returns the interfaces of the default routes of lowest metric: that of IPv4, then that of
    /// IPv6. A route over several interfaces has them all.
    #[must_use]
    pub fn default_interfaces(&self) -> Vec<&Interface> {
        let mut found: Vec<&Interface> = Vec::new();
        for is_v6 in [false, true] {
            let of_version = || self.default_routes.iter().filter(|route| route.is_v6 == is_v6);
            let lowest = of_version().map(|route| route.metric).min();
            for index in of_version()
                .filter(|route| Some(route.metric) == lowest)
                .flat_map(|route| &route.interfaces)
            {
                let is_new = found.iter().all(|interface| interface.index != *index);
                found.extend(self.interfaces.get(index).filter(|_| is_new));
            }
        }
        found
    }

    /// Returns the names of the interfaces to listen on where nobody says: those of the default
    /// routes, and `eth0`, which knockd listens on then, if there is one.
    #[must_use]
    pub fn interfaces_to_hear(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.default_interfaces().iter().map(|interface| interface.name.clone()).collect();
        if let Some(customary) = self.interface(Self::CUSTOMARY)
            && !names.contains(&customary.name)
        {
            names.push(customary.name.clone());
        }
        names
    }

    pub(super) fn set_interface(&mut self, interface: Interface) {
        self.interfaces.insert(interface.index, interface);
    }

    pub(super) fn remove_interface(&mut self, index: u32) {
        self.interfaces.remove(&index);
        self.addresses.retain(|(its, _, _)| *its != index);
    }

    pub(super) fn add_address(&mut self, index: u32, address: IpAddr, prefix_length: u8) {
        self.addresses.insert((index, address, prefix_length));
    }

    pub(super) fn remove_address(&mut self, index: u32, address: IpAddr, prefix_length: u8) {
        self.addresses.remove(&(index, address, prefix_length));
    }

    pub(super) fn set_default_routes(&mut self, routes: Vec<DefaultRoute>) {
        self.default_routes = routes;
    }

    /// Tells what differs between this moment and an earlier one.
    pub(super) fn changes_since(&self, before: &Self) -> super::Changes {
        super::Changes {
            interfaces: self.interfaces != before.interfaces,
            addresses: self.addresses != before.addresses,
            default_routes: self.default_routes != before.default_routes,
        }
    }
}

impl fmt::Display for Network {
    /// Writes the interfaces with their addresses: `lo (127.0.0.1, ::1), eth0 (192.0.2.5)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, interface) in self.interfaces().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(f, "{separator}{} (", interface.name)?;
            let addresses: Vec<String> =
                self.addresses(interface.index).map(|address| address.to_string()).collect();
            match addresses.as_slice() {
                [] => f.write_str("no address)")?,
                some => write!(f, "{})", some.join(", "))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(index: u32, name: &str) -> Interface {
        let other_names = vec![format!("{name}-by-another-name")];
        Interface { index, name: name.to_owned(), other_names, state: LinkState::Up }
    }

    fn network() -> Network {
        let mut network = Network::default();
        for (index, name) in [(1, "lo"), (2, "eth0"), (3, "wg0"), (4, "eth1")] {
            network.set_interface(interface(index, name));
        }
        for (index, address, length) in [
            (1, "::1", 128),
            (1, "127.0.0.1", 8),
            (2, "192.0.2.5", 24),
            (2, "192.0.2.5", 32),
            (4, "2001:db8::5", 64),
            (4, "fe80::5", 64),
        ] {
            network.add_address(index, address.parse().unwrap(), length);
        }
        network
    }

    fn route(is_v6: bool, metric: u32, interfaces: &[u32]) -> DefaultRoute {
        DefaultRoute { is_v6, metric, interfaces: interfaces.to_vec() }
    }

    #[test]
    fn interfaces_are_listed_with_their_addresses() {
        insta::assert_snapshot!(
            network(),
            @"lo (127.0.0.1, ::1), eth0 (192.0.2.5), wg0 (no address), eth1 (2001:db8::5, fe80::5)"
        );
        assert_eq!(network().interface("wg0-by-another-name").map(|its| its.index), Some(3));
        assert_eq!(network().interface("wg1"), None);
    }

    #[test]
    fn an_address_is_local_until_the_last_of_its_entries_is_gone() {
        let mut network = network();
        let address = "192.0.2.5".parse().unwrap();
        network.remove_address(2, address, 24);
        assert!(network.local_addresses().contains(address));
        network.remove_address(2, address, 32);
        assert!(!network.local_addresses().contains(address));
        assert!(network.local_addresses().contains("::1".parse().unwrap()));
        network.remove_interface(1);
        assert!(!network.local_addresses().contains("::1".parse().unwrap()));
    }

    #[test]
    fn without_a_name_the_default_routes_decide_and_eth0_is_heard_too() {
        let mut network = network();
        assert_eq!(network.interfaces_to_hear(), ["eth0"]);
        network.set_default_routes(vec![
            route(true, 1024, &[3]),
            route(false, 100, &[2]),
            route(false, 50, &[4, 3]),
            route(true, 2048, &[1]),
        ]);
        let names = |network: &Network| -> Vec<String> {
            network.default_interfaces().iter().map(|its| its.name.clone()).collect()
        };
        assert_eq!(names(&network), ["eth1", "wg0"]);
        assert_eq!(network.interfaces_to_hear(), ["eth1", "wg0", "eth0"]);
        network.remove_interface(2);
        assert_eq!(network.interfaces_to_hear(), ["eth1", "wg0"]);
    }
}
