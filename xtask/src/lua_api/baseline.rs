//! What was reached before: a text file with a line a class, below which CI fails.

use std::collections::BTreeMap;
use std::fs;
use std::ops::AddAssign;

use anyhow::{Context, Result};

use crate::workspace::Workspace;

const FILE: &str = "crates/hlua/lua-api.baseline";
const HEADING: &str =
    "# class rows excused implemented tested differing: `cargo xtask lua-api --bless` writes this file\n";

/// How many rows of a class are what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) rows: usize,
    /// Not there, and named with the reason in the compatibility notes.
    pub(super) excused: usize,
    pub(super) implemented: usize,
    pub(super) tested: usize,
    pub(super) differing: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.excused += other.excused;
        self.implemented += other.implemented;
        self.tested += other.tested;
        self.differing += other.differing;
    }
}

/// Writes the file anew.
pub(super) fn write(workspace: &Workspace, counts: &BTreeMap<String, Counts>) -> Result<()> {
    let mut text = HEADING.to_owned();
    for (class, Counts { rows, excused, implemented, tested, differing }) in counts {
        text.push_str(&format!("{class} {rows} {excused} {implemented} {tested} {differing}\n"));
    }
    fs::write(workspace.root.join(FILE), text).with_context(|| format!("writing {FILE}"))
}

/// What is worse now than it was, a line each.
pub(super) fn worse(workspace: &Workspace, now: &BTreeMap<String, Counts>) -> Result<Vec<String>> {
    let text = fs::read_to_string(workspace.root.join(FILE)).with_context(|| format!("reading {FILE}"))?;
    Ok(compare(&text, now))
}

fn compare(before: &str, now: &BTreeMap<String, Counts>) -> Vec<String> {
    let mut worse = Vec::new();
    for (class, then) in before.lines().filter_map(parse) {
        let now = now.get(class).copied().unwrap_or_default();
        for (what, then, now) in [
            ("implemented", then.implemented, now.implemented),
            ("tested", then.tested, now.tested),
            ("alike", then.rows - then.differing, now.rows - now.differing),
        ] {
            if now < then {
                worse.push(format!("{class}: {what} was {then}, is {now}"));
            }
        }
    }
    worse
}

fn parse(line: &str) -> Option<(&str, Counts)> {
    let mut words = line.split(' ');
    let class = words.next().filter(|word| !word.starts_with('#'))?;
    let mut number = || words.next()?.parse().ok();
    let (rows, excused, implemented) = (number()?, number()?, number()?);
    let (tested, differing) = (number()?, number()?);
    Some((class, Counts { rows, excused, implemented, tested, differing }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_less_is_worse() {
        let now = |implemented, tested, differing| {
            [("core".to_owned(), Counts { rows: 9, excused: 0, implemented, tested, differing })].into()
        };
        let before = "# heading\ncore 9 0 5 4 1\n";
        assert!(compare(before, &now(5, 4, 1)).is_empty());
        assert!(compare(before, &now(6, 6, 0)).is_empty());
        assert_eq!(compare(before, &now(5, 3, 2)), ["core: tested was 4, is 3", "core: alike was 8, is 7"]);
        assert_eq!(compare(before, &BTreeMap::new()).len(), 3);
    }
}
