//! The table: aligned for a terminal, or as Markdown for `docs/performance.md`.

use super::row::{Kind, Row};
use super::sample::{Sample, median};

/// All rounds of one peer in one row.
pub(super) struct Series {
    pub(super) peer: &'static str,
    pub(super) samples: Vec<Sample>,
    /// User instructions a request, by callgrind, if it ran.
    pub(super) callgrind: Option<f64>,
}

/// One row of the table with all its peers, the reference last.
pub(super) struct Measured {
    pub(super) row: Row,
    pub(super) series: Vec<Series>,
}

const HEADINGS: [&str; 8] =
    ["row", "peer", "ratio", "cost (range)", "kcycles", "user insn", "kernel insn", "RSS MiB"];

/// The table as text.
pub(super) fn table(measured: &[Measured], markdown: bool) -> String {
    let mut lines = vec![HEADINGS.map(str::to_owned).to_vec()];
    for measured in measured {
        lines.extend(measured.series.iter().map(|series| cells(measured, series)));
    }
    if markdown { as_markdown(&lines) } else { aligned(&lines) }
}

fn cells(measured: &Measured, series: &Series) -> Vec<String> {
    let kind = measured.row.kind();
    let of = |value: &dyn Fn(&Sample) -> Option<f64>| -> Option<f64> {
        series.samples.iter().map(value).collect::<Option<Vec<_>>>().map(median)
    };
    let counted = |value: Option<f64>| value.map_or("n/a".to_owned(), |value| format!("{value:.0}"));
    let kcycles = of(&|sample| Some(sample.counters.cycles? / sample.work / 1000.0));
    let user = of(&|sample| Some(sample.counters.user_instructions? / sample.work));
    let user = user.map_or_else(
        || series.callgrind.map_or("n/a".to_owned(), |count| format!("{count:.0} (callgrind)")),
        |count| format!("{count:.0}"),
    );
    let kernel = of(&|sample| Some(sample.counters.kernel_instructions? / sample.work));
    let resident = match kind {
        Kind::Memory => String::new(),
        Kind::Requests | Kind::Bulk => {
            mebibytes(median(series.samples.iter().map(|sample| sample.resident_bytes)))
        }
    };
    vec![
        measured.row.title().to_owned(),
        series.peer.to_owned(),
        ratio(measured, series).map_or(String::new(), |ratio| format!("{ratio:.2}")),
        cost(kind, &series.samples),
        kcycles.map_or("n/a".to_owned(), |kcycles| format!("{kcycles:.1}")),
        user,
        counted(kernel),
        resident,
    ]
}

/// The median, over the rounds, of this peer's cost against the reference's in the same round.
fn ratio(measured: &Measured, series: &Series) -> Option<f64> {
    let reference = measured.series.last()?;
    if std::ptr::eq(reference, series) {
        return None;
    }
    let cost = |sample: &Sample| match measured.row.kind() {
        Kind::Memory => sample.memory(),
        Kind::Requests | Kind::Bulk => sample.cost(),
    };
    Some(median(
        series.samples.iter().zip(&reference.samples).map(|(ours, theirs)| cost(ours) / cost(theirs)),
    ))
}

fn cost(kind: Kind, samples: &[Sample]) -> String {
    let with_range = |values: Vec<f64>, unit: &str, digits: usize| {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("{:.digits$} {unit} ({least:.digits$}-{most:.digits$})", median(values))
    };
    match kind {
        Kind::Requests => with_range(samples.iter().map(|sample| sample.cpu() / 1e3).collect(), "us/req", 2),
        Kind::Bulk => {
            let speed = median(samples.iter().map(|sample| sample.work / sample.seconds));
            let cpu = with_range(samples.iter().map(|sample| sample.cpu() / 1e6).collect(), "ms/GB", 0);
            format!("{cpu}, {speed:.2} GB/s")
        }
        Kind::Memory => with_range(samples.iter().map(Sample::memory).collect(), "bytes", 0),
    }
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.1}", bytes / 1024.0 / 1024.0)
}

fn as_markdown(lines: &[Vec<String>]) -> String {
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        out += &format!("| {} |\n", line.join(" | "));
        if index == 0 {
            out += &format!("|{}\n", "---|".repeat(line.len()));
        }
    }
    out
}

fn aligned(lines: &[Vec<String>]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
    let mut out = String::new();
    for line in lines {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        out += cells.join("  ").trim_end();
        out += "\n";
    }
    out
}
