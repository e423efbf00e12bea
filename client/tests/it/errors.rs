//! What is wrong with profiles, as users see it. Nothing is sent anywhere.

use std::process::Command;

use anyhow::Result;

use crate::bench::{KNOCK, run};

const PROFILES: [(&str, &str); 15] = [
    ("no such profile", "[away]\nhost = \"a.test\"\nports = [1]\n"),
    ("an empty file", ""),
    ("an unknown key", "[home]\nhost = \"a.test\"\nprots = [7000]\n"),
    ("a wrong type", "[home]\nhost = 5\nports = [7000]\n"),
    ("a port that is none", "[home]\nhost = \"a.test\"\nports = [7000, \"8000:sctp\"]\n"),
    ("a port out of range", "[home]\nhost = \"a.test\"\nports = [7000, 70000]\n"),
    ("neither number nor text", "[home]\nhost = \"a.test\"\nports = [7000, true]\n"),
    ("a delay out of range", "[home]\nhost = \"a.test\"\nports = [1]\ndelay = -5\n"),
    ("a source that is none", "[home]\nhost = \"a.test\"\nports = [1]\nsource = \"eth0\"\n"),
    ("both and ipv4", "[home]\nhost = \"a.test\"\nports = [1]\nboth = true\nipv4 = true\n"),
    ("no host", "[home]\nports = [1]\n"),
    ("no ports", "[home]\nhost = \"a.test\"\n"),
    ("ports and a door", "[home]\nhost = \"a.test\"\nports = [1]\nconfig = \"c\"\ndoor = \"d\"\n"),
    ("a door without a config", "[home]\nhost = \"a.test\"\ndoor = \"d\"\n"),
    ("no TOML", "[home]\nhost = a.test\n"),
];

fn told(folder: &std::path::Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(KNOCK);
    command.env("XDG_CONFIG_HOME", folder).env_remove("HOME").args(arguments);
    let ran = run(&mut command)?.expect(1)?;
    Ok(ran.stderr.replace(&folder.display().to_string(), "FOLDER"))
}

#[test]
fn what_is_wrong_with_a_profile_has_a_place_and_a_way_out() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("knock")).expect("it is ours");
    let mut all = told(folder.path(), &["home"]).expect("it is refused");
    for (what, text) in PROFILES {
        std::fs::write(folder.path().join("knock/config.toml"), text).expect("it is ours");
        let told = told(folder.path(), &["home"]).expect("it is refused");
        all += &format!("{what}:\n{told}");
    }
    let mut homeless = Command::new(KNOCK);
    homeless.env_remove("XDG_CONFIG_HOME").env_remove("HOME").arg("home");
    all += &run(&mut homeless).expect("it runs").expect(1).expect("it is refused").stderr;
    insta::assert_snapshot!(all);
}

#[test]
fn options_that_exclude_or_need_each_other_say_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases: [&[&str]; 9] = [
        &["--retries", "3", "a.test", "7000"],
        &["--door", "d", "a.test"],
        &["--config", "c.conf", "--door", "d", "a.test"],
        &["--config", "c.conf", "--door", "d", "a.test", "7000"],
        &["--both", "--source", "192.0.2.5", "a.test", "7000"],
        &["-6", "--source", "192.0.2.5", "a.test", "7000"],
        &["-4", "-6", "a.test", "7000"],
        &["--proxy", "a.test", "0", "a.test", "7000"],
        &["--again", "a.test", "7000"],
    ];
    let told = cases.map(|arguments| {
        let told = told(folder.path(), arguments).expect("it is refused");
        format!("$ knock {}\n{told}", arguments.join(" "))
    });
    insta::assert_snapshot!(told.join("\n"));
}
