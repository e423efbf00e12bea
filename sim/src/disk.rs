//! The model of a disk and its file system.
//!
//! Every file has two faces: what programs read, and what a power cut leaves for sure. Between the
//! two lie the writes that no sync has made safe yet; a power cut keeps all, none or some of them,
//! whole or torn, in any order. Names are a list of their own, so a rename can be safe while the
//! content behind it is not, and the other way round.

mod handle;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use knock_frontend::files::{Attributes, Files, Kind, Parents};

use crate::fate::{Fate, Point};
use crate::marks::sometimes;
use crate::random::Random;

/// The number of the folder that all paths begin at.
const ROOT: usize = 0;

/// A file system. Clones are the same one.
#[derive(Clone)]
pub struct ModelFiles {
    disk: Rc<RefCell<Disk>>,
    /// What may kill the process that uses this clone; none for people and checks.
    fate: Option<Rc<Fate>>,
}

/// How often calls fail, each in a thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// Reads and writes with an I/O error.
    pub io_errors: u32,
    /// Syncs with an I/O error, after which what was to be synced may be lost.
    pub sync_errors: u32,
    /// Writes that write only a part.
    pub short_writes: u32,
    /// Whether nothing new finds room.
    pub is_full: bool,
}

struct Disk {
    nodes: Vec<Node>,
    /// Who has which name now.
    names: BTreeMap<(usize, OsString), usize>,
    /// Who has which name after a power cut, for sure.
    safe_names: BTreeMap<(usize, OsString), usize>,
    /// Changes of names that no sync of their folder has made safe, oldest first.
    name_changes: Vec<NameChange>,
    /// Which files are locked.
    locked: Vec<usize>,
    weather: Weather,
    random: Random,
}

#[derive(Clone)]
struct Node {
    kind: Kind,
    /// What programs read.
    seen: Vec<u8>,
    /// What a power cut leaves for sure.
    safe: Vec<u8>,
    pending: Vec<Pending>,
    mode: u32,
}

#[derive(Clone)]
enum Pending {
    Length(usize),
    Bytes { offset: usize, bytes: Vec<u8> },
}

#[derive(Clone)]
enum NameChange {
    Set { at: (usize, OsString), node: usize },
    Remove { at: (usize, OsString) },
    Rename { from: (usize, OsString), to: (usize, OsString), node: usize },
}

/// An open file or folder.
pub struct ModelHandle {
    files: ModelFiles,
    node: usize,
    has_lock: std::cell::Cell<bool>,
}

fn no_room() -> io::Error {
    io::Error::from(ErrorKind::StorageFull)
}

fn io_error() -> io::Error {
    io::Error::other("input/output error")
}

impl ModelFiles {
    /// Makes an empty file system.
    #[must_use]
    pub fn new(random: Random) -> Self {
        let root = Node::new(Kind::Folder);
        let disk = Disk {
            nodes: vec![root],
            names: BTreeMap::new(),
            safe_names: BTreeMap::new(),
            name_changes: Vec::new(),
            locked: Vec::new(),
            weather: Weather::default(),
            random,
        };
        Self { disk: Rc::new(RefCell::new(disk)), fate: None }
    }

    /// Returns the same file system as a process sees it that may die at any call.
    #[must_use]
    pub fn of_process(&self, fate: &Rc<Fate>) -> Self {
        Self { disk: Rc::clone(&self.disk), fate: Some(Rc::clone(fate)) }
    }

    /// Changes how often calls fail.
    pub fn set_weather(&self, weather: Weather) {
        self.disk.borrow_mut().weather = weather;
    }

    /// Puts a file in place, whole and safe, as people do between two mishaps.
    pub fn place(&self, path: &Path, content: &[u8]) {
        let disk = &mut *self.disk.borrow_mut();
        let at = disk.place_of(path);
        let mut node = Node::new(Kind::File);
        node.seen = content.to_vec();
        node.safe = content.to_vec();
        disk.nodes.push(node);
        let number = disk.nodes.len() - 1;
        disk.names.insert(at.clone(), number);
        disk.safe_names.insert(at.clone(), number);
        disk.name_changes.retain(|change| !change.concerns(&at));
    }

    /// Takes a file away, for good.
    pub fn take_away(&self, path: &Path) {
        let disk = &mut *self.disk.borrow_mut();
        let at = disk.place_of(path);
        disk.names.remove(&at);
        disk.safe_names.remove(&at);
        disk.name_changes.retain(|change| !change.concerns(&at));
    }

    /// Returns what a power cut would leave of a file for sure; none where its name would be gone.
    #[must_use]
    pub fn safe_content(&self, path: &Path) -> Option<Vec<u8>> {
        let disk = self.disk.borrow();
        let at = disk.find_place(path)?;
        disk.safe_names.get(&at).map(|node| disk.nodes[*node].safe.clone())
    }

    /// Returns what a program would read.
    #[must_use]
    pub fn seen_content(&self, path: &Path) -> Option<Vec<u8>> {
        let disk = self.disk.borrow();
        let at = disk.find_place(path)?;
        disk.names.get(&at).map(|node| disk.nodes[*node].seen.clone())
    }

    /// Returns the files of a folder, by name.
    #[must_use]
    pub fn contents(&self, folder: &Path) -> Vec<(OsString, Vec<u8>)> {
        let disk = self.disk.borrow();
        let Some(folder) = disk.find(folder) else { return Vec::new() };
        let names = disk.names.iter().filter(|((its, _), _)| *its == folder);
        names.map(|((_, name), node)| (name.clone(), disk.nodes[*node].seen.clone())).collect()
    }

    /// Cuts the power: of what was not synced, some is there and some is not.
    pub fn cut_power(&self) {
        let disk = &mut *self.disk.borrow_mut();
        let mut random = disk.random.fork();
        // A journal keeps the order of names, or it has none.
        let in_order = random.chance(500);
        let kept = random.index(disk.name_changes.len() + 1);
        for (index, change) in std::mem::take(&mut disk.name_changes).into_iter().enumerate() {
            if if in_order { index < kept } else { random.chance(500) } {
                change.apply(&mut disk.safe_names);
            } else {
                sometimes!("a power cut loses a change of names");
            }
        }
        disk.names.clone_from(&disk.safe_names);
        for node in &mut disk.nodes {
            node.settle(&mut random);
            node.seen.clone_from(&node.safe);
        }
        disk.locked.clear();
    }

    /// Lets some bytes of a file rot.
    pub fn rot(&self, path: &Path, bytes: u64) {
        let disk = &mut *self.disk.borrow_mut();
        let Some(node) = disk.find(path) else { return };
        let mut random = disk.random.fork();
        let used = disk.nodes[node].seen.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        for _ in 0..bytes.min(used as u64) {
            let at = random.index(used);
            let bit = 1 << random.below(8);
            disk.nodes[node].seen[at] ^= bit;
            if let Some(byte) = disk.nodes[node].safe.get_mut(at) {
                *byte ^= bit;
            }
        }
    }

    /// Notes a call that changes the disk; an error where the process is dead by now.
    fn reach(&self, point: Point) -> io::Result<()> {
        match &self.fate {
            Some(fate) if !fate.reach(point) => Err(io::Error::other("the process is dead")),
            Some(_) | None => Ok(()),
        }
    }

    /// Fails now and then, where a process asks.
    fn mishap(&self, per_mille: impl Fn(&Weather) -> u32) -> io::Result<()> {
        if self.fate.is_none() {
            return Ok(());
        }
        let disk = &mut *self.disk.borrow_mut();
        let often = per_mille(&disk.weather);
        if often > 0 && disk.random.chance(often) {
            sometimes!("the disk fails with an I/O error");
            return Err(io_error());
        }
        Ok(())
    }

    fn handle(&self, node: usize) -> ModelHandle {
        ModelHandle { files: self.clone(), node, has_lock: std::cell::Cell::new(false) }
    }
}

impl Node {
    fn new(kind: Kind) -> Self {
        let (seen, safe, pending) = (Vec::new(), Vec::new(), Vec::new());
        let mode = if matches!(kind, Kind::Folder) { 0o700 } else { 0o600 };
        Self { kind, seen, safe, pending, mode }
    }

    /// Makes all that was written safe.
    fn sync(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Length(len) => self.safe.resize(len, 0),
                Pending::Bytes { offset, bytes } => {
                    let end = offset + bytes.len();
                    if end > self.safe.len() {
                        self.safe.resize(end, 0);
                    }
                    self.safe[offset..end].copy_from_slice(&bytes);
                }
            }
        }
    }

    fn keep(&mut self, pending: &Pending, kept: impl Fn(usize) -> bool) {
        match pending {
            Pending::Length(len) if kept(0) => self.safe.resize(*len, 0),
            Pending::Length(_) => {}
            Pending::Bytes { offset, bytes } => {
                for (index, byte) in bytes.iter().enumerate().filter(|(index, _)| kept(*index)) {
                    let at = offset + index;
                    if at >= self.safe.len() {
                        self.safe.resize(at + 1, 0);
                    }
                    self.safe[at] = *byte;
                }
            }
        }
    }

    /// Puts on disk what chance wants: nothing, all, a beginning, an end, or some sectors.
    fn settle(&mut self, random: &mut Random) {
        for pending in std::mem::take(&mut self.pending) {
            let length = if let Pending::Bytes { bytes, .. } = &pending { bytes.len() } else { 0 };
            let cut = random.index(length + 1);
            let (sector, seed) = ([1, 8, 64, 512][random.index(4)], random.number());
            match random.below(5) {
                0 => {}
                1 => self.keep(&pending, |_| true),
                2 => self.keep(&pending, |byte| byte < cut),
                3 => self.keep(&pending, |byte| byte >= cut),
                _ => self.keep(&pending, |byte| {
                    Random::new(seed ^ (byte / sector) as u64).number().is_multiple_of(2)
                }),
            }
            if length > 0 && cut > 0 && cut < length {
                sometimes!("a power cut tears a write");
            }
        }
    }
}

impl NameChange {
    fn concerns(&self, place: &(usize, OsString)) -> bool {
        match self {
            Self::Set { at, .. } | Self::Remove { at } => at == place,
            Self::Rename { from, to, .. } => from == place || to == place,
        }
    }

    const fn folder(&self) -> usize {
        match self {
            Self::Set { at, .. } | Self::Remove { at } => at.0,
            Self::Rename { to, .. } => to.0,
        }
    }

    fn apply(self, names: &mut BTreeMap<(usize, OsString), usize>) {
        match self {
            Self::Set { at, node } => {
                names.insert(at, node);
            }
            Self::Remove { at } => {
                names.remove(&at);
            }
            Self::Rename { from, to, node } => {
                names.remove(&from);
                names.insert(to, node);
            }
        }
    }
}

impl Disk {
    /// Finds a file or folder by its path.
    fn find(&self, path: &Path) -> Option<usize> {
        let mut parts = path.iter().filter(|part| *part != "/");
        parts.try_fold(ROOT, |folder, part| self.names.get(&(folder, part.to_owned())).copied())
    }

    /// Returns where a path's last part is a name.
    fn find_place(&self, path: &Path) -> Option<(usize, OsString)> {
        let folder = self.find(path.parent()?)?;
        Some((folder, path.file_name()?.to_owned()))
    }

    /// Like [`Disk::find_place`], and makes all folders on the way.
    fn place_of(&mut self, path: &Path) -> (usize, OsString) {
        let name = path.file_name().unwrap_or_default().to_owned();
        let mut folder = ROOT;
        for part in path.parent().into_iter().flat_map(Path::iter).filter(|part| *part != "/") {
            let at = (folder, part.to_owned());
            folder = self.names.get(&at).copied().unwrap_or_else(|| {
                self.nodes.push(Node::new(Kind::Folder));
                let number = self.nodes.len() - 1;
                self.names.insert(at.clone(), number);
                self.safe_names.insert(at, number);
                number
            });
        }
        (folder, name)
    }

    fn attributes(&self, node: usize) -> Attributes {
        let Node { kind, seen, mode, .. } = &self.nodes[node];
        Attributes {
            kind: *kind,
            len: seen.len() as u64,
            owner: 0,
            group: 0,
            mode: *mode,
            links: 1,
            identity: (1, node as u64),
        }
    }

    fn write(&mut self, node: usize, offset: usize, bytes: &[u8]) {
        let node = &mut self.nodes[node];
        if offset + bytes.len() > node.seen.len() {
            node.seen.resize(offset + bytes.len(), 0);
        }
        node.seen[offset..offset + bytes.len()].copy_from_slice(bytes);
        node.pending.push(Pending::Bytes { offset, bytes: bytes.to_vec() });
    }
}

impl Files for ModelFiles {
    type Handle = ModelHandle;

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.reach(Point::Read)?;
        self.mishap(|weather| weather.io_errors)?;
        self.seen_content(path).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.attributes(path).map(|_| path.to_owned())
    }

    fn attributes(&self, path: &Path) -> io::Result<Attributes> {
        let disk = self.disk.borrow();
        let node = disk.find(path).ok_or(ErrorKind::NotFound)?;
        Ok(disk.attributes(node))
    }

    fn make_folder(&self, path: &Path, parents: Parents) -> io::Result<()> {
        self.reach(Point::MakeFolder)?;
        let disk = &mut *self.disk.borrow_mut();
        if disk.find(path).is_some() {
            let is_fine = parents == Parents::Made;
            return if is_fine { Ok(()) } else { Err(ErrorKind::AlreadyExists.into()) };
        }
        let at = match parents {
            Parents::Made => disk.place_of(path),
            Parents::Expected => disk.find_place(path).ok_or(ErrorKind::NotFound)?,
        };
        disk.nodes.push(Node::new(Kind::Folder));
        let node = disk.nodes.len() - 1;
        disk.names.insert(at.clone(), node);
        disk.name_changes.push(NameChange::Set { at, node });
        Ok(())
    }

    fn open_folder(&self, path: &Path) -> io::Result<ModelHandle> {
        let node = self.disk.borrow().find(path).ok_or(ErrorKind::NotFound)?;
        Ok(self.handle(node))
    }

    fn user(&self) -> u32 {
        0
    }

    fn pause(&self, _span: Duration) {}
}
