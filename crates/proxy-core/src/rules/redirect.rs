//! `redirect`. Source: configuration.txt 4.2, `redirect`.

use super::{
    Rule,
    action::{complain, rendered},
};
use crate::{
    action::Verdict,
    applet::Reply,
    http::{InvalidText, Message},
    sample::logformat::LogFormat,
    txn::{Direction, Txn},
};

/// A `redirect` rule.
pub struct Redirect {
    /// Where to.
    pub to: RedirectTo,
    /// The text of the target.
    pub target: LogFormat,
    /// 301, 302, 303, 307 or 308.
    pub code: u16,
    /// The query is left out.
    pub drop_query: bool,
    /// A slash is added at the end unless there is one.
    pub append_slash: bool,
    /// An empty location leaves the rule without effect.
    pub ignore_empty: bool,
    /// The `set-cookie` line to send.
    pub cookie: Option<Box<str>>,
}

/// What the text of a redirection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectTo {
    /// The whole location.
    Location,
    /// What stands before the path.
    Prefix,
    /// The scheme; host and path stay.
    Scheme,
}

impl Redirect {
    /// Makes the answer; a location that cannot be sent leaves the rule without effect.
    pub(super) fn answer(&self, rule: &Rule, side: Direction, txn: &mut Txn) -> Verdict {
        match self.location(side, txn) {
            Ok(location) if location.is_empty() && self.ignore_empty => Verdict::Continue,
            Ok(location) => Verdict::Reply(Box::new(self.reply(location))),
            Err(InvalidText) => {
                complain(txn, rule, "redirect");
                Verdict::Continue
            }
        }
    }

    fn location(&self, side: Direction, txn: &mut Txn) -> Result<Vec<u8>, InvalidText> {
        let mut location = rendered(&self.target, txn, side)?;
        match self.to {
            RedirectTo::Location => {}
            RedirectTo::Prefix => {
                // A lone slash changes nothing: the path brings its own.
                if location == b"/" {
                    location.clear();
                }
                self.append_path(&txn.req, &mut location);
            }
            RedirectTo::Scheme => {
                location.extend_from_slice(b"://");
                location.extend_from_slice(txn.req.header_values(b"host").next().unwrap_or_default());
                self.append_path(&txn.req, &mut location);
            }
        }
        if crate::http::text::is_value(&location) { Ok(location) } else { Err(InvalidText) }
    }

    fn append_path(&self, request: &Message, location: &mut Vec<u8>) {
        location.extend_from_slice(request.path());
        if let Some(query) = request.query().filter(|_| !self.drop_query) {
            location.push(b'?');
            location.extend_from_slice(query);
        }
        if self.append_slash && location.last() != Some(&b'/') {
            location.push(b'/');
        }
    }

    fn reply(&self, location: Vec<u8>) -> Reply {
        let mut headers = vec![(b"content-length".to_vec(), b"0".to_vec()), (b"location".to_vec(), location)];
        // Permanent answers may be kept, the others say so.
        if matches!(self.code, 302 | 303 | 307) {
            headers.push((b"cache-control".to_vec(), b"no-cache".to_vec()));
        }
        if let Some(cookie) = &self.cookie {
            headers.push((b"set-cookie".to_vec(), cookie.as_bytes().to_vec()));
        }
        Reply { status: self.code, headers, ..Reply::default() }
    }
}
