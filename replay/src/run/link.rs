//! The link types of frames.

use anyhow::Context as _;
use knock_engine::wire::LinkType;

use crate::trace::Frame;

/// Turns the numbers of link types into what the decoder knows.
#[derive(Debug, Default)]
pub(crate) struct LinkTypes {
    /// That of the frame before, which nearly always is that of the next.
    last: Option<(u32, LinkType)>,
}

impl LinkTypes {
    /// Returns the link type of a frame if it is that of the frame before.
    #[inline]
    pub(crate) fn known(&self, frame: &Frame<'_>) -> Option<LinkType> {
        self.last.filter(|(number, _)| *number == frame.link_type).map(|(_, link)| link)
    }

    /// Returns the link type of a frame that differs from the frame before; none for one that the
    /// decoder does not know.
    #[cold]
    pub(crate) fn learn(&mut self, frame: &Frame<'_>) -> Option<LinkType> {
        let link = LinkType::from_linktype(frame.link_type).ok()?;
        self.last = Some((frame.link_type, link));
        Some(link)
    }

    /// Returns the link type of a frame; `names` are those of the traces.
    ///
    /// # Errors
    ///
    /// The decoder does not know it.
    pub(crate) fn of(&mut self, frame: &Frame<'_>, names: &[String]) -> anyhow::Result<LinkType> {
        if let Some(link) = self.known(frame) {
            return Ok(link);
        }
        let link = LinkType::from_linktype(frame.link_type).with_context(|| {
            let name = names.get(frame.trace).map_or("trace", String::as_str);
            format!("{name}: frame {}", frame.number)
        })?;
        self.last = Some((frame.link_type, link));
        Ok(link)
    }
}
