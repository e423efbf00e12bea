//! What the host is like now: interfaces, addresses and the default route, followed by netlink.
