//! Every crash between the steps of a mark, on a file system that forgets what was not synced.

use std::collections::BTreeMap;
use std::io;

use knock_frontend::one_time::{MarkCause, Replace, mark};

use super::sequence;

const TEXT: &[u8] = b"1000\n2000\n3000\n";
const MARKED: &[u8] = b"1000\n#2000\n3000\n";
const FILE: &str = "file";
const NEW: &str = "new";

/// What a file holds: what is on disk for sure, and what a program reads.
#[derive(Clone, Debug)]
struct Inode {
    durable: Vec<u8>,
    visible: Vec<u8>,
}

/// A folder with a one-time file, and what may have been left beside it.
#[derive(Clone, Debug)]
struct Folder {
    inodes: Vec<Inode>,
    durable: BTreeMap<&'static str, usize>,
    visible: BTreeMap<&'static str, usize>,
    /// What happened to names since the folder was synced; each may be on disk or not.
    changes: Vec<(&'static str, Option<usize>)>,
    /// How many steps succeed before something happens.
    left: usize,
    crashes: bool,
}

impl Folder {
    fn new() -> Self {
        let inode = Inode { durable: TEXT.to_vec(), visible: TEXT.to_vec() };
        let names = BTreeMap::from([(FILE, 0)]);
        Self {
            inodes: vec![inode],
            durable: names.clone(),
            visible: names,
            changes: Vec::new(),
            left: usize::MAX,
            crashes: false,
        }
    }

    /// Counts a step; `begun` tells whether one that fails takes effect all the same.
    fn step(&mut self) -> io::Result<()> {
        if self.left == 0 {
            if !self.crashes {
                self.left = usize::MAX;
            }
            return Err(io::Error::other("it fails"));
        }
        self.left = self.left.saturating_sub(1);
        Ok(())
    }

    fn change(&mut self, name: &'static str, inode: Option<usize>) {
        match inode {
            Some(inode) => self.visible.insert(name, inode),
            None => self.visible.remove(name),
        };
        self.changes.push((name, inode));
    }

    /// Every folder that a power cut can leave.
    fn after_power_cut(&self) -> Vec<Self> {
        let mut all = Vec::new();
        for kept in 0..1u32 << self.changes.len() {
            for written in [0, 1, 2] {
                let mut folder = self.clone();
                for (bit, (name, inode)) in std::mem::take(&mut folder.changes).iter().enumerate() {
                    match inode {
                        _ if kept >> bit & 1 == 0 => {}
                        Some(inode) => drop(folder.durable.insert(name, *inode)),
                        None => drop(folder.durable.remove(name)),
                    }
                }
                folder.visible = folder.durable.clone();
                for inode in &mut folder.inodes {
                    let length = inode.visible.len() * written / 2;
                    if inode.durable != inode.visible {
                        inode.durable = inode.visible[..length].to_vec();
                    }
                    inode.visible = inode.durable.clone();
                }
                folder.left = usize::MAX;
                folder.crashes = false;
                all.push(folder);
            }
        }
        all
    }

    fn text(&self) -> &[u8] {
        &self.inodes[self.visible[FILE]].visible
    }
}

impl Replace for Folder {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        self.step()?;
        Ok(self.text().to_vec())
    }

    fn discard_new(&mut self) -> io::Result<()> {
        self.step()?;
        if self.visible.contains_key(NEW) {
            self.change(NEW, None);
        }
        Ok(())
    }

    fn write_new(&mut self, text: &[u8]) -> io::Result<()> {
        assert!(!self.visible.contains_key(NEW), "there is none yet");
        self.inodes.push(Inode { durable: Vec::new(), visible: Vec::new() });
        let inode = self.inodes.len() - 1;
        let outcome = self.step();
        let length = if outcome.is_ok() { text.len() } else { text.len() / 2 };
        self.inodes[inode].visible = text[..length].to_vec();
        self.change(NEW, Some(inode));
        outcome
    }

    fn sync_new(&mut self) -> io::Result<()> {
        self.step()?;
        let inode = &mut self.inodes[self.visible[NEW]];
        inode.durable = inode.visible.clone();
        Ok(())
    }

    fn replace(&mut self) -> io::Result<()> {
        let outcome = self.step();
        // Where the power goes, the rename may be the last thing that the disk has seen.
        if outcome.is_ok() || self.crashes {
            let inode = self.visible[NEW];
            self.change(FILE, Some(inode));
            self.change(NEW, None);
        }
        outcome
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        self.step()?;
        self.durable = self.visible.clone();
        self.changes.clear();
        Ok(())
    }
}

/// How many steps a mark has.
const STEPS: usize = 6;

#[test]
fn a_mark_takes_six_steps_and_leaves_nothing_behind() {
    let mut folder = Folder::new();
    folder.left = STEPS;
    folder.crashes = true;
    mark(&mut folder, 2, &sequence("2000")).expect("nothing fails");
    assert_eq!(folder.left, 0);
    assert_eq!(folder.text(), MARKED);
    assert_eq!(folder.durable.len(), 1);
}

#[test]
fn whatever_crash_comes_a_sequence_opens_once() {
    let (mut crashes, mut opened_after) = (0, 0);
    for left in 0..=STEPS {
        let mut folder = Folder::new();
        (folder.left, folder.crashes) = (left, true);
        let opened = mark(&mut folder, 2, &sequence("2000")).is_ok();
        assert_eq!(opened, left == STEPS);
        let killed = Folder { left: usize::MAX, crashes: false, ..folder.clone() };
        for mut folder in folder.after_power_cut().into_iter().chain([killed]) {
            crashes += 1;
            assert!([TEXT, MARKED].contains(&folder.text()), "{folder:?}");
            assert!(!opened || folder.text() == MARKED, "{folder:?}");
            // The program starts again, reads the file and hears the knock once more.
            match mark(&mut folder, 2, &sequence("2000")) {
                Ok(()) => {
                    assert!(!opened);
                    opened_after += 1;
                }
                Err(cause) => assert!(matches!(cause, MarkCause::AlreadyUsed), "{cause:?}"),
            }
            assert_eq!(folder.text(), MARKED);
            assert!(!folder.visible.contains_key(NEW), "what was left is gone");
            for folder in folder.after_power_cut() {
                assert!([TEXT, MARKED].contains(&folder.text()), "{folder:?}");
            }
        }
    }
    assert!(crashes > 40 && opened_after > 10, "{crashes} {opened_after}");
}

#[test]
fn whatever_step_fails_the_door_stays_shut_and_the_file_whole() {
    for left in 0..STEPS {
        let mut folder = Folder::new();
        folder.left = left;
        let outcome = mark(&mut folder, 2, &sequence("2000"));
        // What an earlier attempt left need not go: here there is nothing.
        assert_eq!(outcome.is_ok(), left == 1, "{outcome:?}");
        let is_replaced = left == 1 || left == STEPS - 1;
        assert_eq!(folder.text(), if is_replaced { MARKED } else { TEXT }, "step {left}");
        assert!(!folder.visible.contains_key(NEW), "step {left}");
    }
}
