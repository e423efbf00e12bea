#!/usr/bin/env bash
# Records captures of testdata/ from real programs in network namespaces of its own.
#
#     testdata/record/record.sh            lists the recordings
#     testdata/record/record.sh NAME...    records these again
#     testdata/record/record.sh all        records all
#
# Needs root; which packages is in testdata/README.md. Times, ports and sequence numbers differ in
# each recording: after one, the golden outputs are to be looked at and accepted again.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=testdata/record/lib.sh
. "$HERE/lib.sh"

RECORDINGS=(opencloseSSH retransmitted twice scan wrong-flags wrong-protocol wrong-target ipv6
    link-sll2 nat renewed carrier one-time compressed)

# The real client opens a real firewall through the real knockd 0.8: SSH is refused before the
# knock, answers after it, and is refused again once the stop command has run.
record_opencloseSSH() {
    make_pair
    server iptables -A INPUT -p tcp --dport 22 -j REJECT --reject-with tcp-reset
    # /var/log of the namespace is its own: knockd writes to the file that the config names.
    background "$SERVER" sh -c "mount -t tmpfs tmpfs /var/log &&
        exec knockd -i eth0 -c '$HERE/../opencloseSSH.conf' -v >'$WORK/knockd.out' 2>&1"
    wait_for "knockd to listen" grep -q "listening on eth0" "$WORK/knockd.out"
    serve_ssh
    capture_start opencloseSSH.pcap
    try_ssh no
    client knock -d 300 192.0.2.1 2222:udp 3333:tcp 4444:udp
    wait_for "knockd to open" server iptables -C INPUT -s 198.51.100.7 -p tcp --dport 22 -j ACCEPT
    try_ssh yes
    wait_for "knockd to close" grep -q "command timeout" "$WORK/knockd.out"
    wait_for "the rule to go" rule_is_gone
    try_ssh no
    capture_end
}

rule_is_gone() {
    ! server iptables -C INPUT -s 198.51.100.7 -p tcp --dport 22 -j ACCEPT
}

# Linux repeats the SYNs of clients that keep their sockets open, because a firewall drops them.
# The first three open the door; a second knock, between the repeats, renews it.
record_retransmitted() {
    make_pair
    server iptables -A INPUT -p tcp -j DROP
    capture_start retransmitted.pcap
    local port
    for port in 7000 8000 9000; do
        background "$CLIENT" nc -w 9 192.0.2.1 "$port"
        sleep 0.3
    done
    sleep 1.2
    client knock -d 500 192.0.2.1 7000 8000 9000
    sleep 5
    capture_end
}

# Each port twice, from a new source port each time, as a browser asks.
record_twice() {
    make_pair
    capture_start twice.pcap
    local port
    for port in 7000 7000 8000 8000 9000 9000; do
        client nc -z -w 1 192.0.2.1 "$port" || true
        sleep 0.1
    done
    capture_end
}

# nmap in ascending order, which meets 7000, 8000 and 9000 in their order.
record_scan() {
    make_pair
    capture_start scan.pcap
    client nmap -sS -Pn -n -r -T4 --max-retries 0 --max-parallelism 1 \
        -p 20-25,80,443,6995-7010,7990-8010,8990-9010 192.0.2.1 >/dev/null
    capture_end
}

# hping3 sends the sequence with ACK instead of SYN, with SYN and ACK, and then rightly.
record_wrong-flags() {
    make_pair
    capture_start wrong-flags.pcap
    local flags port
    for flags in -A -SA -S; do
        for port in 7000 8000 9000; do
            client hping3 -q -c 1 "$flags" -p "$port" 192.0.2.1 >/dev/null 2>&1 || true
        done
    done
    capture_end
}

# The client knocks 9000 by TCP; the door wants UDP.
record_wrong-protocol() {
    make_pair
    capture_start wrong-protocol.pcap
    client knock -d 200 192.0.2.1 7000 8000 9000
    capture_end
}

# The door wants its knocks at 192.0.2.2.
record_wrong-target() {
    make_pair
    capture_start wrong-target.pcap
    client knock -d 200 192.0.2.1 7000 8000 9000
    capture_end
}

record_ipv6() {
    make_pair
    add_ipv6
    capture_start ipv6.pcap
    client knock -6 -d 200 2001:db8::1 7000 8000:udp 9000
    capture_end
}

# tcpdump on all interfaces writes the link type LINUX_SLL2.
record_link-sll2() {
    make_pair
    capture_start link-sll2.pcap -i any
    client knock -d 200 192.0.2.1 7000 8000 9000
    capture_end
}

# Two clients share the address 203.0.113.5 of a router that masquerades, and knock at once.
record_nat() {
    local router="$PREFIX-router" first="$PREFIX-first" second="$PREFIX-second" name
    for name in "$SERVER" "$router" "$first" "$second"; do
        add_namespace "$name"
    done
    join "$SERVER" eth0 02:00:00:00:00:01 "$router" eth0 02:00:00:00:00:05
    join "$router" eth1 02:00:00:00:00:15 "$first" eth0 02:00:00:00:00:11
    join "$router" eth2 02:00:00:00:00:25 "$second" eth0 02:00:00:00:00:12
    ip -n "$SERVER" addr add 192.0.2.1/24 dev eth0
    ip -n "$SERVER" route add 203.0.113.0/24 dev eth0
    ip -n "$router" addr add 203.0.113.5/24 dev eth0
    ip -n "$router" route add 192.0.2.0/24 dev eth0
    ip -n "$router" addr add 198.51.100.1/25 dev eth1
    ip -n "$router" addr add 198.51.100.129/25 dev eth2
    ip -n "$first" addr add 198.51.100.11/25 dev eth0
    ip -n "$first" route add default via 198.51.100.1
    ip -n "$second" addr add 198.51.100.140/25 dev eth0
    ip -n "$second" route add default via 198.51.100.129
    in_namespace "$router" sysctl -qw net.ipv4.ip_forward=1
    in_namespace "$router" iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE
    PEER=203.0.113.5 capture_start nat.pcap
    ip netns exec "$first" knock -d 400 192.0.2.1 7000 8000 9000 &
    local knocking=$!
    sleep 0.2
    in_namespace "$second" knock -d 400 192.0.2.1 7000 8000 9000
    wait "$knocking"
    capture_end
}

# The same client knocks again while its door is open.
record_renewed() {
    make_pair
    capture_start renewed.pcap
    client knock -d 200 192.0.2.1 7000 8000 9000
    sleep 3
    client knock -d 200 192.0.2.1 7000 8000 9000
    capture_end
}

# A carrier sends the knocks out from 203.0.113.5, and the connection from 203.0.113.9.
record_carrier() {
    make_pair
    ip -n "$CLIENT" addr add 203.0.113.5/24 dev eth0
    ip -n "$CLIENT" addr add 203.0.113.9/24 dev eth0
    server iptables -A INPUT -p tcp --dport 22 -j DROP
    ip -n "$CLIENT" route replace 192.0.2.0/24 dev eth0 src 203.0.113.5
    capture_start carrier.pcap
    client knock -d 200 192.0.2.1 7000 8000 9000
    sleep 4
    client nc -s 203.0.113.9 -w 1 192.0.2.1 22 </dev/null || true
    capture_end
}

# Somebody who saw the first sequence sends it again from 198.51.100.8; the next one opens.
record_one-time() {
    make_pair
    ip -n "$CLIENT" addr add 198.51.100.8/24 dev eth0
    capture_start one-time.pcap
    client knock -d 200 192.0.2.1 7002 8002:udp 9002
    sleep 1
    ip -n "$CLIENT" route replace 192.0.2.0/24 dev eth0 src 198.51.100.8
    client knock -d 200 192.0.2.1 7002 8002:udp 9002
    ip -n "$CLIENT" route replace 192.0.2.0/24 dev eth0 src 198.51.100.7
    sleep 1
    client knock -d 200 192.0.2.1 7003:udp 8003 9003
    capture_end
}

# interleaved.pcap of make.py by each compressor; the gzip file has two members.
record_compressed() {
    local from="$HERE/../interleaved.pcap" to="$HERE/.."
    { head -c 1000 "$from" | gzip -n9; tail -c +1001 "$from" | gzip -n9; } >"$to/gzip.pcap.gz"
    zstd -q -f -19 "$from" -o "$to/zstd.pcap.zst"
    lz4 -q -f -9 "$from" "$to/lz4.pcap.lz4"
    echo "compressed testdata/interleaved.pcap"
}

main() {
    local name
    if [ $# -eq 0 ]; then
        printf '%s\n' "${RECORDINGS[@]}"
        return
    fi
    [ "$1" != all ] || set -- "${RECORDINGS[@]}"
    need gzip hping3 ip iptables knock knockd lz4 nc nmap ping ss tcpdump zstd
    begin
    for name; do
        printf '%s\n' "${RECORDINGS[@]}" | grep -qx "$name" || die "no recording named $name"
        "record_$name"
        drop_namespaces
    done
}

main "$@"
