//! A disk that forgets what was not synced, tears it, reorders it, and fails on demand.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use knockd::ledger::Storage;

/// A simulated disk with one file; clones are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct Sim(Arc<Mutex<State>>);

#[derive(Clone, Debug)]
struct State {
    /// What a power cut leaves for sure.
    durable: Vec<u8>,
    /// What a program reads.
    visible: Vec<u8>,
    /// What may or may not be on disk already, oldest first.
    pending: Vec<Pending>,
    capacity: usize,
    calls: usize,
    syncs: usize,
    fault: Option<Fault>,
    random: Random,
}

#[derive(Clone, Debug)]
enum Pending {
    Grow(usize),
    Write { offset: usize, bytes: Vec<u8> },
}

/// What goes wrong, from a call on; reading aside, all calls count.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// This many more calls succeed, then the power goes: the next one has begun, no other does.
    PowerCut { after: usize },
    /// This many more calls succeed, then so many fail.
    Errors { after: usize, count: usize },
}

/// A small generator of random numbers (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("it is below a usize")
    }
}

impl Sim {
    pub(crate) fn new() -> Self {
        Self::with(Vec::new())
    }

    /// A disk on which these bytes are safe.
    pub(crate) fn with(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State {
            durable: bytes.clone(),
            visible: bytes,
            pending: Vec::new(),
            capacity: usize::MAX,
            calls: 0,
            syncs: 0,
            fault: None,
            random: Random(0),
        })))
    }

    /// Another disk that is as this one is now.
    pub(crate) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.state().clone())))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test thread has panicked with it")
    }

    pub(crate) fn set_capacity(&self, capacity: usize) {
        self.state().capacity = capacity;
    }

    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    pub(crate) fn calls(&self) -> usize {
        self.state().calls
    }

    pub(crate) fn syncs(&self) -> usize {
        self.state().syncs
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.state().visible.clone()
    }

    /// How long each of the writes is that a power cut may undo; what makes a file longer is 1.
    pub(crate) fn pending(&self) -> Vec<usize> {
        let length = |pending: &Pending| match pending {
            Pending::Grow(_) => 1,
            Pending::Write { bytes, .. } => bytes.len(),
        };
        self.state().pending.iter().map(length).collect()
    }

    pub(crate) fn seed(&self, seed: u64) {
        self.state().random = Random(seed);
    }

    /// Cuts the power: of what was not synced, some is on disk and some is not.
    pub(crate) fn power_cut(&self, seed: u64) {
        let mut state = self.state();
        state.random = Random(seed);
        state.settle_at_random();
        state.visible = state.durable.clone();
        state.fault = None;
    }

    /// Cuts the power: of what was not synced those bytes are on disk that `kept` names.
    pub(crate) fn power_cut_keeping(&self, kept: impl Fn(usize) -> bool) {
        let mut state = self.state();
        for pending in std::mem::take(&mut state.pending) {
            state.settle(&pending, &kept);
        }
        state.visible = state.durable.clone();
        state.fault = None;
    }
}

impl State {
    /// Counts a call; `Err` where it must fail, with whether it has begun.
    fn call(&mut self) -> Result<(), (bool, io::Error)> {
        self.calls += 1;
        match &mut self.fault {
            None => Ok(()),
            Some(Fault::PowerCut { after: 0 }) => {
                self.fault = Some(Fault::Errors { after: 0, count: usize::MAX });
                Err((true, io::Error::other("the power is off")))
            }
            Some(Fault::Errors { after: 0, count: 0 }) => {
                self.fault = None;
                Ok(())
            }
            Some(Fault::Errors { after: 0, count }) => {
                let is_off = *count == usize::MAX;
                *count -= usize::from(!is_off);
                Err((!is_off, io::Error::other("input/output error")))
            }
            Some(Fault::PowerCut { after } | Fault::Errors { after, .. }) => {
                *after -= 1;
                Ok(())
            }
        }
    }

    fn settle(&mut self, pending: &Pending, kept: impl Fn(usize) -> bool) {
        match pending {
            Pending::Grow(len) if kept(0) => {
                let len = self.durable.len().max(*len);
                self.durable.resize(len, 0);
            }
            Pending::Grow(_) => {}
            Pending::Write { offset, bytes } => {
                for (index, byte) in bytes.iter().enumerate().filter(|(index, _)| kept(*index)) {
                    let at = offset + index;
                    if at >= self.durable.len() {
                        self.durable.resize(at + 1, 0);
                    }
                    self.durable[at] = *byte;
                }
            }
        }
    }

    /// Puts on disk what chance wants: nothing, all, a beginning, an end, or some sectors.
    fn settle_at_random(&mut self) {
        for pending in &std::mem::take(&mut self.pending) {
            let seed = self.random.next();
            let length = if let Pending::Write { bytes, .. } = pending { bytes.len() } else { 0 };
            let cut = self.random.below(length + 1);
            let sector = [1, 8, 64, 512][self.random.below(4)];
            match self.random.below(5) {
                0 => {}
                1 => self.settle(pending, |_| true),
                2 => self.settle(pending, |byte| byte < cut),
                3 => self.settle(pending, |byte| byte >= cut),
                _ => self.settle(pending, |byte| {
                    Random(seed ^ (byte / sector) as u64).next().is_multiple_of(2)
                }),
            }
        }
    }
}

impl Storage for Sim {
    fn read_all(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.bytes())
    }

    fn grow(&mut self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).expect("the ledger is small");
        let mut state = self.state();
        let called = state.call();
        if len <= state.visible.len() {
            return called.map_err(|(_, error)| error);
        }
        if len > state.capacity {
            return Err(rustix::io::Errno::NOSPC.into());
        }
        let old_len = state.visible.len();
        let len = match &called {
            Ok(()) => len,
            Err((true, _)) => old_len + state.random.below(len + 1 - old_len),
            Err((false, _)) => old_len,
        };
        state.visible.resize(len, 0);
        state.pending.push(Pending::Grow(len));
        called.map_err(|(_, error)| error)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).expect("the ledger is small");
        let mut state = self.state();
        assert!(offset + bytes.len() <= state.visible.len(), "no write makes the file longer");
        let called = state.call();
        let written = match &called {
            Ok(()) => bytes.len(),
            Err((true, _)) if state.fault.is_some_and(Fault::is_power_cut) => bytes.len(),
            Err((true, _)) => state.random.below(bytes.len() + 1),
            Err((false, _)) => 0,
        };
        let bytes = bytes[..written].to_vec();
        state.visible[offset..offset + written].copy_from_slice(&bytes);
        state.pending.push(Pending::Write { offset, bytes });
        called.map_err(|(_, error)| error)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.state();
        state.syncs += 1;
        match state.call() {
            Ok(()) => {
                for pending in std::mem::take(&mut state.pending) {
                    state.settle(&pending, |_| true);
                }
                Ok(())
            }
            Err((true, error)) if !state.fault.is_some_and(Fault::is_power_cut) => {
                // As Linux does: what could not be written counts as written from now on. How long
                // the file is lies in the file system's journal.
                for grown in state
                    .pending
                    .extract_if(.., |it| matches!(it, Pending::Grow(_)))
                    .collect::<Vec<_>>()
                {
                    state.settle(&grown, |_| true);
                }
                state.settle_at_random();
                Err(error)
            }
            Err((_, error)) => Err(error),
        }
    }
}

impl Fault {
    const fn is_power_cut(self) -> bool {
        matches!(self, Self::Errors { count: usize::MAX, .. })
    }
}
