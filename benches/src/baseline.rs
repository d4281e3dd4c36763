//! The committed instruction counts, and what has crept since.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// A count may grow by this share and this much before it counts as creeping.
const SLACK: (f64, f64) = (0.03, 0.5);

/// One file of `counts/`: a line a row, name and instructions an operation.
pub(crate) struct Baseline {
    file: PathBuf,
    counted: Vec<(String, f64)>,
}

impl Baseline {
    pub(crate) fn named(name: &str) -> Baseline {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("counts").join(format!("{name}.tsv"));
        Baseline { file, counted: Vec::new() }
    }

    pub(crate) fn counted(&mut self, row: &str, instructions: f64) {
        self.counted.push((row.to_owned(), instructions));
    }

    /// Compares or, with `bless`, writes; true if nothing crept. `part`: not every row was counted.
    pub(crate) fn finish(self, bless: bool, part: bool) -> Result<bool> {
        if bless {
            return self.write(part).map(|()| true);
        }
        let committed = self.committed()?;
        let mut kept = true;
        for (row, now) in &self.counted {
            let verdict = verdict(*now, committed.get(row).copied());
            kept &= !matches!(verdict, Verdict::Crept | Verdict::Unknown);
            let before = committed.get(row).map_or("-".to_owned(), |before| format!("{before:.1}"));
            println!("{row:<56} {before:>10} {now:>10.1}  {}", verdict.word());
        }
        if !part {
            for row in committed.keys().filter(|row| self.counted.iter().all(|(name, _)| name != *row)) {
                println!("{row:<56} is committed, but there is no such row");
                kept = false;
            }
        }
        Ok(kept)
    }

    fn committed(&self) -> Result<BTreeMap<String, f64>> {
        let text = match fs::read_to_string(&self.file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.with_context(|| format!("reading {}", self.file.display()))?,
        };
        let line = |line: &str| {
            let (row, count) = line.split_once('\t').with_context(|| format!("no tab in {line:?}"))?;
            Ok((row.to_owned(), count.parse().with_context(|| format!("no number in {line:?}"))?))
        };
        text.lines().map(line).collect()
    }

    fn write(&self, part: bool) -> Result<()> {
        let mut counts = if part { self.committed()? } else { BTreeMap::new() };
        counts.extend(self.counted.iter().cloned());
        let lines: String = counts.iter().map(|(row, count)| format!("{row}\t{count:.1}\n")).collect();
        fs::write(&self.file, lines).with_context(|| format!("writing {}", self.file.display()))
    }
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Kept,
    Better,
    Crept,
    Unknown,
}

impl Verdict {
    fn word(&self) -> &'static str {
        match self {
            Verdict::Kept => "",
            Verdict::Better => "better: write it down with --bless",
            Verdict::Crept => "CREPT",
            Verdict::Unknown => "not written down: use --bless",
        }
    }
}

fn verdict(now: f64, before: Option<f64>) -> Verdict {
    let (share, slack) = SLACK;
    match before {
        None => Verdict::Unknown,
        Some(before) if now > before * (1.0 + share) + slack => Verdict::Crept,
        Some(before) if now < before * (1.0 - share) - slack => Verdict::Better,
        Some(_) => Verdict::Kept,
    }
}

#[cfg(test)]
mod tests {
    use super::{Verdict, verdict};

    #[test]
    fn a_count_may_move_a_little_and_not_more() {
        for (now, before, expected) in [
            (100.0, Some(100.0), Verdict::Kept),
            (103.4, Some(100.0), Verdict::Kept),
            (103.6, Some(100.0), Verdict::Crept),
            (96.0, Some(100.0), Verdict::Better),
            (2.4, Some(2.0), Verdict::Kept),
            (1.0, None, Verdict::Unknown),
        ] {
            assert_eq!(verdict(now, before), expected, "{now} after {before:?}");
        }
    }
}
