//! The hook before a commit, by git itself and by pre-commit.

use super::repository::{Clone, HARMLESS, TOO_SHORT};
use crate::cli::Ran;

/// Commits what is staged; nothing may become of it that the hook refuses.
fn commit(clone: &Clone, is_good: bool) -> Ran {
    let head = || clone.succeeds("git rev-parse HEAD");
    let before = head();
    let ran = clone.run("-e", "git commit -m 'Change the config'", &[]);
    assert_eq!(ran.output.status.success(), is_good, "{ran}");
    assert_eq!(head() != before, is_good, "{ran}");
    ran
}

/// The hook is switched on; it judges what is staged.
fn check(clone: &Clone) {
    clone.edit(HARMLESS.0, HARMLESS.1);
    clone.succeeds("git add .");
    // What is not staged is not committed, so it is no matter.
    clone.edit(TOO_SHORT.0, TOO_SHORT.1);
    commit(clone, true);

    clone.succeeds("git add .");
    clone.edit(TOO_SHORT.1, TOO_SHORT.0);
    let late = "knock 4, 7500/tcp, came 350 ms after the window of 4 s closed";
    commit(clone, false).says("FAIL").says(late);

    // Meant, and said.
    clone.edit(TOO_SHORT.0, TOO_SHORT.1);
    clone.succeeds("knock-replay test --update knocks.toml >../updated.txt; git add .");
    commit(clone, false).says("run: ./compare HEAD").says("mv diff.txt changes.txt");
    clone.run("", "./compare HEAD", &[]).exits(1);
    clone.succeeds("mv diff.txt changes.txt; git add .");
    commit(clone, true);

    clone.edit("sequence      = 7000,9000,8000,7500", "sequence      = 7000,8000");
    clone.succeeds("git add .");
    commit(clone, false).says("[few-knocks]");

    // Other files are none of its business.
    clone.succeeds("git checkout -q HEAD knockd.conf; echo knocks >README; git add README");
    assert!(!commit(clone, true).says("README").to_string().contains("cases"));
    assert_eq!(clone.succeeds("git status --porcelain"), "", "the hook leaves nothing behind");
}

#[test]
fn git_refuses_a_commit_that_locks_somebody_out() {
    let clone = Clone::new("ci-hook");
    clone.succeeds("git config core.hooksPath hooks");
    check(&clone);
}

#[test]
fn the_first_commit_has_nothing_to_be_compared_with() {
    let clone = Clone::new("ci-hook-first");
    clone.succeeds(
        "rm -rf .git; git init -q -b main; git config core.hooksPath hooks; git add .
         git commit -q -m Begin; git log --oneline | grep Begin",
    );
}

#[test]
fn pre_commit_refuses_it_too() {
    let clone = Clone::new("ci-pre-commit");
    let program = crate::python("pre-commit");
    clone.succeeds(&format!("{} install", program.display()));
    check(&clone);
}
