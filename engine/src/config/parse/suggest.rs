//! "Did you mean".

use super::text::Piece;

/// The similarity from which on a word was probably meant.
const SIMILAR: f64 = 0.8;

/// The similarity of a word with one slip of the finger: Jaro and Winkler's measure takes no
/// notice of two letters swapped in a word as short as `syn` or `tcp`.
const ONE_SLIP: f64 = 0.85;

/// No word of the config comes near this length, and the comparison is quadratic.
const LONGEST: usize = 64;

/// Finds the word that was probably meant: the most similar one, and the first of equals.
pub(super) fn suggest(
    written: Piece<'_>,
    words: impl IntoIterator<Item = &'static str>,
) -> Option<&'static str> {
    if written.bytes().len() > LONGEST {
        return None;
    }
    let written = written.to_lower_case();
    let mut best = (SIMILAR, None);
    for word in words {
        let floor = if has_one_slip(&written, word) { ONE_SLIP } else { 0.0 };
        let similarity = strsim::jaro_winkler(&written, word).max(floor);
        if similarity > best.0 {
            best = (similarity, Some(word));
        }
    }
    best.1
}

/// Tells whether one letter too many, too few, wrong, or swapped with its neighbour makes the one
/// word of the other.
fn has_one_slip(written: &str, word: &str) -> bool {
    written.len().abs_diff(word.len()) <= 1 && strsim::osa_distance(written, word) == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_similar_words_are_suggested() {
        let suggestion = |word: &'static str| {
            suggest(Piece::new(word.as_bytes(), 0), ["sequence", "seq_timeout", "target"])
        };
        assert_eq!(suggestion("seq_timout"), Some("seq_timeout"));
        assert_eq!(suggestion("SEQUENZ"), Some("sequence"));
        assert_eq!(suggestion("colour"), None);
        assert_eq!(suggestion(""), None);
        let flag = |word: &'static str| suggest(Piece::new(word.as_bytes(), 0), ["fin", "syn"]);
        assert_eq!(flag("sny"), Some("syn"));
        assert_eq!(flag("finn"), Some("fin"));
        assert_eq!(flag("x"), None);
    }
}
