//! The descriptors that the daemon was given.

use std::io;

/// The highest descriptor that belongs to everybody: standard input, output and error.
const STANDARD: i32 = 2;

/// Closes every descriptor but the standard three.
///
/// A daemon that is started from a script may inherit some; it would hold them for ever, and hand
/// them on to its commands. To be called before anything is opened, for it closes that, too.
///
/// # Errors
///
/// Fails where `/proc/self/fd` can't be read; nothing is closed then.
pub fn close_inherited() -> io::Result<()> {
    let mut inherited = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        inherited.extend(number.filter(|&number| number > STANDARD));
    }
    for descriptor in inherited {
        // One of them was the folder's own, and is closed already.
        let _ = nix::unistd::close(descriptor);
    }
    Ok(())
}
