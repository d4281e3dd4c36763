//! What `tidegate check` finds, and how it is shown: with the source line and a mark, or as JSON.

use std::{collections::BTreeMap, fmt::Write as _};

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// Something that may be wanted.
    Notice,
    /// Something that works, but perhaps not as meant.
    Warning,
    /// The configuration is refused, or a script fails where it runs.
    Error,
}

impl Weight {
    fn word(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) weight: Weight,
    pub(super) message: String,
    pub(super) file: String,
    /// From 1; 0 for the file as a whole.
    pub(super) line: usize,
    /// The first column and the one behind the last, from 1; equal where only the line is known.
    pub(super) columns: (usize, usize),
    /// What to do about it.
    pub(super) help: Option<String>,
}

impl Finding {
    /// About a line.
    pub(super) fn new(weight: Weight, file: &str, line: usize, message: impl Into<String>) -> Self {
        Self { weight, message: message.into(), file: file.to_owned(), line, columns: (1, 1), help: None }
    }

    /// About these columns of it.
    pub(super) fn at(mut self, from: usize, to: usize) -> Self {
        self.columns = (from, to.max(from));
        self
    }

    /// With advice.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// For people: each finding with its source line, then how many there are.
pub(super) fn pretty(findings: &[Finding]) -> String {
    let mut sources: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut text = String::new();
    for finding in findings {
        let lines = sources.entry(&finding.file).or_insert_with(|| read_lines(&finding.file));
        show(&mut text, finding, lines);
    }
    let count = |weight| findings.iter().filter(|finding| finding.weight == weight).count();
    let _ = writeln!(
        text,
        "{} errors, {} warnings, {} notices",
        count(Weight::Error),
        count(Weight::Warning),
        count(Weight::Notice)
    );
    text
}

fn read_lines(file: &str) -> Vec<String> {
    let bytes = std::fs::read(file).unwrap_or_default();
    String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
}

fn show(text: &mut String, finding: &Finding, lines: &[String]) {
    let Finding { weight, message, file, line, columns: (from, to), help } = finding;
    let _ = writeln!(text, "{}: {message}", weight.word());
    let width = line.to_string().len();
    let margin = " ".repeat(width);
    if *line == 0 {
        if !file.is_empty() {
            let _ = writeln!(text, "{margin}--> {file}");
        }
    } else {
        let _ = writeln!(text, "{margin}--> {file}:{line}:{from}");
        if let Some(source) = lines.get(line - 1) {
            let source = source.replace('\t', " ");
            let _ = writeln!(text, "{margin} |\n{line} | {source}");
            if to > from {
                let _ = writeln!(text, "{margin} | {}{}", " ".repeat(from - 1), "^".repeat(to - from));
            }
        }
    }
    if let Some(help) = help {
        let _ = writeln!(text, "{margin} = help: {help}");
    }
    text.push('\n');
}

/// For programs: an array, an object a finding.
pub(super) fn json(findings: &[Finding]) -> String {
    let object = |finding: &Finding| {
        serde_json::json!({
            "severity": finding.weight.word(),
            "message": finding.message,
            "file": finding.file,
            "line": finding.line,
            "column": finding.columns.0,
            "end_column": finding.columns.1,
            "help": finding.help,
        })
    };
    format!("{:#}\n", serde_json::Value::Array(findings.iter().map(object).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_shows_its_line_with_a_mark() {
        let folder = std::env::temp_dir().join(format!("tidegate-finding-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("x.lua").display().to_string();
        std::fs::write(&file, "one\n\tcore.lgo(1)\n").unwrap();
        let finding = Finding::new(Weight::Error, &file, 2, "no such thing").at(7, 10).help("say log");
        let whole = Finding::new(Weight::Notice, &file, 0, "about all");
        let text = pretty(&[finding.clone(), whole]);
        std::fs::remove_dir_all(&folder).unwrap();
        let expected = format!(
            "error: no such thing\n --> {file}:2:7\n  |\n2 |  core.lgo(1)\n  |       ^^^\n  = help: say log\n\n\
             notice: about all\n --> {file}\n\n1 errors, 0 warnings, 1 notices\n"
        );
        assert_eq!(text, expected);
        let parsed: serde_json::Value = serde_json::from_str(&json(&[finding])).unwrap();
        assert_eq!(parsed[0]["severity"], "error");
        assert_eq!(parsed[0]["end_column"], 10);
    }
}
