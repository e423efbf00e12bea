//! The hot path allocates nothing once the engine has held as much as it will hold.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use knock_benches::bed::{Bed, STEPS, Spans, irrelevant, knock, port};
use knock_benches::random::Random;
use knock_engine::packet::Packet;

const WITHOUT_LEASES: Spans = Spans {
    seq_timeout: Duration::from_secs(25),
    retransmit_window: Duration::from_secs(60),
    lease: None,
};
const WITH_LEASES: Spans = Spans { lease: Some(Duration::from_secs(10)), ..WITHOUT_LEASES };
/// After this wait nothing is left of what came before.
const LONG: Duration = Duration::from_secs(3600);
/// The wait before each packet of a mix.
const STEP: Duration = Duration::from_millis(10);

fn source(random: &mut Random) -> IpAddr {
    let host = u16::try_from(random.below(2000)).expect("2,000 fit");
    if host.is_multiple_of(4) {
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 5, 0, 0, 0, 0, host))
    } else {
        IpAddr::V4(Ipv4Addr::from(0x0a00_0000 | u32::from(host)))
    }
}

/// Makes everything that a source can do: irrelevant packets, first knocks that time out, whole
/// sequences, retransmissions, repeats, knocks out of order, strays, too many strays.
fn mix(seed: u64, doors: u16) -> Vec<Packet> {
    let mut random = Random::new(seed);
    let mut packets = Vec::new();
    for nonce in 0..20_000 {
        let source = source(&mut random);
        let door = random.between(0, doors - 1);
        let mut send = |step| packets.push(knock(source, port(door, step), nonce));
        match random.below(8) {
            0 | 1 => send(0),
            2 | 3 => (0..STEPS).for_each(send),
            4 => [0, 0, 1, 1, 2, 2].into_iter().for_each(send),
            5 => [0, 2, 0, 1, 2].into_iter().for_each(send),
            6 => {
                let strays = random.between(1, 12);
                packets.push(knock(source, port(door, 0), nonce));
                packets.extend((0..strays).map(|stray| knock(source, 60_000 + stray, nonce)));
                packets.push(knock(source, port(door, 0), nonce + 1_000_000));
            }
            _ => packets.push(irrelevant(source)),
        }
    }
    packets
}

/// Plays a mix, lets everything end, and returns the number of outputs.
fn play(bed: &mut Bed, packets: &[Packet]) -> usize {
    let outputs: usize = packets.iter().map(|packet| bed.handle(packet, STEP)).sum();
    bed.now = bed.now.saturating_add(LONG);
    bed.engine.handle_timeout(bed.now);
    outputs + bed.drain()
}

fn assert_no_allocation(doors: u16, spans: Spans) {
    let packets = mix(u64::from(doors), doors);
    let mut bed = Bed::new(doors, spans);
    let mut outputs = [0; 2];
    let warm_up = allocation_counter::measure(|| outputs[0] = play(&mut bed, &packets));
    let hot = allocation_counter::measure(|| outputs[1] = play(&mut bed, &packets));
    assert!(warm_up.count_total > 0, "the counter counts");
    assert!(outputs[0] > packets.len() / 2, "{} outputs: the mix does something", outputs[0]);
    assert_eq!(outputs[0], outputs[1], "the second time everything happens again");
    assert_eq!(hot.count_total, 0, "{doors} doors, {} packets: {hot:?}", packets.len());
}

#[test]
fn the_second_time_one_door_allocates_nothing() {
    assert_no_allocation(1, WITHOUT_LEASES);
}

#[test]
fn the_second_time_leases_allocate_nothing() {
    assert_no_allocation(1, WITH_LEASES);
}

#[test]
fn the_second_time_many_doors_allocate_nothing() {
    assert_no_allocation(300, WITH_LEASES);
}
