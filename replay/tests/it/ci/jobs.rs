//! The jobs for GitHub and GitLab: their scripts are taken out of the YAML and run as they are.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::repository::{Clone, HARMLESS, TOO_SHORT, examples};
use crate::cli::{Folder, Ran};

const GITHUB: &str = ".github/workflows/knocks.yml";
const GITLAB: &str = ".gitlab-ci.yml";

/// Runs a program that the tests take from PyPI.
fn run_python(program: &str, arguments: &[&str], folder: &Path) -> Ran {
    let mut command = Command::new(crate::python(program));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    Ran { arguments: arguments.join(" "), output: command.output().unwrap() }
}

/// Reads a file of the repository as YAML, or a report as the tests of its JUnit.
fn parse(script: &str, path: &Path) -> Value {
    let ran = run_python("python", &["-c", script, path.to_str().unwrap()], path.parent().unwrap());
    serde_json::from_str(&ran.exits(0).stdout()).unwrap()
}

fn yaml(name: &str) -> Value {
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    parse(script, &examples().join("repository").join(name))
}

/// Returns the name of every test of a JUnit report, with the number of its failures.
fn junit(clone: &Clone) -> Vec<(String, u64)> {
    let script = "import json, sys\nfrom xml.etree import ElementTree\n\
        root = ElementTree.parse(sys.argv[1]).getroot()\nassert root.tag == 'testsuites'\n\
        print(json.dumps([[case.get('name'), len(case.findall('failure'))]\n\
        for case in root.findall('testsuite/testcase')]))";
    let cases = parse(script, &clone.0.path("report.xml"));
    let case = |case: &Value| (case[0].as_str().unwrap().to_owned(), case[1].as_u64().unwrap());
    cases.as_array().unwrap().iter().map(case).collect()
}

/// What a job came to: whether it succeeded, and what its scripts said.
struct Job {
    is_good: bool,
    said: String,
}

impl Job {
    fn add(&mut self, ran: &Ran) {
        self.is_good &= ran.output.status.success();
        self.said.push_str(&ran.to_string());
    }

    #[track_caller]
    fn is(&self, is_good: bool, expected: &[&str]) {
        assert_eq!(self.is_good, is_good, "{}", self.said);
        for expected in expected {
            assert!(self.said.contains(expected), "{expected:?} is missing from {}", self.said);
        }
    }
}

/// Runs the workflow for a pull request, as GitHub's runner does.
fn github(clone: &Clone) -> Job {
    let workflow = yaml(GITHUB);
    let source = workflow["env"]["SESAME"].as_str().unwrap();
    let variables = [("GITHUB_BASE_REF", "main"), ("SESAME", source)];
    let mut job = Job { is_good: true, said: String::new() };
    for step in workflow["jobs"]["knocks"]["steps"].as_array().unwrap() {
        let is_run = match step["if"].as_str() {
            None => job.is_good,
            Some("${{ !cancelled() }}") => true,
            Some("${{ !cancelled() && github.event_name == 'pull_request' }}") => true,
            Some(condition) => panic!("a condition that this test doesn't know: {condition}"),
        };
        if let Some(script) = step["run"].as_str().filter(|_| is_run) {
            job.add(&clone.run("-e", script, &variables));
        }
    }
    job
}

/// Runs the job for a merge request, as GitLab's runner does: all commands in one shell.
fn gitlab(clone: &Clone) -> Job {
    let pipeline = yaml(GITLAB);
    let knocks = &pipeline["knocks"];
    let lines = |key: &str| knocks[key].as_array().unwrap().clone();
    let script: Vec<String> = [lines("before_script"), lines("script")]
        .concat()
        .iter()
        .map(|line| line.as_str().unwrap().to_owned())
        .collect();
    let base = clone.succeeds("git rev-parse origin/main");
    let source = knocks["variables"]["SESAME"].as_str().unwrap();
    let variables = [("CI_MERGE_REQUEST_DIFF_BASE_SHA", base.trim()), ("SESAME", source)];
    let mut job = Job { is_good: true, said: String::new() };
    job.add(&clone.run("-eo pipefail", &script.join("\n"), &variables));
    job
}

/// A change goes in where it does no harm, or where it is meant; else its author is told.
fn check(name: &str, run: fn(&Clone) -> Job) {
    let clone = Clone::new(name);
    let commit = |message| clone.succeeds(&format!("git add . && git commit -q -m '{message}'"));
    let passed = [("a recorded week".to_owned(), 0), ("no scan opens anything".to_owned(), 0)];

    clone.edit(HARMLESS.0, HARMLESS.1);
    commit("Say where to look");
    run(&clone).is(true, &["no findings", "2 cases: 2 passed"]);
    assert_eq!(junit(&clone), passed);
    assert!(String::from_utf8(clone.0.read("diff.txt")).unwrap().contains("Nothing differs."));

    clone.edit(TOO_SHORT.0, TOO_SHORT.1);
    commit("Give less time");
    let late = "knock 4, 7500/tcp, came 350 ms after the window of 4 s closed";
    run(&clone).is(false, &["FAIL", "open ssh 198.51.100.20: 11 times", late]);
    assert_eq!(junit(&clone), [("a recorded week".to_owned(), 1), passed[1].clone()]);

    // It is meant: what is expected changes with it, and so does what differs.
    clone.run("", "knock-replay test --update knocks.toml", &[]).exits(0).says("count = 1");
    commit("Expect less");
    let way_out = "mv diff.txt changes.txt, and commit it with the change";
    run(&clone)
        .is(false, &["2 cases: 2 passed", "its fourth knock now comes 350 ms too late", way_out]);
    clone.run("", "./compare origin/main", &[]).exits(1);
    clone.succeeds("mv diff.txt changes.txt");
    commit("Say what changes");
    run(&clone).is(true, &["compare: knockd.conf changes what changes.txt says, and nothing else"]);
    assert_eq!(junit(&clone), passed);
    assert_eq!(clone.succeeds("git status --porcelain"), "", "a job leaves nothing to commit");

    // What is not said there is no more accepted than before.
    clone.edit("cmd_timeout   = 20", "cmd_timeout   = 19");
    clone.run("", "knock-replay test --update knocks.toml", &[]).exits(0);
    commit("Close earlier");
    run(&clone).is(false, &["2 cases: 2 passed", "cmd_timeout  20 -> 19", way_out]);
    assert_eq!(junit(&clone), passed);

    // Once it is in use it differs from nothing, and the old text is no matter.
    clone.succeeds("git update-ref refs/remotes/origin/main HEAD");
    run(&clone).is(true, &["2 cases: 2 passed"]);
    clone.edit("sequence      = 7000,9000,8000,7500", "sequence      = 7000,8000");
    run(&clone).is(false, &["[few-knocks]"]);
}

#[test]
fn a_pull_request_at_github_is_judged() {
    check("ci-github", github);
}

#[test]
fn a_merge_request_at_gitlab_is_judged() {
    check("ci-gitlab", gitlab);
}

#[test]
fn without_the_program_it_is_built_from_the_sources() {
    let package = include_str!("../../../Cargo.toml");
    assert!(package.contains("\nname = \"knock-replay\"\n"));
    let steps = yaml(GITHUB)["jobs"]["knocks"]["steps"].clone();
    let is_install = |step: &&Value| step["name"] == "Install knock-replay";
    let github = steps.as_array().unwrap().iter().find(is_install).unwrap()["run"].clone();
    let gitlab = yaml(GITLAB)["knocks"]["before_script"].clone();
    let gitlab = format!("{}\n{}", gitlab[0].as_str().unwrap(), gitlab[1].as_str().unwrap());
    let folder = Folder::new("ci-install");
    folder.write("cargo", b"#!/bin/sh\necho asked \"$@\"\n");
    let cargo = folder.path("cargo");
    fs::set_permissions(cargo, fs::Permissions::from_mode(0o755)).unwrap();
    for (script, root) in [(github.as_str().unwrap(), ""), (&*gitlab, "--root .cargo-root ")] {
        let mut bash = Command::new("/bin/bash");
        bash.args(["-e", "-c", script]).current_dir(&folder.0).env("PATH", &folder.0);
        let output = bash.env("SESAME", "file:///sesame").output().unwrap();
        let ran = Ran { arguments: script.to_owned(), output };
        let expected = format!("asked install --locked {root}--git file:///sesame knock-replay\n");
        assert_eq!(ran.exits(0).stdout(), expected);
    }
    // What GitLab puts there is what it keeps, and where the script looks.
    assert_eq!(yaml(GITLAB)["knocks"]["cache"]["paths"][0], ".cargo-root/bin");
    assert!(gitlab.starts_with("export PATH=\"$PWD/.cargo-root/bin:$PATH\"\n"));
}

#[test]
fn the_systems_understand_their_files() {
    let folder = Folder::new("ci-schemas");
    let repository = examples().join("repository");
    let files: [(&str, &[&str], &str); 2] = [
        (GITHUB, &["--builtin-schema", "vendor.github-workflows"], "runs-on"),
        (
            GITLAB,
            &["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
            "script",
        ),
    ];
    for (name, schema, key) in files {
        let text = fs::read_to_string(repository.join(name)).unwrap();
        folder.write("good.yml", text.as_bytes());
        // What is wrong would be seen.
        let wrong = text.replace(&format!("    {key}:"), "    what:");
        let wrong = wrong.replace(&format!("\n  {key}:"), "\n  what:");
        assert_ne!(wrong, text);
        folder.write("wrong.yml", wrong.as_bytes());
        for (file, code) in [("good.yml", 0), ("wrong.yml", 1)] {
            run_python("check-jsonschema", &[schema, &[file]].concat(), &folder.0).exits(code);
        }
    }
    let config = repository.join(".pre-commit-config.yaml");
    run_python("pre-commit", &["validate-config", config.to_str().unwrap()], &folder.0).exits(0);
}
