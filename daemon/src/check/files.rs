//! Whether files and folders can be read and written.

use std::path::Path;

use knock_engine::config::Sequences;
use knock_frontend::notice::told;

use super::system::{Access, Kind, Privilege, System};
use super::{CheckInput, Findings, reason};
use crate::settings::{Place, Settings};

/// The socket of the system's log.
const SYSLOG_SOCKET: &str = "/dev/log";

/// Looks at every file and folder that a daemon with these settings would use.
pub(super) fn check(input: &CheckInput<'_, impl System>, findings: &mut Findings) {
    let CheckInput { settings, system, .. } = *input;
    check_config(settings, system, findings);
    check_log(settings, system, findings);
    if let Some(path) = &settings.pid_file {
        check_pid_file(path, system, findings);
    }
    check_state_dir(&settings.state_dir, system, findings);
    if let Some(record) = &settings.record {
        check_record(&record.folder, system, findings);
    }
    check_one_time_files(input, findings);
}

/// The config itself could be read. Everybody else should not be able to.
fn check_config(settings: &Settings, system: &impl System, findings: &mut Findings) {
    let path = settings.config.display();
    let Ok(found) = system.find(&settings.config) else { return };
    if found.kind != Kind::File {
        findings.warn(format!("{path}: this is no file, so a reload may not find it again"));
    }
    if found.mode & 0o022 != 0 {
        findings.warn(format!(
            "{path}: others may write to it, but what it says is run as a command; take that from \
             them: chmod go-w {path}"
        ));
    }
    if found.mode & 0o004 != 0 {
        findings.warn(format!(
            "{path}: everybody on this host may read the sequences in it; take that from them: \
             chmod o-r {path}"
        ));
    }
}

fn check_log(settings: &Settings, system: &impl System, findings: &mut Findings) {
    if let Some(path) = &settings.log.file
        && let Err(why) = can_append(path, system)
    {
        findings.error(format!(
            "LogFile {}: {why}; name another one with LogFile or -g, or set UseSyslog",
            path.display()
        ));
    }
    if settings.log.syslog && system.access(Path::new(SYSLOG_SOCKET), Access::Write).is_err() {
        let hint = match settings.place {
            Place::Foreground => "name a file with LogFile or -g, or leave out UseSyslog",
            Place::Background => "name a file with LogFile or -g",
        };
        findings.warn(format!(
            "UseSyslog: nobody takes messages at {SYSLOG_SOCKET}, so the log is lost; {hint}"
        ));
    }
}

fn check_pid_file(path: &Path, system: &impl System, findings: &mut Findings) {
    let result = can_append(path, system).and_then(|()| can_write_folder(folder(path), system));
    if let Err(why) = result {
        findings.error(format!(
            "PidFile {}: {why}; name another one with PidFile or -p",
            path.display()
        ));
    }
}

/// The ledger's folder is made where it is missing. What a ledger says is run as a command, so it
/// must be nobody else's to write.
fn check_state_dir(path: &Path, system: &impl System, findings: &mut Findings) {
    let result = match system.find(path) {
        Ok(found) if found.kind != Kind::Folder => Err("this is no folder".to_owned()),
        Ok(found) if found.mode & 0o022 != 0 && found.mode & 0o1000 == 0 => Err(
            "others may write here, but what a ledger says is run as a command; take that from \
                 them with chmod go-w"
                .to_owned(),
        ),
        Ok(_) => can_write_folder(path, system),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut above = path.ancestors().skip(1);
            let existing = above.find(|folder| system.find(folder).is_ok());
            can_write_folder(existing.unwrap_or(Path::new("/")), system)
                .map_err(|why| format!("it is missing, and can't be made: {why}"))
        }
        Err(error) => Err(reason(&error)),
    };
    if let Err(why) = result {
        findings.error(format!(
            "StateDir {}: {why}; no door would open, for none opens without a ledger. Make it \
             for the user that knockd runs as, or set StateDir to another folder",
            path.display()
        ));
    }
}

/// The last part of the folder's path is made where it is missing.
fn check_record(path: &Path, system: &impl System, findings: &mut Findings) {
    let result = match system.find(path) {
        Ok(found) if found.kind != Kind::Folder => Err("this is no folder".to_owned()),
        Ok(_) => can_write_folder(path, system),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            can_write_folder(folder(path), system)
                .map_err(|why| format!("it is missing, and can't be made: {why}"))
        }
        Err(error) => Err(reason(&error)),
    };
    if let Err(why) = result {
        findings.error(format!(
            "Record {}: {why}. Make it for the user that knockd runs as, or leave Record out",
            path.display()
        ));
    }
}

fn check_one_time_files(input: &CheckInput<'_, impl System>, findings: &mut Findings) {
    let CheckInput { settings, system, read, .. } = *input;
    for error in &read.unreadable {
        findings.error(format!("{}; knockd does not start without it", told(error)));
    }
    for door in &input.config.doors {
        let Sequences::OneTime { path, lines } = &door.sequences else { continue };
        if !read.files.iter().skip(1).any(|file| file.path == Path::new(path)) {
            continue;
        }
        let place = format!("door {}: one_time_sequences {path}", door.name);
        if lines.is_empty() {
            findings.warn(format!(
                "{place}: no unused sequence is left, so the door stays shut; add lines"
            ));
        }
        if let Err(why) = can_mark(&settings.path(path), system) {
            findings.error(format!("{place}: {why}. Until then the door stays shut"));
        }
    }
}

/// A used line is marked by a new file that takes the place of the old one.
fn can_mark(path: &Path, system: &impl System) -> Result<(), String> {
    let path = system.resolve(path).map_err(|error| reason(&error))?;
    let found = system.find(&path).map_err(|error| reason(&error))?;
    let user = system.user();
    if found.kind != Kind::File {
        return Err("this is no file".to_owned());
    }
    if found.links > 1 {
        return Err(format!(
            "it has {} hard links, and a used line would stay unused under the others; remove them",
            found.links
        ));
    }
    if found.owner != user && !system.has(Privilege::Chown) {
        return Err(format!(
            "it belongs to user {}, to whom user {user} could not give the new file that marks a \
             used line; let it belong to user {user}",
            found.owner
        ));
    }
    can_write_folder(folder(&path), system).map_err(|why| {
        format!("{why}; a used line is marked by a new file there, so let user {user} write it")
    })
}

/// Tells whether a file can be appended to, or made where it isn't there.
fn can_append(path: &Path, system: &impl System) -> Result<(), String> {
    match system.find(path) {
        Ok(found) if found.kind == Kind::Folder => Err("this is a folder".to_owned()),
        Ok(_) => system
            .access(path, Access::Write)
            .map_err(|error| format!("it can't be written: {}", reason(&error))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            can_write_folder(folder(path), system)
        }
        Err(error) => Err(reason(&error)),
    }
}

fn can_write_folder(folder: &Path, system: &impl System) -> Result<(), String> {
    let told = |error: std::io::Error| {
        format!("its folder {} can't be written: {}", folder.display(), reason(&error))
    };
    let found = system.find(folder).map_err(told)?;
    if found.kind != Kind::Folder {
        return Err(format!("{} is no folder", folder.display()));
    }
    // Files in a folder are made by whoever may write to it and pass through it.
    let result =
        system.access(folder, Access::Write).and_then(|()| system.access(folder, Access::Execute));
    result.map_err(told)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("/"))
}
