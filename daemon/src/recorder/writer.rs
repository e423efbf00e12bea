//! The thread that writes a recording.

use std::borrow::Cow;
use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use knock_engine::time::Timestamp;
use knock_engine::wire::LinkType;
use knock_frontend::files::Files;
use knock_frontend::recording::{self, BLOCK_TYPE, ConfigText, Note};
use pcap_file::DataLink;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::blocks::unknown::UnknownBlock;

use super::ring::Ring;
use super::{Beginning, Item, Recorded, Shared};

/// What stands in the files as their author.
const PROGRAM: &str = concat!("knockd ", env!("CARGO_PKG_VERSION"), " (Sesame)");

/// How much is written at a time while more waits.
const BUFFER: usize = 64 << 10;

/// Writes the files, on a thread of its own.
pub struct Writer<F: Files> {
    ring: Ring<F>,
    shared: Arc<Shared>,
    file: Option<Output<F::Handle>>,
    /// How many packets and notes came to nothing since the last file began.
    lost: u64,
}

/// A file that is being written.
struct Output<W: Write> {
    blocks: PcapNgWriter<BufWriter<W>>,
    /// The interfaces described so far.
    interfaces: Vec<(Box<str>, LinkType)>,
    length: u64,
}

impl<F: Files> Writer<F> {
    pub(super) fn new(ring: Ring<F>, shared: Arc<Shared>) -> Self {
        Self { ring, shared, file: None, lost: 0 }
    }

    /// Writes an item and all that waits behind it in one go: it is the system's as soon as nothing
    /// waits, so a daemon that is killed has lost next to nothing.
    pub fn write_all(&mut self, first: Item, waiting: &mut dyn FnMut() -> Option<Item>) {
        let mut result = self.write(first);
        let mut items = 1;
        while result.is_ok()
            && let Some(next) = waiting()
        {
            result = self.write(next);
            items += 1;
        }
        if let Err(error) = result.and_then(|()| self.flush()) {
            // Some of them may be in the file; whoever reads it can't rely on that.
            self.lost += items;
            self.fail(&error);
        }
    }

    fn write(&mut self, item: Item) -> anyhow::Result<()> {
        match item.0 {
            Recorded::Begin(beginning) => self.begin(*beginning),
            Recorded::Note(note) => self.in_file(|file| file.note(&note)),
            Recorded::Packet { interface, link, at, bytes } => {
                self.in_file(|file| file.packet((interface, link), at, &bytes))
            }
        }
    }

    /// Writes to the file at hand. Nothing follows one that failed before the next one begins.
    fn in_file(
        &mut self,
        write: impl FnOnce(&mut Output<F::Handle>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match &mut self.file {
            Some(file) => write(file),
            None => {
                self.lost += 1;
                Ok(())
            }
        }
    }

    fn begin(&mut self, beginning: Beginning) -> anyhow::Result<()> {
        let Beginning { at, started, number, lost, config, local, state } = beginning;
        {
            let mut told = self.shared.lock();
            (told.number, told.file_bytes, told.has_failed) = (number, 0, false);
        }
        self.lost += lost;
        if let Some(mut former) = self.file.take() {
            former.flush()?;
            self.ring.set_length(former.length)?;
        }
        let lost = self.lost;
        let mut file = Output::new(self.ring.create(at)?)?;
        file.note(&Note::Begin(Box::new(recording::Beginning {
            at,
            program: PROGRAM.to_owned(),
            started,
            number,
            lost,
            config: ConfigText::of(&config),
            local_addresses: recording::addresses(&local),
            state,
        })))?;
        self.file = Some(file);
        self.lost = 0;
        if lost > 0 {
            let (are, what) =
                if lost == 1 { ("is", "packet or note") } else { ("are", "packets and notes") };
            let folder = self.ring.folder().display();
            self.shared.lock().news = Some(format!(
                "Record {folder}: records again; {lost} {what} before it {are} missing"
            ));
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.flush()?;
        self.ring.set_length(file.length)?;
        self.shared.lock().file_bytes = file.length;
        Ok(())
    }

    /// Gives the file up. What was written of it can be read.
    fn fail(&mut self, error: &anyhow::Error) {
        self.file = None;
        let mut told = self.shared.lock();
        told.has_failed = true;
        let folder = self.ring.folder().display();
        told.news = Some(format!(
            "Record {folder}: {error:#}: nothing is recorded until it can be written again"
        ));
    }
}

impl<W: Write> Output<W> {
    fn new(file: W) -> anyhow::Result<Self> {
        let options = vec![SectionHeaderOption::UserApplication(Cow::Borrowed(PROGRAM))];
        let section = SectionHeaderBlock { options, ..SectionHeaderBlock::default() };
        let blocks =
            PcapNgWriter::with_section_header(BufWriter::with_capacity(BUFFER, file), section)?;
        Ok(Self { blocks, interfaces: Vec::new(), length: 0 })
    }

    fn note(&mut self, note: &Note) -> anyhow::Result<()> {
        let content = note.to_block();
        let length = u32::try_from(content.len()).context("a note of more than 4 GiB")?;
        let written =
            self.blocks.write_pcapng_block(UnknownBlock::new(BLOCK_TYPE, length, &content))?;
        self.length += written as u64;
        Ok(())
    }

    fn packet(
        &mut self,
        interface: (Box<str>, LinkType),
        at: Timestamp,
        bytes: &[u8],
    ) -> anyhow::Result<()> {
        let interface_id = self.interface(interface)?;
        let original_len = u32::try_from(bytes.len()).context("a packet of more than 4 GiB")?;
        let written = self.blocks.write_pcapng_block(EnhancedPacketBlock {
            interface_id,
            timestamp: Duration::from_nanos(at.as_nanos()),
            original_len,
            data: Cow::Borrowed(bytes),
            options: Vec::new(),
        })?;
        self.length += written as u64;
        Ok(())
    }

    /// Returns the number of an interface in the file, which describes it first if need be.
    fn interface(&mut self, interface: (Box<str>, LinkType)) -> anyhow::Result<u32> {
        let known = self.interfaces.iter().position(|other| *other == interface);
        let number = known.unwrap_or(self.interfaces.len());
        if known.is_none() {
            let (name, link) = &interface;
            let written = self.blocks.write_pcapng_block(InterfaceDescriptionBlock {
                linktype: DataLink::from(link.number()),
                snaplen: 0,
                options: vec![
                    InterfaceDescriptionOption::IfName(Cow::Borrowed(name)),
                    InterfaceDescriptionOption::IfTsResol(InterfaceTsResolution::NANO),
                ],
            })?;
            self.length += written as u64;
            self.interfaces.push(interface);
        }
        u32::try_from(number).context("more interfaces than a file can describe")
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.blocks.get_mut().flush().context("cannot write")
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::path::Path;

    use knock_engine::config::{self, Config};
    use knock_engine::local::LocalAddresses;
    use knock_engine::snapshot::Snapshot;
    use knock_frontend::files::{Handle as _, Open, RealFiles};

    use super::*;

    const AT: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

    fn beginning(config: &Config, number: u64, lost: u64) -> Item {
        Item(Recorded::Begin(Box::new(Beginning {
            at: AT.saturating_add(Duration::from_secs(number)),
            started: AT,
            number,
            lost,
            config: config.clone(),
            local: LocalAddresses::Unknown,
            state: Snapshot::default(),
        })))
    }

    /// Writes items, one after the other, each in a batch of its own.
    fn run(mut writer: Writer<RealFiles>, items: Vec<Item>) {
        items.into_iter().for_each(|item| writer.write_all(item, &mut || None));
    }

    fn open(folder: &Path, name: &str) -> knock_frontend::files::RealHandle {
        RealFiles.open_folder(folder).unwrap().open(OsStr::new(name), Open::Read).unwrap()
    }

    #[test]
    fn what_a_file_that_failed_has_lost_is_told_by_the_next_one() {
        let config = config::parse(b"[a]\nsequence = 7000,8000\n").config.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ring = Ring::open(&RealFiles, folder.path(), 1 << 20).unwrap();
        let mut writer = Writer::new(ring, Arc::default());
        // A file that is open for reading only can't be written.
        let read_only = folder.path().join("read-only");
        fs::write(&read_only, "").unwrap();
        writer.file = Some(Output::new(open(folder.path(), "read-only")).unwrap());
        let shared = Arc::clone(&writer.shared);
        let wake = || Item(Recorded::Note(Note::Wake { at: AT }));
        run(writer, vec![wake(), wake(), wake(), beginning(&config, 1, 4), wake()]);
        let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap()).collect();
        let recorded = files.iter().find(|it| it.path().extension().is_some()).unwrap();
        let text = fs::read(recorded.path()).unwrap();
        let text = String::from_utf8_lossy(&text);
        assert!(text.contains("\"lost\":7,"), "{text}");
        assert!(text.contains("{\"wake\""), "what comes later is recorded: {text}");
        let news = shared.lock().news.take().unwrap();
        assert!(news.contains("7 packets and notes before it are missing"), "{news}");
    }
}
