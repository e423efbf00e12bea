//! The package's list of files against what `packaging/install` puts together for it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use toml::Table;

use crate::install::{files, script};
use crate::run::project;

/// The folder in which `packaging/deb` puts together what belongs into the package.
const ROOT: &str = "target/release/deb-root/";

struct Asset {
    pattern: String,
    target: String,
    mode: String,
}

/// Reads what Cargo.toml says of the package.
fn metadata() -> Table {
    let text = fs::read_to_string(project().join("packaging/Cargo.toml")).unwrap();
    let table: Table = text.parse().unwrap();
    table["package"]["metadata"]["deb"].as_table().unwrap().clone()
}

fn assets() -> Vec<Asset> {
    let metadata = metadata();
    let assets = metadata["assets"].as_array().unwrap().iter();
    let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
    assets
        .map(|asset| {
            let [pattern, target, mode] = asset.as_array().unwrap().as_slice() else {
                panic!("{asset:?}")
            };
            let pattern = text(pattern).strip_prefix(ROOT).unwrap().to_owned();
            Asset { pattern, target: text(target), mode: text(mode) }
        })
        .collect()
}

impl Asset {
    /// Tells whether the pattern takes a file, by the forms that are in use.
    fn takes(&self, path: &Path) -> bool {
        if let Some(folder) = self.pattern.strip_suffix("/**/*") {
            return path.starts_with(folder);
        }
        match self.pattern.strip_suffix("/*") {
            Some(folder) => path.parent() == Some(Path::new(folder)),
            None => path == Path::new(&self.pattern),
        }
    }
}

#[test]
fn every_file_gets_into_the_package_once_at_its_place_with_its_mode() {
    let root = tempfile::tempdir().unwrap();
    let ran = script(
        "install",
        &[
            ("DESTDIR", root.path()),
            ("PREFIX", Path::new("/usr")),
            ("UNITDIR", Path::new("/lib/systemd/system")),
            ("ZSHDIR", Path::new("/usr/share/zsh/vendor-completions")),
            ("DOCDIR", Path::new("/usr/share/doc/sesame-knockd")),
        ],
    );
    assert_eq!(ran.status, 0, "{}", ran.said);
    let assets = assets();
    let mut used = BTreeSet::new();
    for (path, mode) in files(root.path()) {
        // packaging/deb leaves this out: the package makes its user itself.
        if path.starts_with("usr/lib/sysusers.d") {
            continue;
        }
        let takers: Vec<_> =
            (0..assets.len()).filter(|&index| assets[index].takes(&path)).collect();
        let [taker] = takers[..] else { panic!("{}: {} assets", path.display(), takers.len()) };
        let asset = &assets[taker];
        used.insert(taker);
        assert!(path.starts_with(&asset.target), "{} in {}", path.display(), asset.target);
        // What is an example may be run or not; in a package it is to be read.
        if !path.starts_with("usr/share") {
            assert_eq!(format!("{mode:o}"), asset.mode, "{}", path.display());
        }
    }
    assert_eq!(used.len(), assets.len(), "an asset is no file");
}

#[test]
fn configs_are_its_owner_s_and_the_old_package_makes_room() {
    let metadata = metadata();
    let list = |key: &str| -> BTreeSet<String> {
        let list = metadata[key].as_array().unwrap().iter();
        list.map(|value| value.as_str().unwrap().to_owned()).collect()
    };
    let assets = assets().into_iter().map(|asset| format!("/{}", asset.pattern));
    let configs = assets.filter(|path| path.starts_with("/etc/")).collect();
    assert_eq!(list("conf-files"), configs);
    for key in ["provides", "conflicts", "replaces"] {
        assert_eq!(metadata[key].as_str(), Some("knockd"));
    }
    assert_ne!(metadata["name"].as_str(), Some("knockd"));
}
