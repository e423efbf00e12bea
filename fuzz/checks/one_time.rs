//! What must hold for a one-time file of any bytes; the fuzz target and the tests share it.

use knock_engine::config::parse_one_time_lines;
use knock_frontend::one_time::{MarkCause, last_used, marked};

/// Checks that each unused line can be marked once, and that this changes nothing else.
///
/// # Panics
///
/// Where that does not hold.
pub(crate) fn check(text: &[u8]) {
    let (unused, problems) = parse_one_time_lines(text);
    for (index, line) in unused.iter().enumerate().take(20) {
        let Ok(after) = marked(text, line.number, &line.sequence) else {
            panic!("line {} is unused", line.number);
        };
        let mut others = unused.clone();
        others.remove(index);
        assert_eq!(parse_one_time_lines(&after).0, others, "the others are as they were");
        let at = (0..after.len()).find(|at| text.get(*at) != after.get(*at));
        let at = at.expect("something has changed");
        assert_eq!(after[at], b'#');
        assert_eq!([&after[..at], &after[at + 1..]].concat(), text, "it is one character more");
        let again = marked(&after, line.number, &line.sequence);
        assert!(matches!(again, Err(MarkCause::AlreadyUsed)), "{again:?}");
        for other in unused.iter().filter(|other| other.sequence != line.sequence) {
            let wrong = marked(text, line.number, &other.sequence);
            assert!(matches!(wrong, Err(MarkCause::Changed)), "{wrong:?}");
        }
    }
    if let Some(line) = unused.first() {
        let after = marked(text, line.number, &line.sequence).unwrap_or_default();
        let last = last_used(&after).map_or(0, |last| last.number);
        assert!(unused.get(1).is_none_or(|next| last < next.number), "it is in front of the next");
        // A line with other words in it can't be told from a comment.
        let is_clean = problems.iter().all(|problem| problem.line != line.number);
        assert!(!is_clean || last >= line.number, "it is no earlier one");
        for number in 0..text.len().min(50) {
            let is_there =
                unused.iter().any(|it| it.number == number && it.sequence == line.sequence);
            assert_eq!(marked(text, number, &line.sequence).is_ok(), is_there, "line {number}");
        }
    }
}
