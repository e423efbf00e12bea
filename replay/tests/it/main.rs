//! The tests of `knock-replay`, as a library and as a program, in one binary: it links once.

mod ci;
mod cli;
mod diff;
mod drawn;
mod expect;
mod explain;
mod extract;
mod golden;
mod lint;
mod oracle;
mod page;
mod readme;
mod recording;
mod refusals;
mod report;
mod stats;
mod sweep;
mod tables;
mod trace;

/// Returns a program of those that the tests take from PyPI.
fn python(program: &str) -> std::path::PathBuf {
    let tools = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("python");
    let path = tools.join("bin").join(program);
    assert!(path.exists(), "there is no {}; try: ci/install-deps test", path.display());
    path
}
