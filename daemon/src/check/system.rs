//! What a check asks the system, so that a test can answer.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use caps::{CapSet, Capability};
use rustix::fs::{AtFlags, CWD, accessat};
use rustix::process::geteuid;

/// The user as whom the systemd unit runs the daemon.
const SERVICE_USER: &str = "knockd";

/// What somebody wants to do with a file or a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Read it.
    Read,
    /// Write to it; with a folder, make and rename files in it.
    Write,
    /// Run it.
    Execute,
}

/// What a path leads to, through symbolic links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub kind: Kind,
    /// The user whom it belongs to.
    pub owner: u32,
    /// The group that it belongs to.
    pub group: u32,
    /// The permission bits, with those for set-id and sticky.
    pub mode: u32,
    /// How many names it has.
    pub links: u64,
}

/// The numbers of a user and of his group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The user.
    pub user: u32,
    /// His group.
    pub group: u32,
}

/// What something in the file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A socket, a device or the like.
    Other,
}

/// A privilege that matters to a daemon like this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Privilege {
    /// `CAP_NET_RAW`: hearing packets.
    NetRaw,
    /// `CAP_NET_ADMIN`: changing the firewall.
    NetAdmin,
    /// `CAP_CHOWN`: giving files away.
    Chown,
}

impl Privilege {
    /// Returns its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NetRaw => "CAP_NET_RAW",
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::Chown => "CAP_CHOWN",
        }
    }
}

/// The system, as the user that the program runs as sees it. Nothing of it changes anything.
pub trait System {
    /// Returns the user.
    fn user(&self) -> u32;

    /// Returns the user as whom the systemd unit runs the daemon, if there is one.
    fn service_user(&self) -> Option<Ids>;

    /// Tells whether the program has a privilege.
    fn has(&self, privilege: Privilege) -> bool;

    /// Looks at what a path leads to.
    ///
    /// # Errors
    ///
    /// It leads nowhere, or can't be followed.
    fn find(&self, path: &Path) -> io::Result<Found>;

    /// Tries whether the user may do this.
    ///
    /// # Errors
    ///
    /// He may not, or the path leads nowhere.
    fn access(&self, path: &Path, access: Access) -> io::Result<()>;

    /// Returns the path without symbolic links.
    ///
    /// # Errors
    ///
    /// It leads nowhere, or can't be followed.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf>;
}

/// The system that the program runs on.
#[derive(Clone, Copy, Debug)]
pub struct Real;

impl System for Real {
    fn user(&self) -> u32 {
        geteuid().as_raw()
    }

    fn service_user(&self) -> Option<Ids> {
        let user = nix::unistd::User::from_name(SERVICE_USER).ok()??;
        Some(Ids { user: user.uid.as_raw(), group: user.gid.as_raw() })
    }

    fn has(&self, privilege: Privilege) -> bool {
        let capability = match privilege {
            Privilege::NetRaw => Capability::CAP_NET_RAW,
            Privilege::NetAdmin => Capability::CAP_NET_ADMIN,
            Privilege::Chown => Capability::CAP_CHOWN,
        };
        caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false)
    }

    fn find(&self, path: &Path) -> io::Result<Found> {
        let found = fs::metadata(path)?;
        let kind = match (found.is_file(), found.is_dir()) {
            (true, _) => Kind::File,
            (false, true) => Kind::Folder,
            (false, false) => Kind::Other,
        };
        let (owner, group) = (found.uid(), found.gid());
        Ok(Found { kind, owner, group, mode: found.mode() & 0o7777, links: found.nlink() })
    }

    fn access(&self, path: &Path, access: Access) -> io::Result<()> {
        let access = match access {
            Access::Read => rustix::fs::Access::READ_OK,
            Access::Write => rustix::fs::Access::WRITE_OK,
            Access::Execute => rustix::fs::Access::EXEC_OK,
        };
        Ok(accessat(CWD, path, access, AtFlags::EACCESS)?)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn files_are_seen_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        fs::hard_link(&file, folder.path().join("other")).unwrap();
        let found = Real.find(&file).unwrap();
        let group = rustix::process::getegid().as_raw();
        let owner = Real.user();
        let expected = Found { kind: Kind::File, owner, group, mode: 0o640, links: 2 };
        assert_eq!(found, expected);
        assert_eq!(Real.find(folder.path()).unwrap().kind, Kind::Folder);
        assert_eq!(Real.find(Path::new("/dev/null")).unwrap().kind, Kind::Other);

        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(Real.find(&link).unwrap(), expected);
        assert_eq!(Real.resolve(&link).unwrap(), fs::canonicalize(&file).unwrap());

        for access in [Access::Read, Access::Write] {
            assert!(Real.access(&link, access).is_ok(), "{access:?}");
        }
        // Not even root runs a file that nobody may run.
        assert!(Real.access(&link, Access::Execute).is_err());
        assert!(Real.access(Path::new("/bin/sh"), Access::Execute).is_ok());
        assert!(Real.find(&folder.path().join("none")).is_err());
    }
}
