//! The drop-in of docs/CI.md: its commands, run as systemd runs them, with the real daemon.

use std::fs;
use std::process::Command;

use crate::init::Host;
use crate::run::{Ran, project, run};

/// What is below the prefix of an installation.
const UNIT: &str = "prefix/lib/systemd/system/knockd.service";
const DROP_IN: &str = "prefix/share/doc/knockd/examples/ci/reload/knocks.conf";

/// Returns the commands of a key, in which an empty one takes back all before it.
fn commands(files: &[String], key: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in files.iter().flat_map(|text| text.lines()) {
        match line.strip_prefix(key).and_then(|rest| rest.strip_prefix('=')) {
            Some("") => found.clear(),
            Some(command) => found.push(command.to_owned()),
            None => {}
        }
    }
    found
}

#[test]
fn a_reload_that_would_lock_somebody_out_is_refused() {
    let host = Host::new();
    let files = [UNIT, DROP_IN].map(|name| fs::read_to_string(host.at(name)).unwrap());
    let reload = commands(&files, "ExecReload");
    assert_eq!(reload.len(), 3, "{reload:?}");
    let [start] = &commands(&files, "ExecStart")[..] else { panic!("one daemon is started") };
    // systemd splits variables at blanks, as the shell does, and ends at the first failure.
    let script = format!(
        "repository={repository}; mkdir /etc/knockd
         until_so() {{
             for _ in $(seq 3000); do ! \"$@\" || return 0; sleep 0.02; done
             cat errors log; return 1
         }}
         cp $repository/knockd.conf $repository/knocks.toml $repository/knocks.pcapng /etc/knockd
         conf=/etc/knockd/knockd.conf; KNOCKD_OPTS=\"-c $conf\"
         sed -i \"s|UseSyslog|Interface = lo\\nStateDir = $PWD/state\\nLogFile = $PWD/log|; s|= iptables.*|= true %IP%|\" $conf
         chmod 640 $conf
         reload() {{
             local status=0; {{ {reload}; }} >said 2>&1 || status=$?
             grep -o 'passed\\|FAIL.*\\|knock 4, .*\\|check-first: no.*' said | sort -u; echo \"= $status\"
         }}
         reread() {{ grep -c re-read log || true; }}
         is_reread() {{ [ \"$(reread)\" = \"$1\" ]; }}
         {start} 2>errors & MAINPID=$!
         until_so grep -qs 'listening on lo' log; echo $MAINPID >pid; remember
         echo 'harmless'; echo '# more' >>$conf; reload; until_so is_reread 1
         echo 'too short'; sed -i 's/seq_timeout   = 5/seq_timeout   = 4/' $conf; reload; reread
         echo 'broken'; sed -i 's/7000,/70000,/' $conf; reload; reread
         echo 'meant'; sed -i 's/70000,/7000,/' $conf
         prefix/bin/knock-replay test --update /etc/knockd/knocks.toml >said; reload; until_so is_reread 2
         alive; kill $MAINPID; wait $MAINPID",
        repository = project().join("examples/ci/repository").display(),
        reload = reload.join(" && "),
    );
    insta::assert_snapshot!(host.run(&script), @r"
    harmless
    passed
    = 0
    too short
    FAIL   /etc/knockd/knocks.toml:2  a recorded week
    knock 4, 7500/tcp, came 350 ms after the window of 4 s closed:
    passed
    = 1
    1
    broken
    check-first: no reload: the daemon goes on as it is; correct what knockd --check says above
    = 1
    1
    meant
    passed
    = 0
    the same runs
    ");
}

#[test]
fn systemd_understands_the_drop_in() {
    let host = Host::new();
    let unit = host.at(UNIT);
    let drop_ins = unit.with_extension("service.d");
    fs::create_dir(&drop_ins).unwrap();
    let text = fs::read_to_string(host.at(DROP_IN)).unwrap();
    for (text, is_good) in
        [(text.clone(), true), (text.replace("check-first", "check-last"), false)]
    {
        fs::write(drop_ins.join("knocks.conf"), text).unwrap();
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", "--man=no", "--recursive-errors=no"]);
        let Ran { said, .. } = run(verify.arg(&unit));
        let ours: Vec<_> = said.lines().filter(|line| line.contains("knockd")).collect();
        assert_eq!(ours.is_empty(), is_good, "{said}");
    }
}
