//! `--write-pcap`: what would be sent, which opens the door in the engine.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use knock_engine::local::LocalAddresses;
use knock_engine::output::{Event, EventKind, Output};
use knock_engine::time::Timestamp;
use knock_engine::wire::LinkType;
use knock_engine::{Engine, HashKey, config};
use knock_lab::lab::{CLIENT, CLIENT_V6, Lab, OTHER};
use knock_lab::privilege;
use pcap_file::pcap::PcapReader;

use crate::bench::{knock, replace};
use crate::ear::Ear;

/// The frames of a capture, with their times since the first one.
fn frames(bytes: &[u8]) -> Result<Vec<(Duration, Vec<u8>)>> {
    let mut reader = PcapReader::new(bytes)?;
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet?;
        ensure!(packet.orig_len() == packet.len(), "a frame is cut: {packet:?}");
        frames.push((packet.timestamp(), packet.data().to_vec()));
    }
    Ok(frames)
}

/// Sees to it that a frame has right checksums all the way.
fn check(frame: &[u8]) -> Result<()> {
    let packet = SlicedPacket::from_ethernet(frame)?;
    let transport = packet.transport.context("it has a transport header")?;
    match (packet.net.context("it is an IP packet")?, transport) {
        (NetSlice::Ipv4(ip), TransportSlice::Tcp(tcp)) => {
            let header = ip.header().to_header();
            ensure!(header.header_checksum == header.calc_header_checksum(), "{header:?}");
            ensure!(tcp.checksum() == tcp.calc_checksum_ipv4(header.source, header.destination)?);
        }
        (NetSlice::Ipv4(ip), TransportSlice::Udp(udp)) => {
            let header = ip.header().to_header();
            ensure!(header.header_checksum == header.calc_header_checksum(), "{header:?}");
            let right = udp.to_header().calc_checksum_ipv4(&header, udp.payload())?;
            ensure!(udp.checksum() == right);
        }
        (NetSlice::Ipv6(ip), TransportSlice::Tcp(tcp)) => {
            let header = ip.header();
            ensure!(
                tcp.checksum() == tcp.calc_checksum_ipv6(header.source(), header.destination())?
            );
        }
        (NetSlice::Ipv6(ip), TransportSlice::Udp(udp)) => {
            let right =
                udp.to_header().calc_checksum_ipv6(&ip.header().to_header(), udp.payload())?;
            ensure!(udp.checksum() == right);
        }
        (net, _) => anyhow::bail!("no knock: {net:?}"),
    }
    Ok(())
}

/// Hands the frames to the engine, and returns the sources for which the door opened.
fn opened(config: &str, frames: &[(Duration, Vec<u8>)]) -> Result<Vec<IpAddr>> {
    let config = config::parse(config.as_bytes()).config.context("the config has no errors")?;
    let mut engine = Engine::new(config, LocalAddresses::Unknown, HashKey::default());
    let mut opened = Vec::new();
    for (at, frame) in frames {
        check(frame)?;
        let segment = knock_engine::wire::decode(LinkType::Ethernet, frame);
        let segment = segment.map_err(|cause| anyhow::anyhow!("not decoded: {cause:?}"))?;
        let nanos = u64::try_from(at.as_nanos())?;
        engine.handle_packet(&segment.packet(), Timestamp::from_nanos(nanos));
        while let Some(output) = engine.poll_output() {
            if let Output::Event(Event::Door(event)) = output
                && event.kind == EventKind::Open
            {
                opened.push(event.source);
            }
        }
    }
    Ok(opened)
}

const DOOR: &str = "[door]\nsequence = 7000,8000:udp,9000\nseq_timeout = 1\n";

#[test]
fn it_opens_the_door_and_nothing_is_sent() {
    privilege::test(|| {
        let lab = Lab::new()?;
        lab.add_ipv6()?;
        replace(&lab, "/etc/hosts", "192.0.2.1 both.test\n2001:db8::1 both.test\n")?;
        replace(&lab, "/etc/nsswitch.conf", "hosts: files\n")?;
        let path = lab.folder().join("would.pcap");
        let cases: [(&str, &str, &[IpAddr]); 4] = [
            ("", "192.0.2.1", &[CLIENT]),
            ("--source 198.51.100.8", "192.0.2.1", &[OTHER]),
            ("", "2001:db8::1", &[CLIENT_V6]),
            ("--both", "both.test", &[CLIENT, CLIENT_V6]),
        ];
        let ear = Ear::new(&lab.server)?;
        for (options, host, sources) in cases {
            let file = path.display();
            let arguments = format!("{options} --write-pcap {file} {host} 7000 8000:udp 9000");
            let ran = knock(&lab, &arguments)?.expect(0)?;
            ensure!(ran.took < Duration::from_millis(500), "nothing is waited for: {ran:?}");
            let frames = frames(&std::fs::read(&path)?)?;
            ensure!(opened(DOOR, &frames)? == sources, "{options}: {frames:?}");
            let start = frames[0].0;
            let times: Vec<_> = frames.iter().map(|(at, _)| (*at - start).as_millis()).collect();
            let expected: Vec<u128> =
                [0, 200, 400].iter().flat_map(|at| vec![*at; sources.len()]).collect();
            ensure!(times == expected, "{times:?}");
        }
        ensure!(ear.all().is_empty(), "something was sent");
        Ok(())
    });
}

#[test]
fn a_port_that_is_knocked_at_twice_is_no_repetition() {
    privilege::test(|| {
        let lab = Lab::new()?;
        let path = lab.folder().join("would.pcap");
        let file = path.display();
        knock(&lab, &format!("-d 0 --write-pcap {file} 192.0.2.1 7000 7000 7000"))?.expect(0)?;
        let frames = frames(&std::fs::read(&path)?)?;
        let door = "[door]\nsequence = 7000,7000,7000\n";
        ensure!(opened(door, &frames)? == [CLIENT], "{frames:?}");
        Ok(())
    });
}

#[test]
fn a_slow_knock_is_slow_in_the_capture_too() {
    privilege::test(|| {
        let lab = Lab::new()?;
        let path = lab.folder().join("would.pcap");
        let file = path.display();
        knock(&lab, &format!("-d 600 --write-pcap {file} 192.0.2.1 7000 8000:udp 9000"))?
            .expect(0)?;
        let frames = frames(&std::fs::read(&path)?)?;
        ensure!(opened(DOOR, &frames)?.is_empty(), "it opened after its time");
        let ran = knock(&lab, "--write-pcap /no/such/folder/x.pcap 192.0.2.1 7000")?.expect(1)?;
        let none = knock(&lab, &format!("--write-pcap {file} 203.0.113.5 7000"))?.expect(1)?;
        insta::assert_snapshot!(ran.stderr + &none.stderr);
        Ok(())
    });
}
