//! The table: aligned for a terminal, or as Markdown for `docs/performance.md`.

use super::row::{Kind, Row};
use super::sample::{Sample, median};

/// All rounds of one peer in one row.
pub(super) struct Series {
    pub(super) peer: &'static str,
    pub(super) samples: Vec<Sample>,
    /// User instructions a request by callgrind, if it ran.
    pub(super) callgrind: Option<f64>,
}

/// One row of the table with all its peers, the reference last.
pub(super) struct Measured {
    pub(super) row: Row,
    pub(super) series: Vec<Series>,
}

const HEADINGS: [&str; 9] =
    ["row", "peer", "ratio", "cost (range)", "kcycles", "insn ratio", "user insn", "kernel insn", "RSS MiB"];
const NOT_COUNTED: &str = "n/a";

/// The table as text.
pub(super) fn table(measured: &[Measured], markdown: bool) -> String {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    for measured in measured {
        lines.extend(measured.series.iter().map(|series| measured.cells(series)));
    }
    laid_out(&lines, markdown)
}

/// Lines of cells, the first of them headings: aligned for a terminal, or as Markdown.
pub(super) fn laid_out<const N: usize>(lines: &[[String; N]], markdown: bool) -> String {
    if markdown { as_markdown(lines) } else { aligned(lines) }
}

impl Measured {
    fn cells(&self, series: &Series) -> [String; HEADINGS.len()] {
        let kind = self.row.kind();
        let kcycles = series.median_counted(|sample| Some(sample.counters.cycles? / sample.work / 1000.0));
        let kernel = series.median_counted(|sample| Some(sample.counters.kernel_instructions? / sample.work));
        let resident = match kind {
            Kind::Memory => String::new(),
            Kind::Requests | Kind::Bulk => mebibytes(series.median(|sample| sample.resident_bytes)),
        };
        [
            self.row.title().to_owned(),
            series.peer.to_owned(),
            self.against_reference(series, cost_ratio(kind)),
            series.cost(kind),
            number(kcycles, 1),
            self.against_reference(series, |ours, theirs| {
                Some(ours.user_instructions()? / theirs.user_instructions()?)
            }),
            number(series.user_instructions(), 0),
            number(kernel, 0),
            resident,
        ]
    }

    /// How this peer stands to the reference; nothing for the reference itself.
    fn against_reference(&self, series: &Series, ratio: impl Fn(&Series, &Series) -> Option<f64>) -> String {
        match self.series.last() {
            Some(reference) if reference.peer != series.peer => number(ratio(series, reference), 2),
            _ => String::new(),
        }
    }
}

impl Series {
    fn median(&self, value: impl Fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().map(value))
    }

    /// The median of what only some machines count.
    fn median_counted(&self, value: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        self.samples
            .iter()
            .map(value)
            .collect::<Option<Vec<_>>>()
            .filter(|values| !values.is_empty())
            .map(median)
    }

    /// For one unit of work, by the machine's counters or else by callgrind.
    fn user_instructions(&self) -> Option<f64> {
        let counted = self.median_counted(|sample| Some(sample.counters.user_instructions? / sample.work));
        counted.or(self.callgrind)
    }

    fn cost(&self, kind: Kind) -> String {
        match kind {
            Kind::Requests => self.ranged(|sample| sample.cpu() / 1e3, "us/req", 2),
            Kind::Bulk => {
                let speed = self.median(|sample| sample.work / sample.seconds);
                format!("{}, {speed:.2} GB/s", self.ranged(|sample| sample.cpu() / 1e6, "ms/GB", 0))
            }
            Kind::Memory => self.ranged(Sample::memory, "bytes", 0),
        }
    }

    fn ranged(&self, value: impl Fn(&Sample) -> f64, unit: &str, digits: usize) -> String {
        let values = || self.samples.iter().map(&value);
        let least = values().fold(f64::INFINITY, f64::min);
        let most = values().fold(f64::NEG_INFINITY, f64::max);
        format!("{:.digits$} {unit} ({least:.digits$}-{most:.digits$})", median(values()))
    }
}

/// The median, over the rounds, of one peer's cost against another's in the same round.
fn cost_ratio(kind: Kind) -> impl Fn(&Series, &Series) -> Option<f64> {
    move |ours, theirs| {
        let cost = |sample: &Sample| match kind {
            Kind::Memory => sample.memory(),
            Kind::Requests | Kind::Bulk => sample.cost(),
        };
        let rounds = ours.samples.iter().zip(&theirs.samples);
        Some(median(rounds.map(|(ours, theirs)| cost(ours) / cost(theirs))))
    }
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or(NOT_COUNTED.to_owned(), |value| format!("{value:.digits$}"))
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.1}", bytes / 1024.0 / 1024.0)
}

fn as_markdown<const N: usize>(lines: &[[String; N]]) -> String {
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        out += &format!("| {} |\n", line.join(" | "));
        if index == 0 {
            out += &format!("|{}\n", "---|".repeat(line.len()));
        }
    }
    out
}

fn aligned<const N: usize>(lines: &[[String; N]]) -> String {
    let widths: [usize; N] =
        std::array::from_fn(|column| lines.iter().map(|line| line[column].len()).max().unwrap_or(0));
    let mut out = String::new();
    for line in lines {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        out += cells.collect::<Vec<_>>().join("  ").trim_end();
        out += "\n";
    }
    out
}
