//! What the compiler does not see.
//!
//! Every `.rs` file opens with `//!`; an ignored test says why; `proxy-core` has never heard of Lua or
//! SPOE, so neither word stands anywhere in that crate.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Finding;
use crate::workspace::Workspace;

const FOLDERS: [&str; 6] = ["benches", "crates", "tests", "xtask", "fuzz", "examples"];
const IGNORANT: &str = "crates/proxy-core";
const UNKNOWN_TO_IT: [&str; 2] = ["lua", "spoe"];

pub(super) fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for folder in FOLDERS {
        for file in workspace.files(folder, &["rs"])? {
            let text = read(&file)?;
            findings.extend(unintroduced(&text).map(|what| Finding::new(workspace, &file, 1, what)));
            let ignored = unexplained_ignores(&text);
            findings.extend(
                ignored.map(|line| Finding::new(workspace, &file, line, "#[ignore] without a reason")),
            );
        }
    }
    for file in workspace.files(IGNORANT, &["rs", "toml", "md", "txt", "cfg", "snap"])? {
        let text = read(&file)?;
        let known = forbidden_words(&text);
        findings
            .extend(known.map(|(line, word)| {
                Finding::new(workspace, &file, line, format!("knows the word {word:?}"))
            }));
    }
    Ok(findings)
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))
}

/// A file's missing module documentation.
fn unintroduced(text: &str) -> Option<&'static str> {
    let first = text.lines().next().unwrap_or_default();
    let introduced = first.strip_prefix("//!").is_some_and(|said| !said.trim().is_empty());
    // A crate root may show its README instead of repeating it.
    let included = first.starts_with("#![doc");
    (!introduced && !included).then_some("does not open with `//!`")
}

/// Lines (from 1) of `#[ignore]` attributes that give no reason.
fn unexplained_ignores(text: &str) -> impl Iterator<Item = usize> {
    // Built at run time so that this file does not find itself.
    let bare = format!("#[{}]", "ignore");
    text.lines().enumerate().filter(move |(_, line)| line.trim() == bare).map(|(index, _)| index + 1)
}

/// Lines (from 1) that contain, in any case and as a word of its own, what the crate must not know.
fn forbidden_words(text: &str) -> impl Iterator<Item = (usize, &'static str)> {
    text.lines().enumerate().flat_map(|(index, line)| {
        UNKNOWN_TO_IT.into_iter().filter(move |word| has_word(line, word)).map(move |word| (index + 1, word))
    })
}

/// Whether `line` has `word` (in lower case) as a word, also as a part of `snake_case` or `CamelCase`.
fn has_word(line: &str, word: &str) -> bool {
    line.to_ascii_lowercase().match_indices(word).any(|(at, _)| {
        let found = &line[at..at + word.len()];
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let capital = found.starts_with(char::is_uppercase);
        let starts = before.is_none_or(|c| !c.is_alphabetic() || (c.is_lowercase() && capital));
        let ends = after
            .is_none_or(|c| !c.is_alphabetic() || (c.is_uppercase() && found.ends_with(char::is_lowercase)));
        starts && ends
    })
}

#[cfg(test)]
mod tests {
    use super::{forbidden_words, unexplained_ignores, unintroduced};

    #[test]
    fn a_file_must_say_what_it_is() {
        assert_eq!(unintroduced("//! What it is.\n"), None);
        assert_eq!(unintroduced("#![doc = include_str!(\"../README.md\")]\n"), None);
        assert!(unintroduced("//!\nuse x;\n").is_some());
        assert!(unintroduced("use x;\n").is_some());
        assert!(unintroduced("").is_some());
    }

    #[test]
    fn an_ignored_test_must_say_why() {
        let text = "#[ignore = \"slow\"]\nfn a() {}\n    #[ignore]\nfn b() {}\n";
        assert_eq!(unexplained_ignores(text).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn words_are_found_in_any_case_but_not_inside_others() {
        let text =
            "evaluate\nthe LUA way\nlua_action\nspoex\nfilter spoe\nEVALUATE\nRunLuaNow\nlua54\nvaLuable";
        let found: Vec<_> = forbidden_words(text).collect();
        assert_eq!(found, [(2, "lua"), (3, "lua"), (5, "spoe"), (7, "lua"), (8, "lua")]);
    }
}
