//! `default_backend` and `use_backend`.

use super::{
    ParseError,
    draft::{Switch, Target},
    proxy::ProxyLine,
    words,
};
use crate::sample::logformat::LogFormat;

pub(super) fn default_backend(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let name = words::word(line.words, 1, "'default_backend' expects a backend name.")?;
    words::at_most(line.words, 1)?;
    line.draft.settings.default_backend = Some(name.to_owned());
    Ok(())
}

pub(super) fn use_backend(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let name = words::word(line.words, 1, "'use_backend' expects a backend name.")?;
    let target = if name.contains('%') {
        let format = LogFormat::parse(name, line.registry)
            .map_err(|e| ParseError::at(1, format!("failed to parse use_backend rule : {e}")))?;
        Target::Computed(format)
    } else {
        Target::Name(name.to_owned())
    };
    let rest = &line.words[2..];
    let cond = match rest.first() {
        None => None,
        Some(&("if" | "unless")) => {
            let cond = line.context().cond(rest, None).map_err(|e| {
                let text = format!("error detected while parsing switching rule : {e}.");
                ParseError { message: text, word: e.word }.shifted(2)
            })?;
            Some(cond)
        }
        Some(other) => {
            let text = format!(
                "unexpected keyword '{other}' after switching rule, only 'if' and 'unless' are allowed."
            );
            return Err(ParseError::at(2, text));
        }
    };
    line.draft.switching.push(Switch { target, cond });
    Ok(())
}
