//! What a recipe's firewall needs around it: a host behind a router, and the firewalls that consist
//! of programs.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Child;

use anyhow::{Context, Result};
use knock_lab::lab::{Lab, SERVER_MAC};
use knock_lab::namespace::Namespace;
use knock_lab::wait;

use crate::bench::{Side, folder, shell};

/// The host behind the router.
const INNER: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10)),
];

/// Programs that a firewall consists of.
#[derive(Debug, Default)]
pub(crate) struct Helpers(Vec<Child>);

impl Helpers {
    /// Returns their process numbers.
    pub(crate) fn pids(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(Child::id)
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        for child in self.0.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Puts a host behind the server, which forwards, and makes it the one to knock at.
pub(crate) fn inner(lab: &Lab, sides: &mut [Side]) -> Result<Namespace> {
    let inner = Namespace::new()?;
    let (router, holder) = (&lab.server, inner.holder());
    router.run(&format!("ip link add name eth1 type veth peer name eth0 netns {holder}"))?;
    for (name, namespace) in [("eth1", router), ("eth0", &inner)] {
        namespace.sysctl(&format!("net.ipv6.conf.{name}.disable_ipv6"), "0")?;
        namespace.run(&format!("ip link set {name} up"))?;
    }
    router.sysctl("net.ipv4.ip_forward", "1")?;
    router.sysctl("net.ipv6.conf.all.forwarding", "1")?;
    let mac = SERVER_MAC.map(|byte| format!("{byte:02x}")).join(":");
    for (side, host) in sides.iter_mut().zip(INNER) {
        let (gateway, length) = if host.is_ipv6() { ("fd00::1", 128) } else { ("10.0.0.1", 32) };
        router.run(&format!("ip address add {gateway} dev eth1 {}", nodad(host)))?;
        router.run(&format!("ip route add {host}/{length} dev eth1"))?;
        inner.run(&format!("ip address add {host}/{length} dev eth0 {}", nodad(host)))?;
        inner.run(&format!("ip route add {gateway}/{length} dev eth0"))?;
        inner.run(&format!("ip route add default via {gateway}"))?;
        lab.client
            .run(&format!("ip neighbour replace {host} lladdr {mac} dev eth0 nud permanent"))?;
        side.server = host;
    }
    Ok(inner)
}

const fn nodad(address: IpAddr) -> &'static str {
    if address.is_ipv6() { "nodad" } else { "" }
}

/// Starts what a firewall consists of, and makes what it writes to its own.
pub(crate) fn helpers(lab: &Lab, recipe: &str) -> Result<Helpers> {
    let mut helpers = Helpers::default();
    if recipe == "ufw" {
        for folder in ["/etc/ufw", "/etc/default"] {
            lab.server.own_folder(folder)?;
        }
        // As the package installs it, whatever it is on this machine.
        shell(&lab.server, "cp /usr/share/ufw/iptables/*.rules /usr/share/ufw/ufw.conf /etc/ufw/")?;
    }
    if recipe == "firewalld" {
        lab.server.run("mount -t tmpfs tmpfs /etc/firewalld")?;
        let bus = folder(lab, "bus")?.join("bus.conf");
        std::fs::write(&bus, BUS)?;
        let bus = bus.display().to_string();
        let said = lab.folder().join("bus/said");
        let log = File::create(&said).context("cannot write what firewalld says")?;
        std::fs::create_dir_all(lab.server.path("/run/dbus"))?;
        let mut dbus = lab.server.command("dbus-daemon");
        dbus.args(["--nofork", "--nopidfile", "--config-file", &bus]);
        dbus.stderr(log.try_clone()?);
        helpers.0.push(dbus.spawn().context("cannot run dbus-daemon")?);
        wait::until("the message bus", || {
            Ok(lab.server.path("/run/dbus/system_bus_socket").exists())
        })?;
        let mut firewalld = lab.server.command("firewalld");
        firewalld.args(["--nofork", "--nopid"]).stderr(log);
        helpers.0.push(firewalld.spawn().context("cannot run firewalld")?);
        wait::until("firewalld", || {
            Ok(lab.server.try_run("firewall-cmd --state")?.status.success())
        })
        .with_context(|| std::fs::read_to_string(said).unwrap_or_default())?;
    }
    Ok(helpers)
}

/// A message bus on which everybody may do everything, for firewalld alone.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/> <allow own="*"/>
    <allow send_type="method_call"/> <allow send_type="signal"/>
    <allow send_type="method_return"/> <allow send_type="error"/>
    <allow receive_type="method_call"/> <allow receive_type="signal"/>
    <allow receive_type="method_return"/> <allow receive_type="error"/>
  </policy>
</busconfig>
"#;
