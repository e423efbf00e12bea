//! What of a config would not work under the hardened systemd unit (`packaging/systemd/`), as an
//! ordinary user with two capabilities and a file system that is read-only but for a few folders.

use std::path::{Component, Path};

use knock_engine::config::Sequences;

use super::commands::{commands, look_up};
use super::system::{Found, Ids, Kind, System};
use super::{CheckInput, MORE_CAPABILITIES_UNIT};
use crate::process::privileges::Needs;

/// The folders that the unit gives its user to write to.
const WRITABLE: [&str; 3] = ["/var/lib/knockd", "/run/knockd", "/var/log/knockd"];

/// The folder that the unit leaves writable for whom it belongs to.
const FOR_ONE_TIME_FILES: &str = "/etc/knockd";

/// The folders that the unit hides.
const HIDDEN: [&str; 3] = ["/home", "/root", "/run/user"];

/// Where systemd shows that it runs this host.
const SYSTEMD: &str = "/run/systemd/system";

/// Returns a sentence for everything that would break; `None` where nobody needs to know: without
/// systemd, and for whoever is an ordinary user already and so is told of all that is amiss.
pub(super) fn breaks(input: &CheckInput<'_, impl System>) -> Option<Vec<String>> {
    let has_systemd = input.system.find(Path::new(SYSTEMD)).is_ok();
    if input.system.user() != 0 || !has_systemd {
        return None;
    }
    let mut told = Vec::new();
    commands_that_break(input, &mut told);
    let ids = input.system.service_user();
    if ids.is_none() {
        told.push(
            "there is no user knockd, as whom it would run; systemd-sysusers makes it".into(),
        );
    }
    files_that_break(input, ids, &mut told);
    Some(told)
}

fn commands_that_break(input: &CheckInput<'_, impl System>, told: &mut Vec<String>) {
    let find = |word: &str| {
        let path = look_up(word, input.command_path, input.system).ok()?;
        let path = input.system.resolve(&path).ok()?;
        path.file_name()?.to_str().map(str::to_owned)
    };
    for door in &input.config.doors {
        for (key, command) in commands(door) {
            let needs = Needs::of([command.template()], &find);
            let place = format!("door {}: {key}", door.name);
            if needs.legacy_v4.is_some() || needs.legacy_v6.is_some() {
                told.push(format!(
                    "{place}: the older iptables has a lock that only root can have; \
                     iptables-nft, ip6tables-nft and nft do without"
                ));
            } else if needs.anything.is_some() {
                told.push(format!("{place}: it may need more than {MORE_CAPABILITIES_UNIT}"));
            }
        }
    }
}

fn files_that_break(input: &CheckInput<'_, impl System>, ids: Option<Ids>, told: &mut Vec<String>) {
    let CheckInput { settings, system, .. } = *input;
    let config = &settings.config;
    if is_below(config, &HIDDEN) {
        told.push(format!("{}: the unit hides this folder", config.display()));
    } else if let (Ok(found), Some(ids)) = (system.find(config), ids)
        && found.kind == Kind::File
        && !can_read(found, ids)
    {
        told.push(format!(
            "{}: the user knockd may not read it; let him: chgrp knockd {0} && chmod g+r {0}",
            config.display()
        ));
    }
    let record = settings.record.as_ref().map(|record| &record.folder);
    let written = [
        ("StateDir", Some(&settings.state_dir), "/var/lib/knockd"),
        ("Record", record, "/var/lib/knockd/record"),
        ("LogFile", settings.log.file.as_ref(), "/var/log/knockd/knockd.log"),
    ];
    for (key, path, instead) in written {
        let Some(path) = path.filter(|path| !is_below(path, &WRITABLE)) else { continue };
        told.push(format!("{key} {}: it can't be written; {instead} can", path.display()));
    }
    for door in &input.config.doors {
        let Sequences::OneTime { path, .. } = &door.sequences else { continue };
        let path = settings.path(path);
        let is_writable = is_below(&path, &WRITABLE) || is_below(&path, &[FOR_ONE_TIME_FILES]);
        let owner = path.parent().and_then(|folder| system.find(folder).ok());
        let is_owned = ids.is_none_or(|ids| owner.is_some_and(|found| found.owner == ids.user));
        if !is_writable || !is_owned {
            told.push(format!(
                "door {}: one_time_sequences {}: used lines can't be marked; have it in a folder \
                 of the user knockd in {FOR_ONE_TIME_FILES}",
                door.name,
                path.display()
            ));
        }
    }
}

/// Tells whether a path leads into one of these folders, or to it.
fn is_below(path: &Path, folders: &[&str]) -> bool {
    let is_plain = !path.components().any(|part| part == Component::ParentDir);
    is_plain && folders.iter().any(|folder| path.starts_with(folder))
}

fn can_read(found: Found, ids: Ids) -> bool {
    let bit = match (found.owner == ids.user, found.group == ids.group) {
        (true, _) => 0o400,
        (false, true) => 0o040,
        (false, false) => 0o004,
    };
    found.mode & bit != 0
}
