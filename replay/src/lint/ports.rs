//! Ports that clients and scanners try by themselves.

use knock_engine::config::Knock;
use knock_engine::packet::Protocol;

/// Ports of TCP with their services.
const TCP: [(u16, &str); 45] = [
    (20, "FTP data"),
    (21, "FTP"),
    (22, "SSH"),
    (23, "Telnet"),
    (25, "SMTP"),
    (53, "DNS"),
    (80, "HTTP"),
    (88, "Kerberos"),
    (110, "POP3"),
    (111, "RPC"),
    (113, "ident"),
    (135, "MS RPC"),
    (139, "NetBIOS"),
    (143, "IMAP"),
    (179, "BGP"),
    (389, "LDAP"),
    (443, "HTTPS"),
    (445, "SMB"),
    (465, "SMTPS"),
    (515, "LPD"),
    (554, "RTSP"),
    (587, "submission"),
    (631, "IPP"),
    (636, "LDAPS"),
    (873, "rsync"),
    (993, "IMAPS"),
    (995, "POP3S"),
    (1080, "SOCKS"),
    (1194, "OpenVPN"),
    (1433, "MS SQL"),
    (1521, "Oracle"),
    (1723, "PPTP"),
    (1883, "MQTT"),
    (2049, "NFS"),
    (3128, "Squid"),
    (3306, "MySQL"),
    (3389, "RDP"),
    (5060, "SIP"),
    (5432, "PostgreSQL"),
    (5900, "VNC"),
    (6379, "Redis"),
    (8080, "HTTP proxy"),
    (8443, "HTTPS"),
    (9200, "Elasticsearch"),
    (27017, "MongoDB"),
];

/// Ports of UDP with their services.
const UDP: [(u16, &str); 22] = [
    (53, "DNS"),
    (67, "DHCP"),
    (68, "DHCP"),
    (69, "TFTP"),
    (111, "RPC"),
    (123, "NTP"),
    (137, "NetBIOS"),
    (138, "NetBIOS"),
    (161, "SNMP"),
    (162, "SNMP traps"),
    (443, "QUIC"),
    (500, "IKE"),
    (514, "syslog"),
    (1194, "OpenVPN"),
    (1701, "L2TP"),
    (1900, "SSDP"),
    (3478, "STUN"),
    (4500, "IPsec NAT-T"),
    (5060, "SIP"),
    (5353, "mDNS"),
    (11211, "memcached"),
    (51820, "WireGuard"),
];

/// Returns the service that is known by this port.
pub(super) fn service(knock: Knock) -> Option<&'static str> {
    let table = match knock.protocol {
        Protocol::Tcp => TCP.as_slice(),
        Protocol::Udp => UDP.as_slice(),
    };
    table.iter().find_map(|(port, name)| (*port == knock.port.get()).then_some(*name))
}
