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
    /// Returns the link type of a frame; `names` are those of the traces.
    ///
    /// # Errors
    ///
    /// The decoder does not know it.
    pub(crate) fn of(&mut self, frame: &Frame<'_>, names: &[String]) -> anyhow::Result<LinkType> {
        if let Some((number, link)) = self.last
            && number == frame.link_type
        {
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
