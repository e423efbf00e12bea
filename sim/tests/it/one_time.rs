//! A one-time line that can't be marked, in a file that can't be read again.

use std::net::IpAddr;
use std::path::Path;
use std::rc::Rc;

use knock_engine::config::Sequences;
use knock_engine::local::LocalAddresses;
use knock_engine::packet::{Packet, TcpFlags, Transport};
use knock_sim::disk::{ModelFiles, Weather};
use knock_sim::ears::Sent;
use knock_sim::fate::Fate;
use knock_sim::life::{Life, Place};
use knock_sim::model::Earth;
use knock_sim::oracle::Oracle;
use knock_sim::plan::CONFIG;
use knock_sim::random::Random;

/// Knocks with one packet, and lets the disk and the daemon do all that comes of it.
fn knock(life: &mut Life, port: u16) {
    let packet = Packet {
        source: IpAddr::from([198, 51, 100, 1]),
        destination: IpAddr::from([192, 0, 2, 1]),
        source_port: port,
        destination_port: port,
        transport: Transport::Tcp { sequence_number: 1, flags: TcpFlags::SYN },
    };
    life.ears.arrive(Sent { packet, is_fragment: false, is_minded: true });
    for _ in 0..5 {
        life.daemon.hands.world.work_disk();
        life.daemon.take_answers();
        life.daemon.turn(&mut life.ears);
    }
}

/// Returns the numbers of the lines that the door has left.
fn lines_left(life: &Life) -> Vec<usize> {
    let config = life.daemon.engine().config();
    match &config.doors[0].sequences {
        Sequences::OneTime { lines, .. } => lines.iter().map(|line| line.number).collect(),
        Sequences::Fixed(_) => Vec::new(),
    }
}

#[test]
fn used_lines_do_not_come_back_where_the_file_cannot_be_read_again() {
    let files = ModelFiles::new(Random::new(1));
    let config = "[options]\nStateDir = /sim/state\n[a]\none_time_sequences = /sim/a.seq\n\
                  start_command = add s0 %IP%\nstop_command = del s0 %IP%\n";
    files.place(Path::new(CONFIG), config.as_bytes());
    files.place(Path::new("/sim/a.seq"), b"1001\n1002\n1003\n");
    let local = LocalAddresses::Known(vec![IpAddr::from([192, 0, 2, 1])]);
    let earth = Earth::new(Random::new(2));
    let place = Place { earth: &earth, files: &files, boot: 1, half_len: 8192, local: &local };
    let fate = Rc::new(Fate::new(0));
    let (mut life, _) = place.start(&fate, |config| Oracle::new(config, &local, None)).unwrap();
    knock(&mut life, 1001);
    assert_eq!(lines_left(&life), [2, 3]);
    assert!(files.safe_content(Path::new("/sim/a.seq")).unwrap().starts_with(b"#1001\n1002"));
    // Now everything fails: the second line can't be marked, and the file can't be read.
    files.set_weather(Weather { io_errors: 1000, ..Weather::default() });
    knock(&mut life, 1002);
    assert_eq!(lines_left(&life), [3], "the first line is used, and the second one may be");
    // It gets better, and somebody has the config read again.
    files.set_weather(Weather::default());
    life.daemon.reload(&mut life.ears);
    assert_eq!(lines_left(&life), [2, 3]);
}
