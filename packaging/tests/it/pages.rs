//! Every page and completion as it is shown, and what the tools that read them say.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::run::succeed;

/// All files, in a folder of their own.
fn written() -> (TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    succeed(Command::new(env!("CARGO_BIN_EXE_knock-pages")).arg(folder.path()));
    let files = knock_pages::files().unwrap();
    for file in &files {
        let text = fs::read_to_string(folder.path().join(&file.path)).unwrap();
        assert_eq!(text, file.text);
    }
    (folder, files.into_iter().map(|file| file.path).collect())
}

fn man_pages() -> (TempDir, Vec<PathBuf>) {
    let (folder, files) = written();
    let pages: Vec<_> = files.into_iter().filter(|path| path.starts_with("man")).collect();
    assert_eq!(pages.len(), 4);
    (folder, pages)
}

#[test]
fn every_completion_is_as_it_was() {
    let files = knock_pages::files().unwrap().into_iter();
    let completions: Vec<_> = files.filter(|file| !file.path.starts_with("man")).collect();
    assert_eq!(completions.len(), 9);
    for file in completions {
        insta::assert_snapshot!(file.path.display().to_string().replace('/', "-"), file.text);
    }
}

#[test]
fn every_man_page_reads_as_it_did() {
    let (folder, pages) = man_pages();
    for page in pages {
        let mut mandoc = Command::new("mandoc");
        mandoc.args(["-T", "utf8", "-O", "width=78"]).arg(folder.path().join(&page));
        let text = succeed(&mut mandoc);
        // Letters are struck twice for bold, and underlined by a backspace.
        let mut shown = String::new();
        for letter in text.chars() {
            match letter {
                '\u{8}' => drop(shown.pop()),
                letter => shown.push(letter),
            }
        }
        let shown = shown.replace(concat!("Sesame ", env!("CARGO_PKG_VERSION")), "Sesame VERSION");
        insta::assert_snapshot!(format!("shown-{}", page.file_name().unwrap().display()), shown);
    }
}

#[test]
fn no_man_page_has_anything_amiss() {
    let (folder, pages) = man_pages();
    for page in pages {
        let path = folder.path().join(page);
        let mut mandoc = Command::new("mandoc");
        let said = crate::run::run(mandoc.args(["-T", "lint", "-W", "warning"]).arg(&path)).said;
        // The same code gives the same page on any day, so there is no date.
        let amiss: Vec<_> = said.lines().filter(|line| !line.contains("missing date")).collect();
        assert_eq!(amiss, [""; 0]);
        assert_eq!(said.lines().count(), 1, "mandoc has not looked at {}", path.display());
        let mut man = Command::new("man");
        man.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]).arg(&path);
        let warnings = man.env("MANWIDTH", "80").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&warnings.stderr), "", "{}", path.display());
        assert!(warnings.status.success() && !warnings.stdout.is_empty());
    }
}

#[test]
fn every_page_has_the_sections_that_man_pages_have() {
    let (folder, pages) = man_pages();
    for page in pages {
        let text = fs::read_to_string(folder.path().join(&page)).unwrap();
        let mut wanted = vec!["NAME", "DESCRIPTION", "EXAMPLES", "SEE ALSO"];
        if page.extension().unwrap() == "1" {
            wanted.extend(["SYNOPSIS", "OPTIONS", "EXIT STATUS"]);
        }
        if page.ends_with("knockd.1") {
            wanted.extend(["SIGNALS", "FILES"]);
        }
        for section in wanted {
            let heading = [format!("\n.SH {section}\n"), format!("\n.SH \"{section}\"\n")];
            let found = heading.iter().any(|heading| text.contains(heading));
            assert!(found, "{}: no {section}", page.display());
        }
    }
}

#[test]
fn bash_understands_its_completions() {
    let (folder, files) = written();
    let bash: Vec<_> = files.iter().filter(|path| path.starts_with("bash-completion")).collect();
    assert_eq!(bash.len(), 3);
    for path in bash {
        let name = path.file_name().unwrap().to_str().unwrap();
        // Asks, as readline does, for what may follow `--ver`, or `--con`.
        let script = format!(
            "source '{}'; COMP_WORDS=({name} --ver); COMP_CWORD=1; \
             $(complete -p {name} | sed -E 's/.*-F ([^ ]+).*/\\1/') {name} --ver {name}; \
             echo \"${{COMPREPLY[@]}}\"",
            folder.path().join(path).display()
        );
        let said = succeed(Command::new("bash").args(["--norc", "-c", &script]));
        assert!(said.contains("--ver"), "{name}: {said}");
    }
}
