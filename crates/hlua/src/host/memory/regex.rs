//! Regular expressions by the `regex` crate, on bytes.

use std::sync::Arc;

use crate::host::{Groups, HostError, HostResult, Regex};

struct MemoryRegex(regex::bytes::Regex);

pub(super) fn compile(pattern: &str, case_sensitive: bool) -> HostResult<Arc<dyn Regex>> {
    let built =
        regex::bytes::RegexBuilder::new(pattern).unicode(false).case_insensitive(!case_sensitive).build();
    let regex = built.map_err(|error| {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        HostError::Refused(format!("regex '{pattern}' is invalid (error={last})").into())
    })?;
    Ok(Arc::new(MemoryRegex(regex)))
}

impl Regex for MemoryRegex {
    fn is_match(&self, subject: &[u8]) -> bool {
        self.0.is_match(subject)
    }

    fn groups(&self, subject: &[u8], groups: &mut Groups) -> bool {
        groups.clear();
        let Some(found) = self.0.captures(subject) else { return false };
        groups.extend(found.iter().map(|group| group.map(|group| group.range())));
        true
    }
}
