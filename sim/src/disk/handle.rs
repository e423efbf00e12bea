//! What a program does with an open file or folder, and what goes wrong then.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};

use knock_frontend::files::{Attributes, Handle, Kind, Open};

use super::{ModelHandle, NameChange, Node, Pending, Weather, io_error, no_room};
use crate::fate::Point;
use crate::marks::sometimes;

impl Handle for ModelHandle {
    fn open(&self, name: &OsStr, how: Open) -> io::Result<Self> {
        let at = (self.node, name.to_owned());
        let found = self.files.disk.borrow().names.get(&at).copied();
        match (found, how) {
            (Some(_), Open::CreateNew) => return Err(ErrorKind::AlreadyExists.into()),
            (Some(node), _) => return Ok(self.files.handle(node)),
            (None, Open::Read) => return Err(ErrorKind::NotFound.into()),
            (None, Open::Write | Open::CreateNew) => {}
        }
        self.files.reach(Point::Create)?;
        let disk = &mut *self.files.disk.borrow_mut();
        if disk.weather.is_full && self.files.fate.is_some() {
            return Err(no_room());
        }
        disk.nodes.push(Node::new(Kind::File));
        let node = disk.nodes.len() - 1;
        disk.names.insert(at.clone(), node);
        disk.name_changes.push(NameChange::Set { at, node });
        Ok(self.files.handle(node))
    }

    fn attributes_of(&self, name: &OsStr) -> io::Result<Attributes> {
        let disk = self.files.disk.borrow();
        let node = disk.names.get(&(self.node, name.to_owned())).ok_or(ErrorKind::NotFound)?;
        Ok(disk.attributes(*node))
    }

    fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        self.files.reach(Point::Rename)?;
        self.files.mishap(|weather| weather.io_errors)?;
        let disk = &mut *self.files.disk.borrow_mut();
        let (from, to) = ((self.node, from.to_owned()), (self.node, to.to_owned()));
        let node = disk.names.remove(&from).ok_or(ErrorKind::NotFound)?;
        disk.names.insert(to.clone(), node);
        disk.name_changes.push(NameChange::Rename { from, to, node });
        Ok(())
    }

    fn remove(&self, name: &OsStr) -> io::Result<()> {
        let at = (self.node, name.to_owned());
        if !self.files.disk.borrow().names.contains_key(&at) {
            return Err(ErrorKind::NotFound.into());
        }
        self.files.reach(Point::Remove)?;
        let disk = &mut *self.files.disk.borrow_mut();
        disk.names.remove(&at);
        disk.name_changes.push(NameChange::Remove { at });
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<(OsString, u64)>> {
        let disk = self.files.disk.borrow();
        let names = disk.names.iter().filter(|((folder, _), _)| *folder == self.node);
        Ok(names.map(|((_, name), at)| (name.clone(), disk.nodes[*at].seen.len() as u64)).collect())
    }

    fn attributes(&self) -> io::Result<Attributes> {
        Ok(self.files.disk.borrow().attributes(self.node))
    }

    fn try_lock(&self) -> io::Result<bool> {
        let disk = &mut *self.files.disk.borrow_mut();
        if disk.locked.contains(&self.node) {
            return Ok(self.has_lock.get());
        }
        disk.locked.push(self.node);
        self.has_lock.set(true);
        Ok(true)
    }

    fn lock_holder(&self) -> Option<i32> {
        None
    }

    fn read_all(&self, most: u64) -> io::Result<Vec<u8>> {
        self.files.mishap(|weather| weather.io_errors)?;
        let mut bytes = self.files.disk.borrow().nodes[self.node].seen.clone();
        bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        Ok(bytes)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let is_alive = self.files.reach(Point::Write);
        let disk = &mut *self.files.disk.borrow_mut();
        let is_process = self.files.fate.is_some();
        let weather = if is_process { disk.weather } else { Weather::default() };
        if is_alive.is_err() {
            // The write that the process died in may have got somewhere.
            if self.files.fate.as_ref().is_some_and(|fate| fate.died_just_now()) {
                let part = disk.random.index(bytes.len() + 1);
                disk.write(self.node, offset, &bytes[..part]);
            }
            return Err(io::Error::other("the process is dead"));
        }
        let end = offset + bytes.len();
        if weather.is_full && end > disk.nodes[self.node].seen.len() {
            sometimes!("there is no room on the disk");
            return Err(no_room());
        }
        if weather.io_errors > 0 && disk.random.chance(weather.io_errors) {
            let part = disk.random.index(bytes.len() + 1);
            disk.write(self.node, offset, &bytes[..part]);
            sometimes!("a write fails half-way");
            return Err(io_error());
        }
        let mut length = bytes.len();
        if weather.short_writes > 0 && disk.random.chance(weather.short_writes) && length > 1 {
            length = 1 + disk.random.index(length - 1);
            sometimes!("a write is short");
        }
        disk.write(self.node, offset, &bytes[..length]);
        Ok(length)
    }

    fn allocate(&self, _from: u64, _len: u64) -> io::Result<()> {
        if self.files.disk.borrow().weather.is_full { Err(no_room()) } else { Ok(()) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.files.reach(Point::Write)?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let node = &mut self.files.disk.borrow_mut().nodes[self.node];
        node.seen.resize(len, 0);
        node.pending.push(Pending::Length(len));
        Ok(())
    }

    fn set_owner(&self, like: &Attributes) -> io::Result<()> {
        self.files.disk.borrow_mut().nodes[self.node].mode = like.mode;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.files.reach(Point::Sync)?;
        let disk = &mut *self.files.disk.borrow_mut();
        let often = disk.weather.sync_errors;
        if self.files.fate.is_some() && often > 0 && disk.random.chance(often) {
            // As Linux does: what could not be written counts as written from now on.
            let mut random = disk.random.fork();
            disk.nodes[self.node].settle(&mut random);
            sometimes!("a sync fails");
            return Err(io_error());
        }
        disk.nodes[self.node].sync();
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let kind = self.files.disk.borrow().nodes[self.node].kind;
        if kind != Kind::Folder {
            return self.sync_data();
        }
        self.files.reach(Point::SyncFolder)?;
        self.files.mishap(|weather| weather.sync_errors)?;
        let disk = &mut *self.files.disk.borrow_mut();
        for change in std::mem::take(&mut disk.name_changes) {
            if change.folder() == self.node {
                change.apply(&mut disk.safe_names);
            } else {
                disk.name_changes.push(change);
            }
        }
        Ok(())
    }
}

impl io::Write for ModelHandle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A write that fails has written nothing; of one that wrote a part the caller is told how
        // much. (What was at an offset before is another matter: see `write_at`.)
        self.files.mishap(|weather| weather.io_errors)?;
        let disk = self.files.disk.borrow();
        let end = disk.nodes[self.node].seen.len() as u64;
        let weather = disk.weather;
        drop(disk);
        if self.files.fate.is_none() || weather.io_errors == 0 {
            return self.write_at(bytes, end);
        }
        self.files.disk.borrow_mut().weather.io_errors = 0;
        let written = self.write_at(bytes, end);
        self.files.disk.borrow_mut().weather.io_errors = weather.io_errors;
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for ModelHandle {
    fn drop(&mut self) {
        if self.has_lock.get() {
            let disk = &mut *self.files.disk.borrow_mut();
            disk.locked.retain(|node| *node != self.node);
        }
    }
}
