//! Every `tcpflags` a config can hold, against every flag byte a packet can have (S5).

use knock_engine::config::KnockFlags;
use knock_engine::packet::TcpFlags;

/// What a config says of one flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mention {
    None,
    Plain,
    Negated,
}

const FIN: usize = 0;
const SYN: usize = 1;
const RST: usize = 2;
const PSH: usize = 3;
const ACK: usize = 4;

/// S5, read anew: one mention per flag, in the order of the header's bits.
fn reference(mentions: [Mention; 6], bits: u8) -> bool {
    (0..6).all(|flag| {
        let is_set = bits & (1 << flag) != 0;
        match mentions[flag] {
            Mention::Plain => is_set,
            Mention::Negated => !is_set,
            Mention::None if [ACK, RST, FIN].contains(&flag) && is_set => {
                mentions[SYN] != Mention::Plain
            }
            Mention::None => true,
        }
    })
}

/// All 3^6 specifications.
fn specifications() -> impl Iterator<Item = [Mention; 6]> {
    (0..3_usize.pow(6)).map(|number| {
        let digit = |flag| number / 3_usize.pow(flag) % 3;
        [0, 1, 2, 3, 4, 5]
            .map(|flag| [Mention::None, Mention::Plain, Mention::Negated][digit(flag)])
    })
}

fn mentioned(mentions: [Mention; 6], wanted: Mention) -> TcpFlags {
    let flags = TcpFlags::NAMED.iter().zip(mentions);
    flags
        .filter(|(_, mention)| *mention == wanted)
        .fold(TcpFlags::NONE, |set, ((flag, _), _)| set.union(*flag))
}

fn knock_flags(mentions: [Mention; 6]) -> KnockFlags {
    KnockFlags::new(mentioned(mentions, Mention::Plain), mentioned(mentions, Mention::Negated))
}

#[test]
fn every_specification_accepts_what_the_rule_says() {
    let mut compared = 0;
    for mentions in specifications() {
        let flags = knock_flags(mentions);
        for bits in 0..64 {
            let accepted = flags.accept(TcpFlags::from_bits(bits));
            assert_eq!(accepted, reference(mentions, bits), "{mentions:?} {bits:#04x}");
            compared += 1;
        }
    }
    assert_eq!(compared, 729 * 64);
}

#[test]
fn every_specification_knows_whether_data_satisfies_it() {
    for mentions in specifications() {
        let expected =
            [1 << ACK, 1 << ACK | 1 << PSH].iter().any(|bits| reference(mentions, *bits));
        assert_eq!(knock_flags(mentions).accept_data(), expected, "{mentions:?}");
    }
}

#[test]
fn specifications_that_people_write() {
    let accepted = |required, forbidden| {
        let flags = KnockFlags::new(required, forbidden);
        (0..64).filter(|bits| flags.accept(TcpFlags::from_bits(*bits))).collect::<Vec<_>>()
    };
    let syn = TcpFlags::SYN;
    // syn, and with it PSH and URG in every combination, but never ACK, RST or FIN.
    assert_eq!(accepted(syn, TcpFlags::NONE), [0x02, 0x0a, 0x22, 0x2a]);
    // syn,ack asks for ACK itself, so only RST and FIN stay forbidden.
    assert_eq!(accepted(syn.union(TcpFlags::ACK), TcpFlags::NONE), [0x12, 0x1a, 0x32, 0x3a]);
    // fin says nothing about the others.
    assert_eq!(accepted(TcpFlags::FIN, TcpFlags::NONE).len(), 32);
    // A flag on both sides is required.
    assert_eq!(accepted(syn, syn), accepted(syn, TcpFlags::NONE));
    assert_eq!(accepted(TcpFlags::NONE, TcpFlags::NONE).len(), 64);
}
