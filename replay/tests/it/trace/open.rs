//! Traces that cannot be read at all, and what is said of them.

use std::fs;
use std::io;
use std::path::PathBuf;

use knock_replay::trace::{OnDamage, TraceReader, Traces};

use super::build::{Order, gzip, small_pcap};

/// A folder of its own that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("knock-trace-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Returns what is said of a trace of these bytes.
fn refusal(bytes: &[u8]) -> String {
    let Err(error) = TraceReader::new(bytes, "in.pcap", OnDamage::Stop) else {
        panic!("{bytes:?} is refused");
    };
    error.to_string()
}

#[test]
fn what_is_no_capture_is_named() {
    let cases: [(&[u8], &str); 10] = [
        (
            b"",
            "in.pcap: is empty, not even a capture's header is there; tcpdump writes that when it \
             stops, or at once with -U",
        ),
        (
            b"[options]\n",
            "in.pcap: is not a capture: it begins with 5b 6f 70 74 69 6f 6e 73 (\"[options\"); \
             pcap and pcapng are read, plain or compressed with gzip, zstd or lz4",
        ),
        (
            b"\x1b[2J\x00",
            "in.pcap: is not a capture: it begins with 1b 5b 32 4a 00; pcap and pcapng are read, \
             plain or compressed with gzip, zstd or lz4",
        ),
        (
            b"ab",
            "in.pcap: is not a capture: it begins with 61 62 (\"ab\"); pcap and pcapng are read, \
             plain or compressed with gzip, zstd or lz4",
        ),
        (
            b"\x34\xcd\xb2\xa1\x02\0\x04\0",
            "in.pcap: the modified pcap format (magic a1b2cd34) is not supported; convert it \
             with: tcpdump -r OLD -w NEW",
        ),
        (
            b"\xa1\xb2\xcd\x34\x02\0\x04\0",
            "in.pcap: the modified pcap format (magic a1b2cd34) is not supported; convert it \
             with: tcpdump -r OLD -w NEW",
        ),
        (
            b"\xfd7zXZ\0",
            "in.pcap: xz is not supported; decompress it into a pipe: xz -dc FILE | knock-replay \
             ... -",
        ),
        (
            b"BZh91AY",
            "in.pcap: bzip2 is not supported; decompress it into a pipe: bzip2 -dc FILE | \
             knock-replay ... -",
        ),
        (
            b"snoop\0\0\0",
            "in.pcap: the snoop format is not supported; convert it with: tcpdump -r OLD -w NEW",
        ),
        (
            &gzip(b"plain text"),
            "in.pcap: is not a capture: it begins with 70 6c 61 69 6e 20 74 65 (\"plain te\"); \
             pcap and pcapng are read, plain or compressed with gzip, zstd or lz4",
        ),
    ];
    for (bytes, message) in cases {
        assert_eq!(refusal(bytes), message);
    }
}

#[test]
fn names_cannot_act_on_a_terminal() {
    let Err(error) = TraceReader::new(io::empty(), "\x1b[31mred", OnDamage::Stop) else {
        panic!("an empty trace is refused");
    };
    assert!(error.to_string().starts_with("\\u{1b}[31mred: is empty"), "{error}");
}

#[test]
fn files_that_do_not_open_are_named() {
    let folder = Folder::new("open");
    let missing = folder.0.join("missing.pcap");
    let Err(error) = TraceReader::open(&missing, OnDamage::Stop) else { panic!("it is missing") };
    let expected = format!(
        "{}: cannot open: No such file or directory (os error 2); check the path",
        missing.display()
    );
    assert_eq!(error.to_string(), expected);

    let Err(error) = TraceReader::open(&folder.0, OnDamage::Stop) else { panic!("a directory") };
    let expected = format!("{}: is a directory; name the captures in it", folder.0.display());
    assert_eq!(error.to_string(), expected);

    let good = folder.file("good.pcap", &small_pcap(Order::Little, 1));
    let Err(error) = Traces::open(&[good.as_path(), missing.as_path()], OnDamage::Stop) else {
        panic!("one of them is missing");
    };
    assert!(error.to_string().contains("missing.pcap: cannot open"), "{error}");
}

#[test]
fn files_are_read_and_their_progress_told() {
    let folder = Folder::new("progress");
    let bytes = small_pcap(Order::Little, 3);
    let path = folder.file("no-suffix", &bytes);
    let mut traces = Traces::open(&[&path], OnDamage::Stop).unwrap();
    let mut count = 0;
    while traces.next().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 3);
    assert_eq!(traces.readers()[0].name(), path.to_str().unwrap());
    assert_eq!(traces.progress(), (bytes.len() as u64, Some(bytes.len() as u64)));
}

#[test]
fn standard_input_is_one_trace_only() {
    let Err(error) = Traces::open(&["-", "-"], OnDamage::Stop) else { panic!("it is refused") };
    let message = "standard input (-) is named twice; it can be one trace only";
    assert_eq!(error.to_string(), message);
}

/// Fails after its bytes, as a disk does.
struct Failing<'a>(&'a [u8]);

impl io::Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match io::Read::read(&mut self.0, buffer)? {
            0 => Err(io::Error::other("the disk is on fire")),
            count => Ok(count),
        }
    }
}

#[test]
fn a_disk_that_fails_is_neither_damage_nor_truncation() {
    let plain = small_pcap(Order::Little, 3);
    let packed = gzip(&plain);
    for (bytes, place) in [
        (&plain[..24 + 76 + 10], "byte 100"),
        (&packed[..packed.len() - 4], "byte 252 after decompression"),
    ] {
        let mut reader = TraceReader::new(Failing(bytes), "nfs", OnDamage::Resync).unwrap();
        let error = loop {
            match reader.next() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the failure is reported"),
                Err(error) => break error.to_string(),
            }
        };
        assert_eq!(error, format!("nfs: cannot read on at {place}: the disk is on fire"));
        assert_eq!(reader.ending(), None);
    }
}
