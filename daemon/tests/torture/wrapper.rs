//! The daemon run by way of a script, which changes what it runs in.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::house::House;

/// Makes a program that does what a line of shell says, with the daemon and its arguments behind.
pub(crate) fn wrap(house: &House, name: &str, line: &str) -> Result<PathBuf> {
    let path = house.lab.folder().join(name);
    let daemon = crate::bench::program();
    let daemon = std::path::absolute(&daemon).context("the daemon has a path")?;
    let script = format!("#!/bin/sh\n{line} {} \"$@\"\n", daemon.display());
    std::fs::write(&path, script)
        .and_then(|()| std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
