//! `explain` from the outside, where no capture of testdata/ reaches.

use std::io::{Read as _, Write as _};
use std::process::Stdio;

use crate::cli::{Folder, Ran, pcap_of, syn};

const HOME: [u8; 4] = [198, 51, 100, 7];

/// A folder with a capture of one knock that opens, and a visit to port 443 before it.
fn folder_with_a_knock(test: &str) -> Folder {
    let folder = Folder::new(test);
    folder.write("a.pcap", &knock());
    folder
}

fn knock() -> Vec<u8> {
    let ports = [443, 443, 7000, 8000, 9000];
    pcap_of(1, (0..).zip(ports).map(|(index, port)| syn(HOME, 40_000 + index, port)))
}

#[test]
fn the_sources_that_touched_the_most_knock_ports_are_told_of_many() {
    let folder = Folder::new("many_sources");
    // 205 sources hit the first port; the last but one of them knocks properly.
    let crowd = (0..205).map(|host| syn([203, 0, 113, host], 50_000, 7000));
    let honest = [8000, 9000].map(|port| syn([203, 0, 113, 203], 50_001, port));
    folder.write("a.pcap", &pcap_of(1, crowd.chain(honest)));
    let ran = folder.run("explain -c knockd.conf a.pcap");
    ran.exits(0).says("203.0.113.203  3 packets").says("opened in");
    ran.says("\n5 more sources touched a knock port: name one with --source\n");
    let stdout = ran.stdout();
    let told: Vec<&str> = stdout.lines().filter(|line| line.ends_with("packet")).collect();
    assert_eq!(told.len(), 199, "{ran}");
    assert_eq!(told.last(), Some(&"203.0.113.198  1 packet"), "the first ones come first: {ran}");
    let ran = folder.run("explain -c knockd.conf --source 203.0.113.204 a.pcap");
    ran.exits(0).says("203.0.113.204  1 packet").says("timed out after 25 s with 1 of 3 knocks");
    assert!(!ran.stdout().contains("more source"), "{ran}");
}

#[test]
fn packets_to_other_ports_are_one_line_or_one_each() {
    let folder = folder_with_a_knock("other_ports");
    let ran = folder.run("explain -c knockd.conf a.pcap");
    ran.exits(0).says("2 packets within 1 s ").says("  other_port: 443/tcp\n");
    let ran = folder.run("explain -c knockd.conf --all a.pcap");
    assert_eq!(ran.exits(0).stdout().matches("  other_port\n").count(), 2, "{ran}");
}

#[test]
fn standard_input_is_kept_where_it_is_read_twice() {
    let folder = folder_with_a_knock("stdin");
    let from_file = folder.run("explain -c knockd.conf a.pcap").stdout();
    for arguments in ["explain -c knockd.conf -", "explain -c knockd.conf --source 198.51.100.7 -"]
    {
        let mut command = folder.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(&knock()).unwrap();
        let ran =
            Ran { arguments: arguments.to_owned(), output: child.wait_with_output().unwrap() };
        assert_eq!(ran.exits(0).stdout(), from_file, "{ran}");
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let folder = Folder::new("explain_closed_pipe");
    let knocks = (0..9_000).map(|index| syn(HOME, 20_000 + index, 7000 + index % 3 * 1000));
    folder.write("a.pcap", &pcap_of(1, knocks));
    let arguments = "explain -c knockd.conf a.pcap";
    let mut command = folder.command(arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).unwrap();
    drop(stdout);
    let ran = Ran { arguments: arguments.to_owned(), output: child.wait_with_output().unwrap() };
    ran.exits(0);
    assert!(!ran.stderr().contains("panicked") && !ran.stderr().contains("pipe"), "{ran}");
}

#[test]
fn a_source_that_sent_nothing_here_is_told_apart_from_one_that_sent_nothing() {
    let folder = folder_with_a_knock("elsewhere");
    folder
        .write("web.pcap", &pcap_of(1, [443, 80].map(|port| syn(HOME, 40_000, port)).into_iter()));
    let asked = "explain -c knockd.conf --local 10.0.0.1 --source 198.51.100.7";
    folder.run(&format!("{asked} web.pcap")).exits(0).says(
        "no packet from 198.51.100.7 in this capture went to this host (10.0.0.1) or to a knock \
         port; 2 packets went elsewhere\n",
    );
    folder.run(&format!("{asked} a.pcap")).exits(0).says("192.0.2.1, which is no address of this");
    let asked = "explain -c knockd.conf --local 192.0.2.1 --source 198.51.100.9 a.pcap";
    folder.run(asked).exits(0).says("no packet from 198.51.100.9 is in this capture\n");
    folder.run("explain -c knockd.conf web.pcap").exits(0).says("touched a knock port\n");
}
