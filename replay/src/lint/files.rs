//! Checks of settings that are no sequence and no command, and of the files themselves.

use std::collections::HashMap;
use std::path::Path;

use knock_engine::config::{Diagnostic, Sequences};

use super::code::Code;
use super::subject::{Finding, Subject};

/// Looks at the files and at the settings of doors.
pub(super) fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let config = &subject.files[0];
    if subject.world_readable.contains(&config.path) {
        findings.push(readable(&config.path, 0..0));
    }
    findings.extend(config.diagnostics.iter().map(|found| warning(found, 0)));
    let files = subject.files.iter().map(|file| file.path.as_path()).enumerate().skip(1);
    // A file that several doors share is told of at the first of them.
    let mut one_time: HashMap<&Path, usize> = files.rev().map(|(at, path)| (path, at)).collect();
    for view in subject.doors() {
        let mut found = Vec::new();
        if let Some(limit) = view.door.failure_limit {
            found.push(forged_lockout(view.place(&["max_failures"]), limit.max_failures));
        }
        if let Sequences::OneTime { path, .. } = &view.door.sequences
            && let Some(index) = one_time.remove(Path::new(path))
        {
            let anchor = view.sequence_place();
            let file = &subject.files[index];
            if subject.world_readable.contains(&file.path) {
                found.push(readable(&file.path, anchor.clone()));
            }
            let warnings = file.diagnostics.iter().map(|found| warning(found, index));
            found.extend(warnings.map(|it| Finding { anchor: anchor.clone(), ..it }));
        }
        findings.extend(found.into_iter().map(|it| Finding { door: Some(view.index), ..it }));
    }
}

fn readable(path: &Path, span: std::ops::Range<usize>) -> Finding {
    let path = path.display();
    let reason = format!("everybody on this host may read {path}, and the sequences in it");
    Finding::new(Code::WorldReadable, span, reason, format!("run chmod o-r {path}"))
}

fn warning(found: &Diagnostic, file: usize) -> Finding {
    let help = found.help.clone().unwrap_or_else(|| "write what is meant".to_owned());
    let finding =
        Finding::new(Code::ConfigWarning, found.span.clone(), found.message.clone(), help);
    Finding { file, replacement: found.replacement.clone(), ..finding }
}

fn forged_lockout(span: std::ops::Range<usize>, max_failures: u16) -> Finding {
    let reason = format!(
        "max_failures = {max_failures}: failures can be forged with the address of somebody else, \
         who is then locked out, by a stranger who knows nothing of the sequence"
    );
    let remedy = "leave max_failures out; or keep it, and say so with a comment above it: # lint: \
                  allow forged-lockout (why)";
    Finding::new(Code::ForgedLockout, span, reason, remedy.to_owned())
}
