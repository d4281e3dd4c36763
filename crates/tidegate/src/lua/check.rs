//! `tidegate check`: what is wrong with a configuration and its scripts, with source lines or as JSON.
//!
//! The configuration is read as a start reads it, which loads its scripts; then the scripts are looked at without
//! running them (`scan`).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use proxy_core::cfgparse::{Diagnostic, Outcome, Parser, Severity};

use super::{
    finding::{self, Finding, Weight},
    scripts::Scripts,
};
use crate::{
    app, process,
    wiring::{Clocks, Preparation},
};

/// `tidegate check …`
#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// Configuration files or folders, as with -f
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How to print what was found
    #[arg(long, value_enum, default_value_t = Format::Pretty)]
    format: Format,
    /// Warnings fail too
    #[arg(long)]
    strict: bool,
}

/// A way to print findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Pretty,
    /// An array of objects
    Json,
}

/// Checks: 0 if nothing is wrong, 1 if something is.
///
/// # Errors
/// None so far; the signature is the other subcommands'.
pub fn run(args: &CheckArgs) -> Result<ExitCode> {
    let findings = check(&args.files);
    match args.format {
        Format::Pretty => print!("{}", finding::pretty(&findings)),
        Format::Json => print!("{}", finding::json(&findings)),
    }
    let worst = findings.iter().map(|finding| finding.weight).max();
    let fails = if args.strict { Weight::Warning } else { Weight::Error };
    Ok(if worst.is_some_and(|worst| worst >= fails) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn check(files: &[PathBuf]) -> Vec<Finding> {
    let preparation = Preparation::new(Clocks::real());
    let mut parser = Parser::new(preparation.registry.clone())
        .env(app::environment())
        .build(app::build())
        .resolver(|host: &str| process::resolve(host));
    for path in files {
        parser = parser.path(path);
    }
    let Outcome { config, diagnostics, registry } = parser.parse();
    let mut findings: Vec<Finding> = diagnostics.iter().filter_map(of_configuration).collect();
    if let Some(config) = &config {
        let faults = preparation.check(config);
        findings.extend(faults.into_iter().map(|fault| Finding::new(Weight::Error, "", 0, fault)));
    }
    let mut scripts = Scripts::new(preparation.module_paths());
    for (path, shared) in preparation.scripts() {
        findings.extend(scripts.look(&path, shared));
    }
    let names = [
        registry.actions.keys().collect::<Vec<_>>(),
        registry.fetches.keys().collect(),
        registry.converters.keys().collect(),
        registry.services.keys().collect(),
    ];
    let own = names.concat().into_iter().filter(|name| name.starts_with("lua."));
    findings.extend(unused(files, own));
    findings
}

/// What the parser says, at its place.
fn of_configuration(diagnostic: &Diagnostic) -> Option<Finding> {
    let weight = match diagnostic.severity {
        Severity::Diag => return None,
        Severity::Notice => Weight::Notice,
        Severity::Warning => Weight::Warning,
        Severity::Alert => Weight::Error,
    };
    if diagnostic.message.starts_with("Error(s) found in")
        || diagnostic.message.starts_with("Fatal errors found")
    {
        return None;
    }
    if let Some(finding) = in_script(&diagnostic.message) {
        return Some(finding);
    }
    let Some(place) = &diagnostic.place else {
        return Some(Finding::new(weight, "", 0, diagnostic.message.as_str()));
    };
    let asks = ["; did you mean ", ". Did you mean "];
    let split = asks.iter().find_map(|words| diagnostic.message.split_once(words));
    let (message, help) = match split {
        Some((message, close)) => {
            (message, Some(format!("did you mean {}?", close.trim_end_matches(" maybe ?"))))
        }
        None => (diagnostic.message.as_str(), None),
    };
    let mut finding = Finding::new(weight, &place.file, place.line as usize, message);
    if let Some((from, to)) = columns(diagnostic) {
        finding = finding.at(from, to);
    }
    Some(match help {
        Some(help) => finding.help(help),
        None => finding,
    })
}

/// `Lua syntax error: FILE:LINE: text` and a main chunk's `Lua runtime error: FILE:LINE: text` belong to the script, or
/// to the module that does not load.
fn in_script(message: &str) -> Option<Finding> {
    let start = message.find("Lua syntax error: ").or_else(|| message.find("Lua runtime error: "))?;
    let (what, rest) = message[start..].split_once("error: ")?;
    // What is wrong with a module stands behind the place that requires it.
    let module = rest.split_once("error loading module ").and_then(|(_, rest)| rest.split_once(":\n\t"));
    let (is_syntax, rest) = module.map_or((what == "Lua syntax ", rest), |(_, rest)| (true, rest));
    let (file, rest) = rest.split_once(".lua:")?;
    let (line, text) = rest.split_once(": ")?;
    let file = format!("{file}.lua");
    let kind = if is_syntax { "syntax error: " } else { "" };
    Path::new(&file)
        .exists()
        .then(|| line.parse().ok())?
        .map(|line| Finding::new(Weight::Error, &file, line, format!("{kind}{text}")))
}

/// The columns of what it is about.
fn columns(diagnostic: &Diagnostic) -> Option<(usize, usize)> {
    let (place, span) = (diagnostic.place.as_ref()?, diagnostic.span.as_ref()?);
    let source = std::fs::read(&*place.file).ok()?;
    let before = source.get(..span.start)?;
    let begin = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    Some((span.start - begin + 1, span.end.max(span.start) - begin + 1))
}

/// Functions that scripts registered and no line of these files names.
fn unused<'a>(files: &[PathBuf], names: impl Iterator<Item = &'a String>) -> Vec<Finding> {
    let texts: BTreeMap<&PathBuf, String> =
        files.iter().filter_map(|file| Some((file, std::fs::read_to_string(file).ok()?))).collect();
    if texts.len() < files.len() {
        return Vec::new();
    }
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let named = |name: &str| {
        texts
            .values()
            .any(|text| text.match_indices(name).any(|(at, _)| !text[at + name.len()..].starts_with(is_word)))
    };
    names
        .filter(|name| !named(name))
        .map(|name| {
            Finding::new(
                Weight::Notice,
                "",
                0,
                format!("'{name}' is registered and not used by this configuration"),
            )
        })
        .collect()
}
