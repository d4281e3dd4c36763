//! `http-check`, `tcp-check` and the options that choose a check.
//!
//! What the lines mean stands in [`CheckDraft`](crate::check::CheckDraft).

use super::{ParseError, proxy::ProxyLine, words};

pub(super) fn http_check(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    line.draft.settings.check.http_check(&line.words[1..])?;
    line.draft.settings.http_check_rules = true;
    Ok(())
}

pub(super) fn tcp_check(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    line.draft.settings.check.tcp_check(&line.words[1..])?;
    line.draft.settings.tcp_check_rules = true;
    Ok(())
}

/// `option httpchk …`.
pub(super) fn httpchk(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    line.draft.settings.check.httpchk(&line.words[2..])
}

/// `option tcp-check`.
pub(super) fn tcp_check_option(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    words::at_most_behind(line.words, "option tcp-check", 2)?;
    line.draft.settings.check.tcp_check_option();
    Ok(())
}

/// An option whose check an extension brings.
pub(super) fn probe(line: &mut ProxyLine<'_>, name: &str) -> Result<(), ParseError> {
    words::at_most_behind(line.words, &format!("option {name}"), 2)?;
    if let Some(prober) = line.registry.checks.get(name) {
        line.draft.settings.check.probe(prober.clone());
    }
    Ok(())
}
