//! The HTTP messages of a stream: class HTTP.

use super::{HostError, HostResult, Side};

/// The class `HTTP`. Headers come and go as bytes; names and values given here are free of CR, LF and NUL.
///
/// Filters reach both messages; scripts in rules only that of [`side`](Self::side).
pub trait Http {
    /// Whose rules run: calls for the other message are errors there. None: either message can be used.
    fn side(&self) -> Option<Side> {
        None
    }
    /// Shows each header line in order of arrival.
    fn headers(&mut self, side: Side, visit: &mut dyn FnMut(&[u8], &[u8])) -> HostResult<()>;
    /// Adds a line at the end.
    fn add_header(&mut self, side: Side, name: &[u8], value: &[u8]) -> HostResult<()>;
    /// Removes every line of that name, whatever its case.
    fn del_header(&mut self, side: Side, name: &[u8]) -> HostResult<()>;
    /// Removes, then adds.
    fn set_header(&mut self, side: Side, name: &[u8], value: &[u8]) -> HostResult<()> {
        self.del_header(side, name)?;
        self.add_header(side, name, value)
    }
    /// `rep_header` (whole lines) or, with `each_value`, `rep_value` (comma-separated values), with a regular
    /// expression in the host's dialect and `\1` references in `replacement`.
    fn replace_header(
        &mut self,
        side: Side,
        name: &[u8],
        regex: &str,
        replacement: &[u8],
        each_value: bool,
    ) -> HostResult<()> {
        let _ = (side, name, regex, replacement, each_value);
        Err(HostError::Unsupported("header replacement"))
    }
    /// Changes one part of the request line. False: not possible (no room, bad bytes).
    fn set_request_part(&mut self, part: RequestPart, value: &[u8]) -> HostResult<bool> {
        let _ = (part, value);
        Err(HostError::Unsupported("request line changes"))
    }
    /// Changes the response's status; without a reason the host's default text.
    fn set_status(&mut self, status: u16, reason: Option<&[u8]>) -> HostResult<bool> {
        let _ = (status, reason);
        Err(HostError::Unsupported("res_set_status"))
    }
    /// The first line of a message; None while there is none.
    fn start_line(&mut self, side: Side) -> HostResult<Option<StartLine>> {
        let _ = side;
        Err(HostError::Unsupported("start lines"))
    }
    /// Whether the head has been sent on, so that a filter may not change it any more.
    fn head_gone(&mut self, side: Side) -> bool {
        let _ = side;
        false
    }
    /// Says how long the body will be; None for chunks. Replaces the headers that say so. False: not possible.
    fn set_body_len(&mut self, side: Side, length: Option<u64>) -> HostResult<bool> {
        let _ = (side, length);
        Err(HostError::Unsupported("set_body_len"))
    }
}
const _: Option<&dyn Http> = None;

/// The first line of a message, in three words as on the wire: method, target and version, or version, status and
/// reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartLine {
    /// Method, or version.
    pub first: Vec<u8>,
    /// Target, or status.
    pub second: Vec<u8>,
    /// Version, or reason.
    pub third: Vec<u8>,
}

/// A part of the request line, for [`Http::set_request_part`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestPart {
    /// The method.
    Method,
    /// The path; the query string stays.
    Path,
    /// The query string, given without its question mark.
    Query,
    /// The whole target.
    Uri,
}
