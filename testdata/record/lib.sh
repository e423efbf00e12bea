# Network namespaces, a capture, and waiting, for record.sh. Sourced, not run.
#
# Every name carries the shell's process number, so two recordings at a time don't meet, and the
# trap set by `begin` removes all of it however the script ends.

WORK=
PREFIX="knock$$"
SERVER="$PREFIX-server"
CLIENT="$PREFIX-client"
# Whom the server pings to see whether its capture has begun.
PEER=198.51.100.7
CAPTURE=
CAPTURE_FILE=
BACKGROUND=()

# Prints what went wrong and ends the script.
die() {
    echo "record: $*" >&2
    exit 1
}

# Waits until a command succeeds: wait_for "what" COMMAND... (After 20 s the script ends.)
wait_for() {
    local what=$1 tries=0
    shift
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 400 ] || die "waited 20 s for $what"
        sleep 0.05
    done
}

# Ends if one of these programs isn't installed.
need() {
    local program missing=()
    for program; do
        command -v "$program" >/dev/null || missing+=("$program")
    done
    [ ${#missing[@]} -eq 0 ] || die "not installed: ${missing[*]} (see testdata/README.md)"
}

begin() {
    [ "$(id -u)" -eq 0 ] || die "network namespaces need root"
    WORK=$(mktemp -d)
    trap finish EXIT
}

finish() {
    drop_namespaces
    [ -z "$WORK" ] || rm -rf "$WORK"
}

# Ends what runs in this script's namespaces, and removes them.
drop_namespaces() {
    stop_background
    local namespace
    for namespace in $(ip netns list | cut -d ' ' -f 1); do
        [[ $namespace != "$PREFIX"-* ]] || ip netns del "$namespace"
    done
}

# Ends what `background` started.
stop_background() {
    local pid
    for pid in "${BACKGROUND[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    BACKGROUND=()
}

# Runs a command in a namespace: in_namespace NAME COMMAND...
in_namespace() {
    ip netns exec "$@"
}

server() {
    in_namespace "$SERVER" "$@"
}

client() {
    in_namespace "$CLIENT" "$@"
}

# Starts a command in a namespace; `stop_background` ends it: background NAMESPACE COMMAND...
# (Not through the functions above: the process number would be that of a shell in between.)
background() {
    ip netns exec "$@" &
    BACKGROUND+=($!)
}

# Makes a namespace without IPv6, whose multicast reports would be in every capture.
add_namespace() {
    ip netns add "$1"
    in_namespace "$1" sysctl -qw net.ipv6.conf.default.disable_ipv6=1
    ip -n "$1" link set lo up
}

# Joins two namespaces: join A A_IFACE A_MAC B B_IFACE B_MAC.
join() {
    ip link add "$2" netns "$1" address "$3" type veth peer name "$5" netns "$4" address "$6"
    ip -n "$1" link set "$2" up
    ip -n "$4" link set "$5" up
}

# Makes the usual pair: the server has 192.0.2.1 and 192.0.2.2, the client 198.51.100.7, and each
# reaches the other's networks directly.
make_pair() {
    add_namespace "$SERVER"
    add_namespace "$CLIENT"
    join "$SERVER" eth0 02:00:00:00:00:01 "$CLIENT" eth0 02:00:00:00:00:07
    ip -n "$SERVER" addr add 192.0.2.1/24 dev eth0
    ip -n "$SERVER" addr add 192.0.2.2/24 dev eth0
    ip -n "$SERVER" route add 198.51.100.0/24 dev eth0
    ip -n "$SERVER" route add 203.0.113.0/24 dev eth0
    ip -n "$CLIENT" addr add 198.51.100.7/24 dev eth0
    ip -n "$CLIENT" route add 192.0.2.0/24 dev eth0
}

# Gives the pair 2001:db8::1 (the server) and 2001:db8:7::7, and waits until they reach each other.
add_ipv6() {
    local namespace
    for namespace in "$SERVER" "$CLIENT"; do
        in_namespace "$namespace" sysctl -qw net.ipv6.conf.eth0.addr_gen_mode=1 \
            net.ipv6.conf.eth0.accept_dad=0 net.ipv6.conf.eth0.disable_ipv6=0
    done
    ip -n "$SERVER" addr add 2001:db8::1/64 dev eth0
    ip -n "$SERVER" route add 2001:db8:7::/64 dev eth0
    ip -n "$CLIENT" addr add 2001:db8:7::7/64 dev eth0
    ip -n "$CLIENT" route add 2001:db8::/64 dev eth0
    wait_for "IPv6" client ping -q -c 1 2001:db8::1
}

# Asks tcpdump for its counts, and prints the last answer: "CAPTURED RECEIVED".
#
# The answer may be that to an earlier question.
capture_counts() {
    kill -USR1 "$CAPTURE"
    awk '/ packets captured/ { counts = $2 " " $5 } END { print counts ? counts : "0 0" }' \
        "$WORK/tcpdump.err"
}

# Tells whether tcpdump has written anything, after a ping that gives it something to write.
has_captured_a_ping() {
    local captured received
    server ping -q -c 1 -W 1 "$PEER" && read -r captured received < <(capture_counts) &&
        [ "$captured" -gt 0 ]
}

# Tells whether tcpdump has written all that the kernel gave it. Nothing more is sent by then, so
# an answer to an earlier question can only be behind.
has_captured_all() {
    local captured received
    read -r captured received < <(capture_counts) && [ "$captured" -gt 0 ] &&
        [ "$captured" -eq "$received" ]
}

# Starts tcpdump on the server and waits until it captures: capture_start FILE [OPTION...]
# Without an option that says so, it listens on eth0.
#
# It says that it listens a little before it does, so the server pings its peer until one ping is
# in the file. Every recording begins with that.
capture_start() {
    local file=$1
    shift
    [ $# -gt 0 ] || set -- -i eth0
    CAPTURE_FILE=$WORK/$(basename "$file")
    # -Z root: the file lies in a folder of root's. -U: a packet is in the file at once.
    # -B: 64 MiB, for with --immediate-mode the default buffer holds only a few packets.
    ip netns exec "$SERVER" tcpdump -n -U -Z root -B 65536 --immediate-mode \
        -w "$CAPTURE_FILE" "$@" 2>"$WORK/tcpdump.err" &
    CAPTURE=$!
    BACKGROUND+=("$CAPTURE")
    wait_for "tcpdump to listen" grep -q "listening on" "$WORK/tcpdump.err"
    wait_for "tcpdump to capture" has_captured_a_ping
}

# Ends the capture when everything is in it, and puts the file in its place.
capture_end() {
    wait_for "tcpdump to write the last packet" has_captured_all
    kill "$CAPTURE"
    wait "$CAPTURE" || die "tcpdump failed: $(cat "$WORK/tcpdump.err")"
    grep -q "^0 packets dropped by kernel" "$WORK/tcpdump.err" || die "tcpdump lost packets"
    cp "$CAPTURE_FILE" "$HERE/../"
    echo "recorded testdata/$(basename "$CAPTURE_FILE"): $(stat -c %s "$CAPTURE_FILE") bytes"
}

# Tells whether the server listens on this TCP port.
listens() {
    server ss -Hltn "sport = :$1" | grep -q .
}

# Answers one TCP connection to the server's port 22 as an SSH server begins.
serve_ssh() {
    printf 'SSH-2.0-OpenSSH_9.2p1\r\n' >"$WORK/banner"
    background "$SERVER" sh -c "exec nc -l -q 0 192.0.2.1 22 <'$WORK/banner' >/dev/null"
    wait_for "the listener on port 22" listens 22
}

# Tries the server's port 22 and tells whether it answered: try_ssh yes|no [NAMESPACE]
try_ssh() {
    local expected=$1 namespace=${2:-$CLIENT} answer
    answer=$(in_namespace "$namespace" nc -w 1 192.0.2.1 22 </dev/null 2>/dev/null || true)
    case $expected:$answer in
    yes:SSH-*) ;;
    no:) ;;
    *) die "port 22: expected an answer: $expected, got: \"$answer\"" ;;
    esac
}
