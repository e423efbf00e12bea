//! Completions for the shells.

use clap_complete::aot::{Shell, generate};

use crate::File;
use crate::program::commands;

/// Makes the completions of every program for every shell, where their packages look for them.
pub(crate) fn files() -> Vec<File> {
    let shells = [
        (Shell::Bash, "bash-completion/completions/", ""),
        (Shell::Zsh, "zsh/site-functions/_", ""),
        (Shell::Fish, "fish/vendor_completions.d/", ".fish"),
    ];
    let mut files = Vec::new();
    for mut command in commands() {
        let name = command.get_name().to_owned();
        for (shell, before, behind) in shells {
            let mut text = Vec::new();
            generate(shell, &mut command, &name, &mut text);
            let text = String::from_utf8_lossy(&text).into_owned();
            files.push(File { path: format!("{before}{name}{behind}").into(), text });
        }
    }
    files
}
