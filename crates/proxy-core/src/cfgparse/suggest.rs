//! "Did you mean": the known word that is closest to a misspelt one.

/// Keeps the closest of the words it is shown.
pub(super) struct Closest<'a> {
    word: &'a str,
    limit: usize,
    best: Option<(usize, String)>,
}

impl<'a> Closest<'a> {
    /// Words that differ in more than a third of their letters are not worth a mention.
    pub(super) fn to(word: &'a str) -> Self {
        let word = if word.len() > WORD_MAX { "" } else { word };
        Self { word, limit: (word.chars().count() / 3).max(1), best: None }
    }

    /// Looks at a known word; of two that are equally close the first wins.
    pub(super) fn consider(&mut self, known: &str) {
        if self.word.is_empty() || self.word.len().abs_diff(known.len()) > self.limit {
            return;
        }
        let distance = strsim::osa_distance(self.word, known);
        if distance <= self.limit && self.best.as_ref().is_none_or(|(best, _)| distance < *best) {
            self.best = Some((distance, known.to_owned()));
        }
    }

    /// The closest one, if any was close.
    pub(super) fn found(self) -> Option<String> {
        self.best.map(|(_, known)| known)
    }
}

/// Longer words are no misspelt keywords.
const WORD_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_words_find_their_keyword() {
        let known = ["bind", "backlog", "balance", "nbthread", "httplog", "timeout"];
        for (word, found) in [
            ("bond", Some("bind")),
            ("nbthred", Some("nbthread")),
            ("httlog", Some("httplog")),
            ("tiemout", Some("timeout")),
            ("foobar", None),
            ("", None),
        ] {
            let mut close = Closest::to(word);
            known.iter().for_each(|k| close.consider(k));
            assert_eq!(close.found().as_deref(), found, "{word}");
        }
    }
}
