//! `--update`: what it changes, what it shows, and what it leaves alone.

use std::fs;
use std::path::PathBuf;

use super::{folder, shown};
use crate::cli::Folder;

fn read(test: &str, name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cli").join(test).join(name);
    fs::read_to_string(path).unwrap()
}

#[test]
fn what_happened_is_expected_and_shown() {
    let folder = folder("expect_update");
    let ran = folder.run("test --update --run late|unexpected|often|short|began cases.toml");
    insta::assert_snapshot!(shown(ran.exits(0)));
    folder.run("test --run passes|late|unexpected|often|short|began cases.toml").exits(0);
}

#[test]
fn comments_and_layout_stay() {
    let folder = Folder::new("expect_update_layout");
    folder.write(
        "cases.toml",
        b"# Ours.\nconfig = 'knockd.conf'   # the config\n\n\
          [[case]]\nname     = \"tables\"\nknocks   = \"198.51.100.7 7000/tcp, 8000/tcp, 9000/tcp\"\n\n\
          # Who gets in.\n[[case.expect]]\ndoor  = \"ssh\"\ncount = 7    # days\n\n\
          [[case]] # the second\nname = \"lines\"\nknocks = '''\n# a scan\n203.0.113.9 7000/tcp, 8000/tcp, 9000/tcp\n'''\n\
          expect = [\n  # the admin\n  { door = \"ssh\", source = \"198.51.100.7\" },\n  { event = \"stage\", count = 4 }, # four\n]\n\n\
          [[case]]\nname = \"shut\"\nknocks = \"198.51.100.7 7000/tcp\"\n[[case.expect]]\ndoor = \"ssh\"\n",
    );
    folder.run("test --update cases.toml").exits(0);
    insta::assert_snapshot!(read("expect_update_layout", "cases.toml"));
    folder.run("test cases.toml").exits(0);
}

#[test]
fn a_crowd_is_one_line() {
    let folder = Folder::new("expect_update_crowd");
    let knocks: String = (0..150)
        .map(|host| format!("10.0.0.{host} @{host}s 7000/tcp, 8000/tcp, 9000/tcp\n"))
        .collect();
    let text = format!(
        "[[case]]\nname = \"crowd\"\nconfig = \"knockd.conf\"\nknocks = \"\"\"\n{knocks}\"\"\"\n\
         expect = [\n    {{ door = \"ssh\", source = \"10.0.0.1\" }},\n]\n"
    );
    folder.write("cases.toml", text.as_bytes());
    folder.run("test --update cases.toml").exits(0);
    let updated = read("expect_update_crowd", "cases.toml");
    assert!(updated.contains("{ door = \"ssh\", count = 150, open_for = \"10s\" }"), "{updated}");
    folder.run("test cases.toml").exits(0);
}

#[test]
fn a_file_that_cannot_be_run_stays_as_it_was() {
    let folder = folder("expect_update_error");
    folder.run("test --update --run door|config|damaged cases.toml").exits(2);
    assert_eq!(read("expect_update_error", "cases.toml"), super::CASES);
}
