//! TCP flags (R54).

use super::list::List;
use super::problem::{Problem, Problems};
use super::suggest::suggest;
use super::text::Piece;
use crate::config::KnockFlags;
use crate::packet::TcpFlags;

const FLAGS: List = List {
    entry: "a flag",
    allowed: "the flags are fin, syn, rst, psh, ack and urg, with ! in front for one that must be clear",
};

/// Reads a line of flags on top of those that earlier lines mentioned; the last mention of a flag
/// counts. `None` where it is an error.
pub(super) fn parse_flags(
    before: Option<KnockFlags>,
    value: Piece<'_>,
    problems: &mut Problems,
) -> Option<KnockFlags> {
    let mentions = FLAGS.parse(value, problems, parse_mention)?;
    let none = KnockFlags::new(TcpFlags::NONE, TcpFlags::NONE);
    Some(mentions.into_iter().fold(before.unwrap_or(none), |flags, (is_set, flag)| {
        let (required, forbidden) =
            (flags.required().difference(flag), flags.forbidden().difference(flag));
        match is_set {
            true => KnockFlags::new(required.union(flag), forbidden),
            false => KnockFlags::new(required, forbidden.union(flag)),
        }
    }))
}

/// Reads a flag, and whether it must be set.
fn parse_mention(entry: Piece<'_>, problems: &mut Problems) -> Option<(bool, TcpFlags)> {
    let clear = entry.strip_prefix(b'!').map(Piece::trim);
    let name = clear.unwrap_or(entry);
    if let Some((flag, _)) = TcpFlags::NAMED.iter().find(|(_, known)| name.is_word(known)) {
        return Some((clear.is_none(), *flag));
    }
    let meant = suggest(name, TcpFlags::NAMED.iter().map(|(_, known)| *known));
    let message = format!("unknown flag {}", name.quoted());
    problems.push(Problem::error(name.span(), message).help(FLAGS.allowed).replace_with(meant));
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &[&str]) -> Option<String> {
        let mut problems = Problems::default();
        let mut flags = None;
        for line in lines {
            let value = Piece::new(line.as_bytes(), 0).trim();
            flags = Some(parse_flags(flags, value, &mut problems)?);
        }
        assert_eq!(problems.len(), 0);
        flags.map(|flags| flags.to_string())
    }

    #[test]
    fn the_last_mention_of_a_flag_counts() {
        assert_eq!(parse(&["syn"]).as_deref(), Some("syn"));
        assert_eq!(parse(&["FIN,syn, !rst ,! psh"]).as_deref(), Some("fin,syn,!rst,!psh"));
        assert_eq!(parse(&["syn,!syn"]).as_deref(), Some("!syn"));
        assert_eq!(parse(&["!syn", "ack", "syn"]).as_deref(), Some("syn,ack"));
    }

    #[test]
    fn unknown_and_missing_flags_are_refused() {
        for text in ["", "syn,", "ece", "syn # x", "!", "!!ack", "syn ack"] {
            let mut problems = Problems::default();
            let value = Piece::new(text.as_bytes(), 0);
            assert_eq!(parse_flags(None, value, &mut problems), None, "{text}");
            assert_eq!(problems.len(), 1, "{text}");
        }
    }
}
