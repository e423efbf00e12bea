//! The sentence about a source and a door, for whoever asks about them alone.

use std::fs::File;
use std::net::IpAddr;

use knock_engine::config::Config;
use knock_engine::local::LocalAddresses;

use super::Explainer;
use super::sentence::{Case, sentence};
use super::story::{Others, Stories};
use super::watch::{AllTouches, KnockPorts, Watched};
use crate::run;
use crate::run::frames::Candidate;
use crate::run::progress::Progress;
use crate::trace::Traces;

/// A source and a door, by its index in the config.
pub(crate) type Asked = (IpAddr, usize);

/// What the sentences are about.
pub(crate) enum Feed<'a> {
    /// Captures, and whether they may tell the local addresses.
    Traces(&'a mut Traces<File>, bool),
    Packets(&'a [Candidate]),
}

/// Says in a sentence each what came of these sources at these doors. There is an answer also
/// where no attempt began, or no packet came at all.
///
/// # Errors
///
/// A capture can't be read.
pub(crate) fn tell(
    config: Config,
    local: LocalAddresses,
    asked: &[Asked],
    feed: Feed<'_>,
) -> anyhow::Result<Vec<String>> {
    let watched = Watched::these(asked.iter().map(|(source, _)| *source));
    let stories = Stories::new(&config, KnockPorts::new(&config), watched, Others::Folded);
    let mut explainer = Explainer::new(config, local, stories);
    match feed {
        Feed::Traces(traces, takes_addresses) => {
            explainer.take_addresses = takes_addresses;
            explainer.names = run::names(traces);
            let mut progress = Progress::new(run::is_live(traces));
            let read = explainer.read(traces, &mut progress);
            progress.finish();
            read?;
        }
        Feed::Packets(packets) => {
            for Candidate { packet, at, origin } in packets {
                explainer.packet(packet, *at, *origin);
            }
        }
    }
    explainer.finish();
    let stories = &explainer.stories;
    let told = asked.iter().filter_map(|(source, door)| {
        let story = stories.iter().find(|(its, _)| its == source).map(|(_, story)| story);
        let case = Case {
            source: *source,
            door: stories.doors.get(*door)?,
            sequence: stories.sequence(*door),
            story: story.and_then(|story| story.doors.get(door)),
        };
        Some(sentence(&case).1)
    });
    Ok(told.collect())
}

/// Returns the sources that sent something to a knock port, those that touched most of them first.
/// Where a capture can't be read, what lies before that place counts.
pub(crate) fn tried(config: &Config, local: &LocalAddresses, feed: Feed<'_>) -> Vec<IpAddr> {
    let ports = KnockPorts::new(config);
    let mut touches = AllTouches::default();
    match feed {
        Feed::Traces(traces, _) => touches.read(traces, &ports, local),
        Feed::Packets(packets) => {
            let packets = packets.iter().map(|candidate| &candidate.packet);
            packets
                .filter(|packet| ports.contains(packet.destination_port))
                .for_each(|packet| touches.note(packet, local));
        }
    }
    touches.ranked()
}
