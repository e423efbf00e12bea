//! Whether there is something to listen on, and leave to do so.

use std::net::IpAddr;

use super::system::{Privilege, System};
use super::{CheckInput, Findings, Interface, MORE_CAPABILITIES, Machine};
use crate::settings::{Families, Listen};

/// The interface that knockd listens on where nobody names one.
const FALLBACK_INTERFACE: &str = "eth0";

/// Looks at the interfaces, the addresses, the filter, and the privilege to hear anything.
pub(super) fn check(input: &CheckInput<'_, impl System>, findings: &mut Findings) {
    let CheckInput { settings, machine, .. } = input;
    if !input.system.has(Privilege::NetRaw) {
        findings.error(format!(
            "{} is missing, so nothing can be heard; {MORE_CAPABILITIES}",
            Privilege::NetRaw.name()
        ));
    }
    match &settings.listen {
        Listen::Any => {}
        Listen::Named(names) => {
            for name in names.iter().filter(|name| !machine.has(name)) {
                findings.error(format!(
                    "interface {name} does not exist{}. knockd would wait for it",
                    machine.listed()
                ));
            }
        }
        Listen::Default if machine.listened_by_default().is_empty() => findings.error(format!(
            "there is no default route and no {FALLBACK_INTERFACE}, so there is nothing to listen \
             on{}; name an interface with Interface or -i",
            machine.listed()
        )),
        Listen::Default => {}
    }
    if let Err(why) = &machine.filter {
        findings.error(format!("the capture filter can't be made: {why}"));
    }
    check_destinations(input, findings);
}

/// A door hears what is sent to its targets, or else to the host's addresses (S4).
fn check_destinations(input: &CheckInput<'_, impl System>, findings: &mut Findings) {
    let families = input.settings.families;
    let has_local = input.machine.local_addresses(families).next().is_some();
    for door in &input.config.doors {
        let name = &door.name;
        if door.targets.is_empty() && !has_local {
            findings.warn(format!(
                "door {name}: it has no target, and this host has no address, so it hears nothing \
                 until there is one"
            ));
        } else if !door.targets.is_empty()
            && !door.targets.iter().any(|&target| families.admit(target))
        {
            findings.warn(format!(
                "door {name}: its targets are all IPv6 addresses, so with -4 it hears nothing; \
                 leave out -4, or add an IPv4 address"
            ));
        }
    }
    if input.config.doors.is_empty() {
        findings.warn("there is no door in the config, so nothing will ever open".to_owned());
    }
}

impl Machine {
    fn has(&self, name: &str) -> bool {
        self.interfaces.iter().any(|interface| interface.name == name)
    }

    /// Returns what is listened on where nobody says: the default route's interface and `eth0`,
    /// as far as they are there.
    pub(super) fn listened_by_default(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.default_interface.as_deref().into_iter().collect();
        if self.has(FALLBACK_INTERFACE) && !names.contains(&FALLBACK_INTERFACE) {
            names.push(FALLBACK_INTERFACE);
        }
        names
    }

    /// Returns the host's addresses, as far as doors may hear of them.
    fn local_addresses(&self, families: Families) -> impl Iterator<Item = IpAddr> {
        let addresses = self.interfaces.iter().flat_map(|interface| &interface.addresses);
        addresses.copied().filter(move |&address| families.admit(address))
    }

    /// Says which interfaces there are, as the rest of a sentence.
    fn listed(&self) -> String {
        let told = self.interfaces.iter().map(|Interface { name, addresses }| {
            match addresses.is_empty() {
                true => name.clone(),
                false => format!("{name} ({})", comma_separated(addresses)),
            }
        });
        match &*comma_separated(told) {
            "" => String::new(),
            listed => format!("; there are {listed}"),
        }
    }
}

/// Writes a list with commas between its entries.
pub(super) fn comma_separated(entries: impl IntoIterator<Item = impl ToString>) -> String {
    entries.into_iter().map(|entry| entry.to_string()).collect::<Vec<_>>().join(", ")
}
