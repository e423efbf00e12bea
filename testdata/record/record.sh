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

RECORDINGS=(opencloseSSH)

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
    client ping -q -c 1 192.0.2.1 >/dev/null
    try_ssh no
    client knock -d 300 192.0.2.1 2222:udp 3333:tcp 4444:udp
    wait_for "knockd to open" server iptables -C INPUT -s 198.51.100.7 -p tcp --dport 22 -j ACCEPT
    try_ssh yes
    wait_for "knockd to close" grep -q "command timeout" "$WORK/knockd.out"
    wait_for "the rule to go" rule_is_gone
    try_ssh no
    capture_end
    drop_namespaces
}

rule_is_gone() {
    ! server iptables -C INPUT -s 198.51.100.7 -p tcp --dport 22 -j ACCEPT
}

main() {
    local name
    if [ $# -eq 0 ]; then
        printf '%s\n' "${RECORDINGS[@]}"
        return
    fi
    [ "$1" != all ] || set -- "${RECORDINGS[@]}"
    need ip iptables tcpdump knock knockd nc ping ss
    begin
    for name; do
        printf '%s\n' "${RECORDINGS[@]}" | grep -qx "$name" || die "no recording named $name"
        "record_$name"
    done
}

main "$@"
