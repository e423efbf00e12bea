//! The fuzzer's corpus of scenarios, and what each fuzz target consists of.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use knock_reference::Reference;

use crate::model::{Machine, name};
use crate::properties::EVERY_NAME;

/// The checks of the fuzz target.
#[path = "../../../fuzz/checks/engine.rs"]
mod check;

/// Checks every file of the corpus. Together they must still reach whatever there is to reach:
/// where the strategies have changed, the files mean something else than when they were found.
#[test]
fn the_corpus_of_the_fuzzer_finds_no_difference() {
    let files = files("corpus/engine");
    assert!(files.len() >= 50, "only {} files", files.len());
    let mut names = BTreeSet::new();
    for path in files {
        let bytes = fs::read(path).expect("a readable file");
        check::check(&bytes);
        let scenario = check::scenario(&bytes);
        let mut reference = Reference::new(scenario.config.clone(), scenario.local.clone());
        names.extend(reference.run(&scenario.inputs()).iter().map(name));
    }
    assert_eq!(names, BTreeSet::from(EVERY_NAME.map(str::to_owned)));
}

/// The fuzz targets are no part of the workspace, so nothing else would miss one.
#[test]
fn every_fuzz_target_is_built_and_has_seeds() {
    let manifest = files("").into_iter().find(|path| path.ends_with("Cargo.toml"));
    let manifest = fs::read_to_string(manifest.expect("fuzz/ has a manifest")).expect("UTF-8");
    let targets = files("fuzz_targets");
    assert!(targets.len() >= 12, "only {targets:?}");
    for target in targets {
        let name = target.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        let binary = format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"");
        assert!(manifest.contains(&binary), "fuzz/Cargo.toml lacks the target {name}");
        assert_ne!(files(&format!("corpus/{name}")), [] as [PathBuf; 0], "{name} has no seeds");
    }
}

/// Lists what a folder of `fuzz/` holds.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(folder);
    let entries = folder.read_dir().expect("a folder of the repository");
    entries.map(|entry| entry.expect("a readable folder").path()).collect()
}
