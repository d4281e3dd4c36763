//! A TXN in memory: one request, one response, variables, two channels, a log.

use std::any::Any;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::rc::Rc;

use super::samples::{Stub, Stubs};
use crate::host::{
    Channel, HostResult, Http, Level, Reply, RequestPart, SampleId, Side, StartLine, Txn, Value,
};

/// Header lines in order.
pub(super) type Headers = Vec<(Vec<u8>, Vec<u8>)>;

/// What any stream in memory holds: the request as fetches see it, variables, log, private data.
pub struct MemoryStream {
    /// `GET`
    pub method: Vec<u8>,
    /// The request's target.
    pub uri: Vec<u8>,
    /// Where it comes from.
    pub source: IpAddr,
    /// The request's header lines.
    pub request_headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Variables by full name.
    pub variables: BTreeMap<Vec<u8>, Value<'static>>,
    /// What the script logged in this stream's name.
    pub log: Vec<(Level, String)>,
    /// What a test answers for fetches on this stream alone.
    pub fetches: BTreeMap<SampleId, Stub>,
    pub(super) stubs: Rc<Stubs>,
    pub(super) extension: Option<Box<dyn Any>>,
}

impl Default for MemoryStream {
    fn default() -> Self {
        MemoryStream {
            method: b"GET".to_vec(),
            uri: b"/".to_vec(),
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            request_headers: Vec::new(),
            variables: BTreeMap::new(),
            log: Vec::new(),
            fetches: BTreeMap::new(),
            stubs: Rc::default(),
            extension: None,
        }
    }
}

impl MemoryStream {
    pub(super) fn set_var(&mut self, name: &[u8], value: Value<'_>, if_exists: bool) -> bool {
        if !has_scope(name) || (if_exists && !self.variables.contains_key(name)) {
            return false;
        }
        match self.variables.get_mut(name) {
            Some(old) => *old = value.into_owned(),
            None => {
                self.variables.insert(name.to_vec(), value.into_owned());
            }
        }
        true
    }
}

fn has_scope(name: &[u8]) -> bool {
    let scopes: [&[u8]; 6] = [b"proc.", b"sess.", b"txn.", b"req.", b"res.", b"check."];
    scopes.iter().any(|scope| name.starts_with(scope) && name.len() > scope.len())
}

/// Implements `Stream` for a struct with a `stream: MemoryStream`.
macro_rules! delegate_stream {
    ($type:ty) => {
        impl crate::host::Stream for $type {
            fn fetch(
                &mut self,
                fetch: crate::host::SampleId,
                args: &[crate::host::Value<'_>],
            ) -> crate::host::HostResult<Option<crate::host::Value<'_>>> {
                super::samples::fetch(&mut self.stream, fetch, args)
            }
            fn convert(
                &mut self,
                converter: crate::host::SampleId,
                input: crate::host::Value<'_>,
                args: &[crate::host::Value<'_>],
            ) -> crate::host::HostResult<Option<crate::host::Value<'_>>> {
                Ok(super::samples::convert(&self.stream, converter, input, args))
            }
            fn set_var(&mut self, name: &[u8], value: crate::host::Value<'_>, if_exists: bool) -> bool {
                self.stream.set_var(name, value, if_exists)
            }
            fn unset_var(&mut self, name: &[u8]) -> bool {
                self.stream.variables.remove(name);
                name.contains(&b'.')
            }
            fn var(&mut self, name: &[u8]) -> Option<crate::host::Value<'_>> {
                self.stream.variables.get(name).cloned()
            }
            fn log(&mut self, level: crate::host::Level, message: &str) {
                self.stream.log.push((level, message.to_string()));
            }
            fn extension(&mut self) -> Option<&mut Option<Box<dyn std::any::Any>>> {
                Some(&mut self.stream.extension)
            }
        }
    };
}
pub(super) use delegate_stream;

/// A TXN in memory; HTTP unless made with [`tcp`](MemoryTxn::tcp).
pub struct MemoryTxn {
    /// Request, variables, log.
    pub stream: MemoryStream,
    /// The response's status and reason.
    pub status: (u16, Vec<u8>),
    /// The response's header lines.
    pub response_headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// What `txn:done` was given.
    pub reply: Option<Option<Reply>>,
    /// What else the script asked for.
    pub wishes: MemoryWishes,
    http: bool,
    side: Side,
    /// Heads that have gone out: request, response.
    pub heads_gone: [bool; 2],
    request: MemoryChannel,
    response: MemoryChannel,
}

impl MemoryTxn {
    /// An HTTP request as its rules see it.
    pub fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Box<MemoryTxn> {
        let stream = MemoryStream {
            method: method.into(),
            uri: uri.into(),
            request_headers: headers
                .iter()
                .map(|(name, value)| (Vec::from(*name), Vec::from(*value)))
                .collect(),
            ..MemoryStream::default()
        };
        Box::new(MemoryTxn { stream, ..MemoryTxn::blank(true) })
    }

    /// A TCP stream with that input.
    pub fn tcp(input: &[u8]) -> Box<MemoryTxn> {
        let mut txn = MemoryTxn::blank(false);
        txn.request.input = input.to_vec();
        Box::new(txn)
    }

    /// The same stream while its response rules run.
    pub fn into_response(mut self: Box<Self>, status: u16, headers: &[(&str, &str)]) -> Box<MemoryTxn> {
        self.status = (status, Vec::new());
        self.response_headers =
            headers.iter().map(|(name, value)| (Vec::from(*name), Vec::from(*value))).collect();
        self.side = Side::Response;
        self
    }

    fn blank(http: bool) -> MemoryTxn {
        MemoryTxn {
            stream: MemoryStream::default(),
            status: (200, Vec::new()),
            response_headers: Vec::new(),
            reply: None,
            wishes: MemoryWishes::default(),
            heads_gone: [false; 2],
            http,
            side: Side::Request,
            request: MemoryChannel { http, ..MemoryChannel::default() },
            response: MemoryChannel { http, ..MemoryChannel::default() },
        }
    }

    /// Puts payload in front of a filter: `input` is its part of it, `ended` whether that is the last.
    pub fn show_payload(&mut self, side: Side, input: &[u8], ended: bool) {
        self.heads_gone[side as usize] = true;
        let channel = self.channel_of(side);
        channel.input = input.to_vec();
        channel.output.clear();
        channel.open = !ended;
    }

    /// What a filter left of its payload, what it forwarded by itself, and whether the message goes on.
    pub fn payload(&self, side: Side) -> (&[u8], &[u8], bool) {
        let channel = match side {
            Side::Request => &self.request,
            Side::Response => &self.response,
        };
        (&channel.input, &channel.output, channel.open)
    }

    fn channel_of(&mut self, side: Side) -> &mut MemoryChannel {
        match side {
            Side::Request => &mut self.request,
            Side::Response => &mut self.response,
        }
    }

    /// The request's input as the script left it, and what it scheduled.
    pub fn channel_bytes(&self) -> (&[u8], &[u8]) {
        (&self.request.input, &self.request.output)
    }

    /// The last value of a request header.
    pub fn request_header(&self, name: &str) -> Option<String> {
        let found = self.stream.request_headers.iter().rev();
        let mut found = found.filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        found.next().map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    fn message(&mut self, side: Side) -> &mut Headers {
        match side {
            Side::Request => &mut self.stream.request_headers,
            Side::Response => &mut self.response_headers,
        }
    }
}

/// What a script asked of the connection and the queue; None: nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryWishes {
    /// `set_fc_tos`
    pub tos: Option<u8>,
    /// `set_fc_mark`
    pub mark: Option<u32>,
    /// `set_priority_class`
    pub priority_class: Option<i32>,
    /// `set_priority_offset`
    pub priority_offset: Option<i32>,
    /// `set_loglevel`; Some(None) for silent.
    pub log_level: Option<Option<Level>>,
}

delegate_stream!(MemoryTxn);

impl Txn for MemoryTxn {
    fn http(&mut self) -> Option<&mut dyn Http> {
        if self.http { Some(self) } else { None }
    }

    fn channel(&mut self, side: Side) -> Option<&mut dyn Channel> {
        Some(self.channel_of(side))
    }

    fn done(&mut self, reply: Option<Reply>) -> HostResult<()> {
        self.reply = Some(reply);
        Ok(())
    }

    fn set_loglevel(&mut self, level: Option<Level>) -> HostResult<()> {
        self.wishes.log_level = Some(level);
        Ok(())
    }

    fn set_tos(&mut self, tos: u8) -> HostResult<()> {
        self.wishes.tos = Some(tos);
        Ok(())
    }

    fn set_mark(&mut self, mark: u32) -> HostResult<()> {
        self.wishes.mark = Some(mark);
        Ok(())
    }

    fn set_priority_class(&mut self, class: i32) -> HostResult<()> {
        self.wishes.priority_class = Some(class);
        Ok(())
    }

    fn set_priority_offset(&mut self, offset: i32) -> HostResult<()> {
        self.wishes.priority_offset = Some(offset);
        Ok(())
    }
}

impl Http for MemoryTxn {
    fn side(&self) -> Option<Side> {
        Some(self.side)
    }

    fn headers(&mut self, side: Side, visit: &mut dyn FnMut(&[u8], &[u8])) -> HostResult<()> {
        for (name, value) in self.message(side) {
            visit(name, value);
        }
        Ok(())
    }

    fn add_header(&mut self, side: Side, name: &[u8], value: &[u8]) -> HostResult<()> {
        self.message(side).push((name.to_vec(), value.to_vec()));
        Ok(())
    }

    fn del_header(&mut self, side: Side, name: &[u8]) -> HostResult<()> {
        self.message(side).retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        Ok(())
    }

    fn set_request_part(&mut self, part: RequestPart, value: &[u8]) -> HostResult<bool> {
        let uri = std::mem::take(&mut self.stream.uri);
        let mut halves = uri.splitn(2, |byte| *byte == b'?');
        let (path, query) = (halves.next().unwrap_or_default(), halves.next());
        let with_query = |path: &[u8], query: Option<&[u8]>| match query {
            Some(query) => [path, b"?", query].concat(),
            None => path.to_vec(),
        };
        self.stream.uri = match part {
            RequestPart::Method => {
                self.stream.method = value.to_vec();
                uri
            }
            RequestPart::Path => with_query(value, query),
            RequestPart::Query => with_query(path, Some(value)),
            RequestPart::Uri => value.to_vec(),
        };
        Ok(true)
    }

    fn set_status(&mut self, status: u16, reason: Option<&[u8]>) -> HostResult<bool> {
        self.status = (status, reason.unwrap_or_default().to_vec());
        Ok(true)
    }

    fn start_line(&mut self, side: Side) -> HostResult<Option<StartLine>> {
        let (first, second, third) = match side {
            Side::Request => (self.stream.method.clone(), self.stream.uri.clone(), b"HTTP/1.1".to_vec()),
            Side::Response => {
                (b"HTTP/1.1".to_vec(), self.status.0.to_string().into_bytes(), self.status.1.clone())
            }
        };
        Ok(Some(StartLine { first, second, third }))
    }

    fn head_gone(&mut self, side: Side) -> bool {
        self.heads_gone[side as usize]
    }

    fn set_body_len(&mut self, side: Side, length: Option<u64>) -> HostResult<bool> {
        self.del_header(side, b"content-length")?;
        self.del_header(side, b"transfer-encoding")?;
        match length {
            Some(length) => self.add_header(side, b"content-length", length.to_string().as_bytes())?,
            None => self.add_header(side, b"transfer-encoding", b"chunked")?,
        }
        Ok(true)
    }
}

#[derive(Default)]
struct MemoryChannel {
    http: bool,
    /// More may come.
    open: bool,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Channel for MemoryChannel {
    fn is_http(&self) -> bool {
        self.http
    }

    fn input_len(&self) -> usize {
        self.input.len()
    }

    fn output_len(&self) -> usize {
        self.output.len()
    }

    fn may_recv(&self) -> bool {
        self.open
    }

    fn is_full(&self) -> bool {
        self.input.len() >= 16 * 1024
    }

    fn input(&self) -> &[u8] {
        &self.input
    }

    fn splice(&mut self, range: Range<usize>, with: &[u8]) -> HostResult<bool> {
        if self.input.len() - range.len() + with.len() > 16 * 1024 {
            return Ok(false);
        }
        self.input.splice(range, with.iter().copied());
        Ok(true)
    }

    fn set_ended(&mut self, ended: bool) -> HostResult<()> {
        self.open = !ended;
        Ok(())
    }

    fn forward(&mut self, len: usize) -> HostResult<usize> {
        let len = len.min(self.input.len());
        self.output.extend(self.input.drain(..len));
        Ok(len)
    }
}
