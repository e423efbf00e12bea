//! Sequences out of a config, one-time ones among them.

use anyhow::{Result, ensure};
use knock_lab::lab::Lab;
use knock_lab::privilege;

use crate::bench::{KNOCK, Ran, run};
use crate::ear::{Ear, knocks};

const CONFIG: &str = "\
[options]
UseSyslog
[ssh]
sequence = 7000,8000:udp,9000
tcpflags = syn
[odd]
sequence = 7000,8000
tcpflags = fin,ack
[odd-udp]
sequence = 7000:udp
tcpflags = fin
[once]
one_time_sequences = once.seq
[missing]
one_time_sequences = missing.seq
";

/// Runs the client in the lab's folder, for a relative path begins where it was started.
fn knock(lab: &Lab, arguments: &str) -> Result<Ran> {
    let line = format!("cd {} && exec {KNOCK} \"$@\"", lab.folder().display());
    let mut shell = lab.client.command("sh");
    shell.args(["-c", &line, "sh", "--config", "knockd.conf", "-d", "0", "192.0.2.1"]);
    run(shell.args(arguments.split_whitespace()))
}

fn set_up(sequences: &str) -> Result<Lab> {
    let lab = Lab::new()?;
    std::fs::write(lab.folder().join("knockd.conf"), CONFIG)?;
    std::fs::write(lab.folder().join("once.seq"), sequences)?;
    Ok(lab)
}

#[test]
fn a_door_s_sequence_is_sent() {
    privilege::test(|| {
        let lab = set_up("")?;
        let ear = Ear::new(&lab.server)?;
        knock(&lab, "--door ssh")?.expect(0)?;
        knock(&lab, "--door odd-udp")?.expect(0)?;
        let heard = ear.all();
        ensure!(knocks(&heard) == ["7000:tcp", "8000:udp", "9000:tcp", "7000:udp"], "{heard:?}");
        let mut told = String::new();
        for arguments in ["--door odd", "--door nobody", "--door missing", "--door ssh --again"] {
            told += &format!("$ {arguments}\n{}", knock(&lab, arguments)?.expect(1)?.stderr);
        }
        insta::assert_snapshot!(told);
        Ok(())
    });
}

#[test]
fn a_one_time_line_is_marked_before_it_is_sent_and_can_be_sent_again() {
    privilege::test(|| {
        let lab = set_up("# mine\n1000,2000:udp\n3000\n")?;
        let text = || std::fs::read_to_string(lab.folder().join("once.seq"));
        let ear = Ear::new(&lab.server)?;
        let none = knock(&lab, "--door once --again")?.expect(1)?;
        knock(&lab, "--door once")?.expect(0)?;
        ensure!(text()? == "# mine\n#1000,2000:udp\n3000\n", "{}", text()?);
        knock(&lab, "--door once --again")?.expect(0)?;
        ensure!(text()? == "# mine\n#1000,2000:udp\n3000\n", "{}", text()?);
        knock(&lab, "--door once --write-pcap /dev/null")?.expect(0)?;
        ensure!(text()? == "# mine\n#1000,2000:udp\n3000\n", "{}", text()?);
        knock(&lab, "--door once")?.expect(0)?;
        knock(&lab, "--door once --again")?.expect(0)?;
        ensure!(text()? == "# mine\n#1000,2000:udp\n#3000\n", "{}", text()?);
        let used_up = knock(&lab, "--door once")?.expect(1)?;
        let heard = ear.all();
        let first = ["1000:tcp", "2000:udp"];
        let expected = [&first[..], &first, &["3000:tcp"], &["3000:tcp"]].concat();
        ensure!(knocks(&heard) == expected, "{heard:?}");
        insta::assert_snapshot!(none.stderr + &used_up.stderr);
        Ok(())
    });
}

#[test]
fn what_cannot_be_marked_is_not_sent() {
    privilege::test(|| {
        let lab = set_up("1000\n")?;
        let path = lab.folder().join("once.seq");
        std::fs::hard_link(&path, lab.folder().join("other"))?;
        let ear = Ear::new(&lab.server)?;
        let linked = knock(&lab, "--door once")?.expect(1)?;
        std::fs::remove_file(lab.folder().join("other"))?;
        // What is wrong otherwise comes before the mark.
        knock(&lab, "--door once --source 203.0.113.9")?.expect(1)?;
        knock(&lab, "--door once -6")?.expect(1)?;
        ensure!(std::fs::read_to_string(&path)? == "1000\n", "it was marked");
        ensure!(ear.all().is_empty(), "it was sent");
        insta::assert_snapshot!(linked.stderr);
        Ok(())
    });
}
