//! One-time files: marking a used line so that no crash lets it open twice (S12).
//!
//! The file is never written in place. A new one with the mark is written beside it and synced,
//! then takes its name, then the folder is synced; only then may the start command run. Before
//! that the old file is there, whole, and nothing has opened; after it the line is used for ever.

mod file;

use std::io;
use std::path::{Path, PathBuf};

use knock_engine::config::{OneTimeLine, Sequence, parse_one_time_lines};
use thiserror::Error;

pub use file::OneTimeFile;

use crate::files::{Files, RealFiles};
use crate::notice::clause;

/// Why a line can't be marked: the door must stay shut. A clause that names file and line.
#[derive(Debug, Error)]
#[error("{path}:{line}: {cause}", path = path.display())]
pub struct MarkError {
    /// The file, as the config names it.
    pub path: PathBuf,
    /// The line's number, counted from 1.
    pub line: usize,
    /// What is wrong.
    #[source]
    pub cause: MarkCause,
}

/// What is wrong with a line or its file.
#[derive(Debug, Error)]
pub enum MarkCause {
    /// The line is marked. Nothing was written.
    #[error("this sequence is used already")]
    AlreadyUsed,
    /// The line is gone or another one. Nothing was written.
    #[error("another line than this sequence stands here now; a reload reads the file again")]
    Changed,
    /// Somebody else has locked the file. Nothing was written.
    #[error("another process is changing the file")]
    Busy,
    /// The file has more names, and under those the sequence would stay unused.
    #[error(
        "the file has {0} hard links; all but one have to go, or the sequence can be used again"
    )]
    HardLinks(u64),
    /// It is a folder, a device or the like, or far too long.
    #[error("this is no file of sequences")]
    NotAFile,
    /// It can't be read.
    #[error("the file can't be read: {}", clause(.0))]
    Read(io::Error),
    /// The new file can't be written beside it.
    #[error("the file can't be written anew in its folder: {}", clause(.0))]
    Write(io::Error),
    /// The new file can't take its place.
    #[error(
        "the file can't be replaced: {}{}", clause(.0),
        if .0.kind() == io::ErrorKind::ResourceBusy { " (if it is mounted, mount its folder)" }
        else { "" }
    )]
    Replace(io::Error),
    /// Its folder can't be opened or synced. In the second case the line is marked, so that the
    /// sequence is lost, but nothing may open, since a crash could bring the line back.
    #[error("the file's folder can't be used: {}", clause(.0))]
    Folder(io::Error),
}

/// A file that can be replaced by another one, in steps that a crash may come between.
pub trait Replace {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// It can't be read.
    fn read(&mut self) -> io::Result<Vec<u8>>;

    /// Removes what an earlier attempt has left beside it, if there is something.
    ///
    /// # Errors
    ///
    /// It can't be removed.
    fn discard_new(&mut self) -> io::Result<()>;

    /// Writes a new file beside it, with its owner and mode. There is none yet.
    ///
    /// # Errors
    ///
    /// It can't be written, or can't be given that owner.
    fn write_new(&mut self, text: &[u8]) -> io::Result<()>;

    /// Waits until the new file is safe on disk.
    ///
    /// # Errors
    ///
    /// It may be lost or torn.
    fn sync_new(&mut self) -> io::Result<()>;

    /// Gives the new file the name of the old one, at once.
    ///
    /// # Errors
    ///
    /// The old one is still there.
    fn replace(&mut self) -> io::Result<()>;

    /// Waits until the folder, which says what file has the name, is safe on disk.
    ///
    /// # Errors
    ///
    /// After a crash either file may have the name.
    fn sync_folder(&mut self) -> io::Result<()>;
}

/// Marks a line of a one-time file as used, by a `#` in front of it (S12): the door may open when
/// this returns, and no crash brings the line back. Symbolic links are followed; owner, group,
/// mode and all other lines stay as they are, access lists and other attributes don't.
///
/// # Errors
///
/// The line is used already, or is no longer the one that it was, or something can't be read or
/// written: the door must stay shut.
pub fn mark_used(path: &Path, line: usize, sequence: &Sequence) -> Result<(), MarkError> {
    mark_used_in(&RealFiles, path, line, sequence)
}

/// Marks a line like [`mark_used`], in whatever file system this is.
///
/// # Errors
///
/// See [`mark_used`].
pub fn mark_used_in(
    files: &impl Files,
    path: &Path,
    line: usize,
    sequence: &Sequence,
) -> Result<(), MarkError> {
    OneTimeFile::open_in(files, path)
        .and_then(|mut file| mark(&mut file, line, sequence))
        .map_err(|cause| MarkError { path: path.to_owned(), line, cause })
}

/// Marks a line like [`mark_used`], whatever the file is.
///
/// # Errors
///
/// See [`MarkCause`].
pub fn mark(file: &mut impl Replace, line: usize, sequence: &Sequence) -> Result<(), MarkCause> {
    let text = file.read().map_err(MarkCause::Read)?;
    // Where this fails because nothing can be written here, the next step says so.
    let _ = file.discard_new();
    let marked = marked(&text, line, sequence)?;
    let written = file.write_new(&marked).and_then(|()| file.sync_new());
    let replaced = match written {
        Ok(()) => file.replace().map_err(MarkCause::Replace),
        Err(error) => Err(MarkCause::Write(error)),
    };
    if let Err(cause) = replaced {
        let _ = file.discard_new();
        return Err(cause);
    }
    file.sync_folder().map_err(MarkCause::Folder)
}

/// Returns the text with a line marked as used.
///
/// # Errors
///
/// [`MarkCause::AlreadyUsed`] or [`MarkCause::Changed`], where the line is not this sequence,
/// unused.
pub fn marked(text: &[u8], line: usize, sequence: &Sequence) -> Result<Vec<u8>, MarkCause> {
    let (unused, _) = parse_one_time_lines(text);
    let range = line_start(text, line).ok_or(MarkCause::Changed)?;
    if !unused.iter().any(|it| it.number == line && it.sequence == *sequence) {
        let content = text[range..].split(|&byte| byte == b'\n').next().unwrap_or_default();
        let is_mark = |byte: u8| byte == b'#' || byte.is_ascii_whitespace();
        let blanks = content.iter().take_while(|&&byte| is_mark(byte)).count();
        let (marks, rest) = content.split_at(blanks);
        let (used, _) = parse_one_time_lines(rest);
        let is_used = marks.contains(&b'#') && used.iter().any(|it| it.sequence == *sequence);
        return Err(if is_used { MarkCause::AlreadyUsed } else { MarkCause::Changed });
    }
    let (before, behind) = text.split_at(range);
    Ok([before, b"#", behind].concat())
}

/// Finds the line that was used last: the nearest marked one in front of the first unused one, for
/// lines are used from the top. A comment that is nothing but a sequence looks like a marked line;
/// one with other words in it doesn't.
#[must_use]
pub fn last_used(text: &[u8]) -> Option<OneTimeLine> {
    let first_unused = parse_one_time_lines(text).0.first().map_or(usize::MAX, |line| line.number);
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let lines = (1..first_unused).zip(text.split(|&byte| byte == b'\n'));
    let used = lines.filter_map(|(number, line)| {
        let line = line.trim_ascii_start().strip_prefix(b"#")?;
        let (mut sequences, problems) = parse_one_time_lines(line);
        let sequence = sequences.pop().filter(|_| problems.is_empty())?.sequence;
        Some(OneTimeLine { number, sequence })
    });
    used.last()
}

/// Returns where a line begins, behind the byte order mark if there is one.
fn line_start(text: &[u8], line: usize) -> Option<usize> {
    match line.checked_sub(1)? {
        0 if text.starts_with(b"\xef\xbb\xbf") => Some(3),
        0 => Some(0),
        breaks => {
            let places = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
            places.map(|(place, _)| place + 1).nth(breaks - 1)
        }
    }
}
