//! HAProxy's version numbers and their order.

/// `MAJOR.MINOR[.PATCH|-devN|-rcN][-COMMITS]`, in the order of age.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    branch: (u32, u32),
    stage: (Stage, u32),
    commits: u32,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Dev,
    Candidate,
    Release,
}

impl Version {
    /// Missing parts are zero.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut numbers = parts.next().unwrap_or_default().split('.');
        let mut number = || numbers.next().map_or(Some(0), count);
        let branch = (number()?, number()?);
        let patch = number()?;
        if numbers.next().is_some() {
            return None;
        }
        let mut version = Self { branch, stage: (Stage::Release, patch), commits: 0 };
        for part in parts {
            if let Some(n) = part.strip_prefix("dev") {
                version.stage = (Stage::Dev, count(n)?);
            } else if let Some(n) = part.strip_prefix("rc") {
                version.stage = (Stage::Candidate, count(n)?);
            } else if let Some(n) = count(part) {
                version.commits = n;
            }
        }
        Some(version)
    }
}

fn count(text: &str) -> Option<u32> {
    if text.is_empty() { Some(0) } else { text.parse().ok() }
}
