//! What a ledger's file is called.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// How much of a name people can read, in bytes.
const MAX_READABLE: usize = 60;

/// Returns the name of the ledger for a config and its interfaces, as the config or the command
/// line lists them, not as they were found: `knockd.conf-eth0-0123456789abcdef.ledger`.
///
/// Two daemons of one host have different names unless config and interfaces are the same. The
/// order of the interfaces doesn't matter, nor by which of its paths the config was named.
#[must_use]
pub fn file_name(config: &Path, interfaces: &[String]) -> String {
    let absolute = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
    let config = fs::canonicalize(config).unwrap_or(absolute);
    name_of(&config, interfaces)
}

fn name_of(config: &Path, interfaces: &[String]) -> String {
    let mut interfaces: Vec<&str> = interfaces.iter().map(String::as_str).collect();
    interfaces.sort_unstable();
    interfaces.dedup();
    let parts = [config.as_os_str().as_bytes()];
    let parts = parts.into_iter().chain(interfaces.iter().map(|interface| interface.as_bytes()));
    let hash = parts.fold(FNV_OFFSET, |hash, part| fnv(fnv(hash, part), &[0]));
    let file = config.file_name().map(|name| name.to_string_lossy().into_owned());
    let readable = file.iter().map(String::as_str).chain(interfaces.iter().copied());
    let mut readable = readable.collect::<Vec<_>>().join("-");
    readable.retain(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
    readable.truncate(MAX_READABLE);
    let readable = readable.trim_start_matches('.');
    format!("{readable}-{hash:016x}.ledger")
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// Goes on with the hash FNV-1a, which stays the same in every version of every library.
fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(config: &str, interfaces: &[&str]) -> String {
        let interfaces: Vec<String> = interfaces.iter().copied().map(str::to_owned).collect();
        name_of(Path::new(config), &interfaces)
    }

    #[test]
    fn names_stay_the_same_for_ever() {
        assert_eq!(name("/etc/knockd.conf", &[]), "knockd.conf-46760e902d4b60f1.ledger");
        assert_eq!(
            name("/etc/knockd.conf", &["eth1", "eth0"]),
            "knockd.conf-eth0-eth1-01cfb04f88f7679a.ledger"
        );
    }

    #[test]
    fn names_differ_by_config_and_interfaces() {
        let names = [
            name("/etc/knockd.conf", &[]),
            name("/srv/knockd.conf", &[]),
            name("/etc/knockd.conf", &["eth0"]),
            name("/etc/knockd.conf", &["eth1"]),
            name("/etc/knockd.conf", &["eth0", "eth1"]),
            name("/etc/knockd.conf", &["eth0eth1"]),
            name("/etc/knockd.confeth0", &[]),
        ];
        for (index, one) in names.iter().enumerate() {
            assert!(names[index + 1..].iter().all(|other| one != other), "{one}");
        }
        let order = name("/etc/knockd.conf", &["eth1", "eth0", "eth1"]);
        assert_eq!(order, name("/etc/knockd.conf", &["eth0", "eth1"]));
    }

    #[test]
    fn names_are_safe_and_short() {
        let wild = name("/etc/../.\u{1b}[2J x/\u{fc}", &["a/b", &"x".repeat(500)]);
        assert!(wild.len() < 100 && !wild.starts_with('.') && !wild.contains('/'), "{wild}");
        assert!(wild.is_ascii() && !wild.contains(char::is_control), "{wild}");
        assert!(name("/", &[]).ends_with(".ledger"));
    }

    #[test]
    fn every_path_of_a_config_gives_the_same_name() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("knockd.conf");
        fs::write(&config, "").expect("a config");
        let link = folder.path().join("link.conf");
        std::os::unix::fs::symlink(&config, &link).expect("a link");
        assert_eq!(file_name(&config, &[]), file_name(&link, &[]));
        let dotted = folder.path().join(".").join("knockd.conf");
        assert_eq!(file_name(&config, &[]), file_name(&dotted, &[]));
    }
}
