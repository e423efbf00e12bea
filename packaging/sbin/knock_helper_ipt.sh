#!/bin/sh
# Adds or removes a rule of iptables that lets a source in, for commands in knockd.conf. It takes the
# options of the helper of that name in Debian's package of knockd, of which nothing else is in here.
#
# Where that one adds the same rule again, this one leaves it; and where that one looks in vain for
# what it added, this one removes it, also what the other left. It knows IPv6.
set -u

name=knock_helper_ipt.sh

usage() {
    cat <<END
usage: $name -a|-i|-x -f ADDRESS -d PORT [-p PROTOCOL] [-c CHAIN] [-m COMMENT] [-t] [-v]

Lets a source through to a port, by a rule of iptables, or of ip6tables.

  -a, --append            add the rule at the end of the chain
  -i, --insert            add it at the beginning
  -x, --delete            remove it
  -f, --srcaddr ADDRESS   the source: %IP% or %NET% in a command of knockd.conf
  -d, --dstport PORT      the port, or a range: 6000:6010
  -p, --proto PROTOCOL    tcp (which it is without this option) or udp
  -c, --chain CHAIN       the chain: INPUT without this option
  -m, --comment COMMENT   the rule's comment: 'by knockd' without this option
  -t, --test              change nothing
  -v, --verbose           say what is done
  -h, --help              say this
END
}

fail() {
    echo "$name: $*; see $name --help" >&2
    exit 1
}

parsed=$(getopt -n "$name" -o aixf:d:p:c:m:thv \
    -l append,insert,delete,srcaddr:,dstport:,proto:,chain:,comment:,test,help,verbose -- "$@") ||
    exit 1
eval set -- "$parsed"

action='' source='' port='' protocol=tcp chain=INPUT comment='by knockd' is_test='' is_verbose=''
while [ "$1" != -- ]; do
    case $1 in
    -a | --append) action=-A ;;
    -i | --insert) action=-I ;;
    -x | --delete) action=-D ;;
    -f | --srcaddr) source=$2 && shift ;;
    -d | --dstport) port=$2 && shift ;;
    -p | --proto) protocol=$2 && shift ;;
    -c | --chain) chain=$2 && shift ;;
    -m | --comment) comment=$2 && shift ;;
    -t | --test) is_test=1 ;;
    -v | --verbose) is_verbose=1 ;;
    -h | --help)
        usage
        exit 0
        ;;
    esac
    shift
done
[ -n "$action" ] || fail "one of -a, -i and -x must be given"
[ -n "$source" ] || fail "there is no source: give it with -f"
[ -n "$port" ] || fail "there is no port: give it with -d"

case $source in
*:*) iptables=ip6tables ;;
*) iptables=iptables ;;
esac

# Runs iptables with an action and the rule that has this comment.
rule() {
    "$iptables" -w "$1" "$chain" -s "$source" -p "$protocol" --dport "$port" \
        -m comment --comment "$2" -j ACCEPT
}

# Tells whether there is the rule with this comment; ends the script where that can't be told, for a
# rule that nobody could look for is not gone.
exists() {
    told=$(rule -C "$1" 2>&1) && return 0
    status=$?
    [ "$status" -eq 1 ] && return 1
    echo "$name: $told" >&2
    exit "$status"
}

verbosely() {
    if [ -n "$is_verbose" ]; then
        echo "$name: $*"
    fi
}

shown="$iptables -w $action $chain -s $source -p $protocol --dport $port -m comment"
shown="$shown --comment '$comment' -j ACCEPT"
if [ -n "$is_test" ]; then
    verbosely "would run: $shown"
    exit 0
fi
case $action in
-A | -I)
    if exists "$comment"; then
        verbosely "the rule is there already"
        exit 0
    fi
    verbosely "$shown"
    rule "$action" "$comment"
    ;;
-D)
    # The comments that the rules of Debian's helper have.
    for old in 'Append ' 'Insert ' 'Append by knockd' 'Insert by knockd'; do
        while exists "$old"; do
            verbosely "removing the rule with the comment '$old'"
            rule -D "$old" || exit
        done
    done
    if exists "$comment"; then
        verbosely "$shown"
        rule -D "$comment"
    else
        verbosely "no such rule is left"
    fi
    ;;
esac
