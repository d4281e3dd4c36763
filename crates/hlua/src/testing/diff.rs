//! The difference of two texts, line by line.

/// Both texts as one, lines that only one has marked: `-` for the first's, `+` for the second's. Empty when neither
/// has more than a line: they are better shown one above the other.
pub(super) fn lines(expected: &str, got: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), got.lines().collect());
    if (old.len() < 2 && new.len() < 2) || old.len().saturating_mul(new.len()) > CELLS_MAX {
        return String::new();
    }
    let common = common_tails(&old, &new);
    let (mut at, mut to) = (0, 0);
    let mut text = String::new();
    while at < old.len() || to < new.len() {
        let (mark, line) = if at < old.len() && to < new.len() && old[at] == new[to] {
            (at, to) = (at + 1, to + 1);
            (' ', old[at - 1])
        } else if to >= new.len() || (at < old.len() && common[at + 1][to] >= common[at][to + 1]) {
            at += 1;
            ('-', old[at - 1])
        } else {
            to += 1;
            ('+', new[to - 1])
        };
        text.push_str(&format!("    {mark} {line}\n"));
    }
    text
}

/// For each pair of places, how many lines the rests have in common.
fn common_tails(old: &[&str], new: &[&str]) -> Vec<Vec<usize>> {
    let mut common = vec![vec![0; new.len() + 1]; old.len() + 1];
    for at in (0..old.len()).rev() {
        for to in (0..new.len()).rev() {
            common[at][to] = if old[at] == new[to] {
                common[at + 1][to + 1] + 1
            } else {
                common[at + 1][to].max(common[at][to + 1])
            };
        }
    }
    common
}

/// Longer texts are shown as they are.
const CELLS_MAX: usize = 4_000_000;

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn differing_lines_are_marked_and_common_ones_are_not() {
        assert_eq!(lines("a\nb\nc", "a\nx\nc\nd"), "      a\n    - b\n    + x\n      c\n    + d\n");
        assert_eq!(lines("one", "two"), "");
    }
}
