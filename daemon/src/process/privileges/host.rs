//! What the privileges to keep depend on besides the config: this process, its programs and files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use caps::{CapSet, CapsHashSet};

use crate::process::children::PATH;

/// What this process may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Whether it runs as root: whatever it executes gets all privileges that are not dropped.
    pub is_root: bool,
    /// The capabilities that it has.
    pub permitted: CapsHashSet,
}

/// What the host is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Whether some of the daemon's files belong to somebody else than root, so that root without
    /// privileges may not read or write them.
    pub has_foreign_files: bool,
    /// Whether the kernel has the older iptables for IPv4 loaded. Where it has not, that program
    /// loads it when it is first used.
    pub has_legacy_v4: bool,
    /// The same for IPv6.
    pub has_legacy_v6: bool,
}

impl Identity {
    /// Returns what the calling thread may do.
    ///
    /// # Errors
    ///
    /// Fails where the kernel doesn't tell.
    pub fn current() -> io::Result<Self> {
        let permitted = caps::read(None, CapSet::Permitted).map_err(io::Error::other)?;
        Ok(Self { is_root: rustix::process::geteuid().is_root(), permitted })
    }
}

impl Host {
    /// Looks at the host, and at the files that the daemon must be able to read and write later:
    /// config, log, ledger, pid file, one-time files. Those that don't exist don't count, their
    /// folders do.
    #[must_use]
    pub fn look<'a>(files: impl IntoIterator<Item = &'a Path>) -> Self {
        let is_foreign = |path: &Path| path.metadata().is_ok_and(|file| file.uid() != 0);
        Self {
            has_foreign_files: files
                .into_iter()
                .any(|file| is_foreign(file) || file.parent().is_some_and(is_foreign)),
            has_legacy_v4: Path::new("/proc/net/ip_tables_names").exists(),
            has_legacy_v6: Path::new("/proc/net/ip6_tables_names").exists(),
        }
    }
}

/// Finds the binary that the shell would run for a word: see [`super::needs::Find`].
#[must_use]
pub fn find_program(word: &str) -> Option<String> {
    let path = if word.contains('/') {
        PathBuf::from(word)
    } else {
        let mut folders = PATH.split(':').map(|folder| Path::new(folder).join(word));
        folders.find(|path| is_executable(path))?
    };
    let path = fs::canonicalize(path).ok()?;
    let is_script = !starts_as_binary(&path).unwrap_or(false);
    if is_script { None } else { path.file_name()?.to_str().map(str::to_owned) }
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

fn starts_as_binary(path: &Path) -> io::Result<bool> {
    let mut magic = [0; 4];
    File::open(path)?.read_exact(&mut magic)?;
    Ok(magic == *b"\x7fELF")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_the_shell_finds_them() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name| folder.path().join(name);
        fs::write(at("script"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(at("script"), PermissionsExt::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("/bin/sh", at("link")).unwrap();
        let shell = fs::canonicalize("/bin/sh").unwrap();
        let shell = shell.file_name().unwrap().to_str().map(str::to_owned);
        assert_eq!(find_program("sh"), shell);
        assert_eq!(find_program("/bin/sh"), shell);
        assert_eq!(find_program(at("link").to_str().unwrap()), shell);
        assert_eq!(find_program(at("script").to_str().unwrap()), None);
        assert_eq!(find_program("no such program"), None);
        assert_eq!(find_program(""), None);
    }

    #[test]
    fn foreign_are_files_and_folders_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let mine = folder.path().join("file");
        let is_foreign = |path: &Path| Host::look([path]).has_foreign_files;
        assert!(!is_foreign(Path::new("/etc/passwd")));
        assert!(!is_foreign(Path::new("/etc/no such file")));
        assert!(!is_foreign(Path::new("/no such folder/file")));
        fs::write(&mine, "").unwrap();
        let is_root = rustix::process::geteuid().is_root();
        assert_eq!(is_foreign(&mine), !is_root);
        if is_root {
            std::os::unix::fs::chown(&mine, Some(1), None).unwrap();
            assert!(is_foreign(&mine));
            fs::remove_file(&mine).unwrap();
            std::os::unix::fs::chown(folder.path(), Some(1), None).unwrap();
            assert!(is_foreign(&mine));
        }
    }
}
