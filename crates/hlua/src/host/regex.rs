//! Regular expressions in the host's dialect: class Regex.

use std::ops::Range;

/// A compiled regular expression, for [`Core::regex`](super::Core::regex). The shared VM carries it from thread to
/// thread.
pub trait Regex: Send + Sync {
    /// Whether it matches anywhere in the subject.
    fn is_match(&self, subject: &[u8]) -> bool;
    /// Where the first match and its groups are: the whole at 0, None for a group that took no part. False where it
    /// does not match; `groups` is empty then.
    fn groups(&self, subject: &[u8], groups: &mut Groups) -> bool;
}
const _: Option<&dyn Regex> = None;

/// The places of a match and its groups in the subject.
pub type Groups = Vec<Option<Range<usize>>>;
