//! `set-var` of the `global` section.

use super::{ParseError, global::GlobalLine, words};
use crate::{
    config::ProcVar,
    sample::expr::Expr,
    vars::{Scope, VarName},
};

/// `set-var proc.NAME EXPRESSION`.
pub(super) fn set_var(line: &mut GlobalLine<'_>) -> Result<(), ParseError> {
    let expected = "'set-var' requires a process-wide variable name ('proc.<name>') and a sample expression.";
    let text = words::word(line.words, 1, expected)?;
    words::word(line.words, 2, expected)?;
    let name = VarName::parse(text).map_err(|e| e.shifted(1))?;
    if name.scope != Scope::Proc {
        return Err(ParseError::at(
            1,
            format!(
                "'set-var': cannot set variable '{text}', only scope 'proc' is permitted in the global section."
            ),
        ));
    }
    let mut at = 2;
    let value = Expr::parse(line.words, &mut at, line.registry)?;
    words::at_most_behind(line.words, "set-var", at)?;
    line.proc_vars.push(ProcVar { name, value });
    Ok(())
}
