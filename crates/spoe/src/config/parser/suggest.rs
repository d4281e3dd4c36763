//! What a misspelled word may have been meant for.

/// The known word nearest to `word`, as the end of a message; empty if none is near.
pub(super) fn did_you_mean(word: &str, known: &[&str]) -> String {
    let distance = |known: &&&str| strsim::osa_distance(word, known);
    // A third of the word may be wrong, and never all of it.
    let near =
        known.iter().min_by_key(distance).filter(|known| distance(known) <= word.len().div_ceil(3).min(3));
    match near {
        Some(near) if word.len() > 1 => format!("; did you mean '{near}'?"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        for (word, hint) in [
            ("mesages", "; did you mean 'messages'?"),
            ("msesages", "; did you mean 'messages'?"),
            ("message", "; did you mean 'messages'?"),
            ("group", "; did you mean 'groups'?"),
            ("foo", ""),
            ("x", ""),
            ("", ""),
        ] {
            assert_eq!(did_you_mean(word, &["messages", "groups", "log"]), hint, "{word}");
        }
        assert_eq!(did_you_mean("word", &[]), "");
    }
}
