//! The table: aligned for a terminal, or as Markdown for `docs/performance.md`.

/// One contestant of a row, with what its rounds took.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) goal_ratio: Option<f64>,
    pub(crate) instructions: Option<f64>,
    /// Nanoseconds an operation, a round each.
    pub(crate) nanos: Vec<f64>,
}

impl Entry {
    pub(crate) fn new(name: &'static str, goal_ratio: Option<f64>, instructions: Option<f64>) -> Entry {
        Entry { name, goal_ratio, instructions, nanos: Vec::new() }
    }
}

/// One row; the first entry is ours.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) goal_ns: Option<f64>,
    pub(crate) entries: Vec<Entry>,
}

const HEADINGS: [&str; 7] =
    ["operation", "contestant", "ns", "goal", "ours / theirs", "goal", "instructions"];

pub(crate) fn table(lines: &[Line], markdown: bool) -> String {
    let mut cells = vec![HEADINGS.map(str::to_owned)];
    for line in lines {
        cells.extend(line.entries.iter().enumerate().map(|(index, entry)| line.cells(index, entry)));
    }
    if markdown { as_markdown(&cells) } else { aligned(&cells) }
}

impl Line {
    fn cells(&self, index: usize, entry: &Entry) -> [String; HEADINGS.len()] {
        let ours = &self.entries[0];
        let ratio =
            || median(ours.nanos.iter().zip(&entry.nanos).map(|(ours, theirs)| ours / theirs).collect());
        [
            if index == 0 { self.name.clone() } else { String::new() },
            entry.name.to_owned(),
            format!("{:.1}", median(entry.nanos.clone())),
            self.goal_ns.filter(|_| index == 0).map_or_else(String::new, |goal| format!("<= {goal}")),
            if index == 0 { String::new() } else { format!("{:.2}", ratio()) },
            entry.goal_ratio.map_or_else(String::new, |goal| format!("<= {goal}")),
            entry.instructions.map_or_else(String::new, |count| format!("{count:.1}")),
        ]
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn aligned(cells: &[[String; HEADINGS.len()]]) -> String {
    let widths: Vec<usize> = (0..HEADINGS.len())
        .map(|column| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default())
        .collect();
    let line = |row: &[String; HEADINGS.len()]| {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    cells.iter().map(line).collect()
}

fn as_markdown(cells: &[[String; HEADINGS.len()]]) -> String {
    let mut lines: Vec<String> = cells.iter().map(|row| format!("| {} |\n", row.join(" | "))).collect();
    lines.insert(1, format!("|{}\n", "---|".repeat(HEADINGS.len())));
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::{Entry, Line, table};

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_own_ratios() {
        let entry =
            |name, nanos: [f64; 3]| Entry { nanos: nanos.to_vec(), ..Entry::new(name, Some(0.5), None) };
        let entries = vec![entry("ours", [1.0, 10.0, 2.0]), entry("peer", [2.0, 20.0, 8.0])];
        let text = table(&[Line { name: "op".into(), goal_ns: Some(3.0), entries }], true);
        assert_eq!(text.lines().nth(3).unwrap(), "|  | peer | 8.0 |  | 0.50 | <= 0.5 |  |");
        assert!(text.contains("| op | ours | 2.0 | <= 3 |"), "{text}");
    }
}
