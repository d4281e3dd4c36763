//! Ready-made answers of `return`, `deny` and `tarpit`.

use std::sync::Arc;

use super::{Rule, action::complain};
use crate::{
    action::Verdict,
    applet::Reply,
    error_pages::{self, PageSection},
    sample::logformat::LogFormat,
    txn::{Direction, Txn},
};

/// An answer whose texts are made for each request.
pub struct ReplyTemplate {
    /// The status code.
    pub status: u16,
    /// It is a refusal (`deny`), not just an answer.
    pub refuses: bool,
    /// What stands in it.
    pub body: BodyTemplate,
    /// `content-type`.
    pub content_type: Option<Box<str>>,
    /// `hdr` lines.
    pub headers: Vec<(Box<[u8]>, LogFormat)>,
}

/// The body of an answer.
pub enum BodyTemplate {
    /// The proxy's page for the status.
    ErrorPage,
    /// Nothing.
    Empty,
    /// What an error file holds: the whole answer.
    File(Arc<Reply>),
    /// The page of a section `http-errors`, or nothing if it has none.
    Section(Arc<PageSection>),
    /// These bytes.
    Raw(Box<[u8]>),
    /// A text per request.
    Format(LogFormat),
}

impl ReplyTemplate {
    /// It stands for the proxy's own page.
    #[must_use]
    pub fn is_default(&self) -> bool {
        matches!(self.body, BodyTemplate::ErrorPage)
    }

    /// The section that its answer comes from.
    #[must_use]
    pub fn section(&self) -> Option<&Arc<PageSection>> {
        match &self.body {
            BodyTemplate::Section(section) => Some(section),
            _ => None,
        }
    }

    /// The answer, if it is the same for all.
    #[must_use]
    pub fn ready(&self) -> Option<&Arc<Reply>> {
        match &self.body {
            BodyTemplate::File(reply) => Some(reply),
            _ => None,
        }
    }

    /// Makes the answer.
    pub(super) fn answer(&self, rule: &Rule, side: Direction, txn: &mut Txn) -> Verdict {
        let (reply, refused) = self.fill(side, txn);
        if refused {
            complain(txn, rule, "hdr part of a reply");
        }
        let reply = Box::new(reply);
        if self.refuses { Verdict::Deny(reply) } else { Verdict::Reply(reply) }
    }

    /// The answer, and whether a header was left out because of its value.
    pub(crate) fn fill(&self, side: Direction, txn: &mut Txn) -> (Reply, bool) {
        let body = match &self.body {
            BodyTemplate::ErrorPage => return (error_pages::reply(self.status, side, txn), false),
            BodyTemplate::File(reply) => return (Reply::clone(reply), false),
            BodyTemplate::Section(section) => match section.reply(self.status) {
                Some(reply) => return (reply.clone(), false),
                None => Vec::new(),
            },
            BodyTemplate::Empty => Vec::new(),
            BodyTemplate::Raw(bytes) => bytes.to_vec(),
            BodyTemplate::Format(format) => {
                let mut text = Vec::new();
                format.render(txn, side, &mut text);
                text
            }
        };
        let mut refused = false;
        let mut headers = Vec::with_capacity(self.headers.len() + 2);
        for (name, format) in &self.headers {
            let mut value = Vec::new();
            let tainted = format.render_checked(txn, side, &mut value).0;
            if tainted || !crate::http::text::is_value(&value) {
                refused = true;
            } else {
                headers.push((name.to_vec(), value));
            }
        }
        // A 204 and interim answers have no body to measure.
        if self.status >= 200 && self.status != 204 {
            headers.push((b"content-length".to_vec(), body.len().to_string().into_bytes()));
        }
        if let Some(kind) = self.content_type.as_deref().filter(|_| !body.is_empty()) {
            headers.push((b"content-type".to_vec(), kind.as_bytes().to_vec()));
        }
        (Reply { status: self.status, headers, body, ..Reply::default() }, refused)
    }
}
