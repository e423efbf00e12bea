//! `knock-pages OUTDIR`: writes the man pages and the shell completions below a folder, as they
//! belong below `share`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, bail};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), None) = (arguments.next().map(PathBuf::from), arguments.next()) else {
        bail!("usage: knock-pages OUTDIR");
    };
    for file in knock_pages::files()? {
        let path = folder.join(&file.path);
        let place = || path.display().to_string();
        path.parent().map_or(Ok(()), fs::create_dir_all).with_context(place)?;
        fs::write(&path, file.text).with_context(place)?;
    }
    Ok(())
}
