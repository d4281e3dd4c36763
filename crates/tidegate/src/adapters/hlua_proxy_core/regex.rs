//! The class Regex: proxy-core's regular expressions.

use std::sync::Arc;

use hlua::host::{self, Groups, HostResult};
use proxy_core::sample::Pattern;

use super::catalog::refused;

struct LuaRegex(Pattern);

/// Compiles as the configuration's `-m reg` does.
///
/// # Errors
/// The pattern is malformed or too large.
pub fn compile(pattern: &str, case_sensitive: bool) -> HostResult<Arc<dyn host::Regex>> {
    Ok(Arc::new(LuaRegex(Pattern::new(pattern, !case_sensitive).map_err(refused)?)))
}

impl host::Regex for LuaRegex {
    fn is_match(&self, subject: &[u8]) -> bool {
        self.0.0.is_match(subject)
    }

    fn groups(&self, subject: &[u8], groups: &mut Groups) -> bool {
        groups.clear();
        let Some(found) = self.0.0.captures(subject) else { return false };
        groups.extend(found.iter().map(|group| group.map(|group| group.range())));
        true
    }
}
