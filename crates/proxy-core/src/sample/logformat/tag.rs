//! The `%tag` parts of log-format strings: the table of configuration.txt 8.2.6.

use std::{io::Write, net::IpAddr, sync::atomic::Ordering::Relaxed};

use super::{Flags, Style, Writer};
use crate::{
    cfgparse::ParseError,
    host::Addr,
    log::{self, Timers, time},
    sample::fetch::{
        counter,
        session::{ip, port},
    },
    txn::Txn,
};

/// A tag, by its row in [`TAGS`].
#[derive(Clone, Copy)]
pub(super) struct Tag(WriteFn);

type WriteFn = fn(&mut Txn, Flags, &mut Writer<'_>);

impl Tag {
    pub(super) fn from_name(name: &str) -> Result<Self, ParseError> {
        TAGS.iter().find(|(known, _)| *known == name).map(|(_, write)| Self(*write)).ok_or_else(|| {
            ParseError::new(format!(
                "no such format variable '{name}'. If you wanted to emit the '%' character verbatim, \
                 you need to use '%%'"
            ))
        })
    }

    pub(super) fn write(self, txn: &mut Txn, flags: Flags, out: &mut Writer<'_>) {
        (self.0)(txn, flags, out);
    }
}

const TAGS: &[(&str, WriteFn)] = &[
    ("B", |t, _, w| number(w, t.log.bytes_out)),
    ("CC", |_, f, w| w.text(None, f)),
    ("CS", |_, f, w| w.text(None, f)),
    ("H", |_, f, w| w.text(log::hostname(), f)),
    ("HM", |t, f, w| line_part(t, f, w, |line| line.method)),
    ("HP", |t, f, w| line_part(t, f, w, |line| line.path_from(0))),
    ("HPO", |t, f, w| line_part(t, f, w, |line| line.path_from(line.origin_end()))),
    ("HQ", |t, f, w| match RequestLine::of(t) {
        // No question mark leaves the field empty rather than absent.
        Some(line) if line.query().is_empty() && !f.quote => {}
        _ => line_part(t, f, w, |line| line.query()),
    }),
    ("HU", |t, f, w| line_part(t, f, w, |line| line.uri)),
    ("HV", |t, f, w| line_part(t, f, w, |line| line.version)),
    ("ID", |_, f, w| w.text(None, f)),
    ("OG", |_, f, w| w.text(Some(b"txn_close"), f)),
    ("ST", |t, _, w| number(w, t.log.status)),
    ("T", |t, _, w| time::clf_date(t.log.wall, time::Zone::Utc, w.out)),
    ("Ta", |t, _, w| timer(t, w, |timers| timers.active)),
    ("Tc", |t, _, w| timer(t, w, |timers| timers.connect)),
    ("Td", |t, _, w| timer(t, w, |timers| timers.data)),
    ("Th", |t, _, w| timer(t, w, |timers| timers.handshake)),
    ("Ti", |t, _, w| timer(t, w, |timers| timers.idle)),
    ("Tl", |t, _, w| time::clf_date(t.log.wall, time::Zone::Local, w.out)),
    ("Tq", |t, _, w| timer(t, w, |timers| timers.tq)),
    ("TR", |t, _, w| timer(t, w, |timers| timers.header)),
    ("Tr", |t, _, w| timer(t, w, |timers| timers.response)),
    ("Ts", |t, f, w| hex_or_int(w, f, t.log.wall.as_secs())),
    ("Tt", |t, _, w| timer(t, w, |timers| timers.total)),
    ("Tu", |t, _, w| timer(t, w, |timers| timers.user)),
    ("Tw", |t, _, w| timer(t, w, |timers| timers.queue)),
    ("U", |t, _, w| number(w, t.log.bytes_in)),
    ("ac", |t, _, w| number(w, counter::active(t))),
    ("b", |t, f, w| w.text(Some(t.backend.name.as_bytes()), f)),
    ("bc", |t, _, w| number(w, t.backend.state.be_sessions.cur())),
    ("bi", |t, f, w| address(ip(t.log.backend_source.as_ref()), f, w)),
    ("bp", |t, f, w| port_number(port(t.log.backend_source.as_ref()), f, w)),
    ("bq", |t, _, w| number(w, t.log.queued_before.1)),
    ("ci", |t, f, w| client(t.session.src.as_ref(), f, w)),
    ("cp", |t, f, w| client_port(t, t.session.src.as_ref(), f, w)),
    ("f", |t, f, w| w.text(Some(t.frontend.name.as_bytes()), f)),
    ("fc", |t, _, w| number(w, t.frontend.state.fe_connections.cur())),
    ("fi", |t, f, w| client(t.session.dst.as_ref(), f, w)),
    ("fp", |t, f, w| client_port(t, t.session.dst.as_ref(), f, w)),
    ("ft", |t, f, w| w.text(Some(t.frontend.name.as_bytes()), f)),
    // Captures are not configurable, so these four have nothing to list.
    ("hr", |_, _, _| {}),
    ("hrl", |_, _, _| {}),
    ("hs", |_, _, _| {}),
    ("hsl", |_, _, _| {}),
    ("lc", |t, _, w| number(w, t.frontend.state.log_lines.load(Relaxed))),
    ("ms", |t, _, w| {
        let _ = write!(w.out, "{:03}", t.log.wall.subsec_millis());
    }),
    ("pid", |_, f, w| hex_or_int(w, f, std::process::id().into())),
    ("r", |t, f, w| match t.log.request_line.is_empty() {
        true => bad_request(t, f, w),
        false => w.text(Some(&t.log.request_line), f),
    }),
    ("rc", |t, _, w| {
        if t.log.redispatched {
            w.out.push(b'+');
        }
        number(w, t.log.retries);
    }),
    ("rt", |t, f, w| hex_or_int(w, f, t.id & u64::from(u32::MAX))),
    ("s", |t, f, w| match (&t.server, &t.service) {
        (Some(server), _) => w.text(Some(server.name().as_bytes()), f),
        (None, Some(service)) => w.text(Some(format!("<{}>", service.name()).as_bytes()), f),
        (None, None) => w.text(Some(b"<NOSRV>"), f),
    }),
    ("sc", |t, _, w| number(w, t.server.as_ref().map_or(0, |s| s.sessions.cur()))),
    ("si", |t, f, w| address(t.server.as_ref().and_then(|s| ip(Some(&*s.addr()))), f, w)),
    ("sp", |t, f, w| port_number(t.server.as_ref().and_then(|s| port(Some(&*s.addr()))), f, w)),
    ("sq", |t, _, w| number(w, t.log.queued_before.0)),
    ("t", |t, _, w| time::request_date(t.log.wall, w.out)),
    ("tr", |t, _, w| time::request_date(t.log.request_wall(), w.out)),
    ("trg", |t, _, w| time::clf_date(t.log.request_wall(), time::Zone::Utc, w.out)),
    ("trl", |t, _, w| time::clf_date(t.log.request_wall(), time::Zone::Local, w.out)),
    ("ts", |t, _, w| w.out.extend_from_slice(&t.log.termination_or_dashes()[..2])),
    ("tsc", |t, _, w| w.out.extend_from_slice(&t.log.termination_or_dashes())),
];

fn number(out: &mut Writer<'_>, value: impl TryInto<i64>) {
    out.int(value.try_into().unwrap_or(i64::MAX));
}

fn timer(txn: &Txn, out: &mut Writer<'_>, which: fn(&Timers) -> i64) {
    out.int(which(&txn.log.timers()));
}

/// At least four hexadecimal digits where that flag is set.
fn hex_or_int(out: &mut Writer<'_>, flags: Flags, value: u64) {
    if flags.hex {
        let _ = write!(out.out, "{value:04X}");
    } else {
        number(out, value);
    }
}

fn client(addr: Option<&Addr>, flags: Flags, out: &mut Writer<'_>) {
    match addr {
        Some(Addr::Unix(_) | Addr::Abstract(_)) => out.text(Some(b"unix"), flags),
        addr => address(ip(addr), flags, out),
    }
}

/// The port, or the number of a unix socket's listener.
fn client_port(txn: &Txn, addr: Option<&Addr>, flags: Flags, out: &mut Writer<'_>) {
    match addr {
        Some(Addr::Unix(_) | Addr::Abstract(_)) => hex_or_int(out, flags, txn.session.bind.id.into()),
        addr => port_number(port(addr), flags, out),
    }
}

fn address(addr: Option<IpAddr>, flags: Flags, out: &mut Writer<'_>) {
    let mut text = Vec::new();
    match addr {
        None => {}
        Some(IpAddr::V4(v4)) if flags.hex => {
            let _ = write!(text, "{:08X}", u32::from(v4));
        }
        Some(IpAddr::V6(v6)) if flags.hex => {
            let _ = write!(text, "{:032X}", u128::from(v6));
        }
        Some(addr) => {
            let _ = write!(text, "{addr}");
        }
    }
    out.text(Some(&text), flags);
}

fn port_number(port: Option<u16>, flags: Flags, out: &mut Writer<'_>) {
    match port {
        Some(port) => hex_or_int(out, flags, port.into()),
        None => out.text(None, flags),
    }
}

/// The parts of the request line as it came.
#[derive(Clone, Copy)]
struct RequestLine<'a> {
    method: &'a [u8],
    uri: &'a [u8],
    version: &'a [u8],
}

impl<'a> RequestLine<'a> {
    fn of(txn: &'a Txn) -> Option<Self> {
        let line = txn.log.request_line.as_slice();
        if line.is_empty() {
            let req = &txn.req;
            return req.is_request().then(|| Self {
                method: req.method(),
                uri: req.uri(),
                version: req.version().as_str().as_bytes(),
            });
        }
        let mut parts = line.splitn(3, |b| *b == b' ');
        Some(Self { method: parts.next()?, uri: parts.next()?, version: parts.next().unwrap_or_default() })
    }

    fn query_start(self) -> usize {
        memchr::memchr(b'?', self.uri).unwrap_or(self.uri.len())
    }

    fn query(self) -> &'a [u8] {
        &self.uri[self.query_start()..]
    }

    fn path_from(self, from: usize) -> &'a [u8] {
        let end = self.query_start();
        &self.uri[from.min(end)..end]
    }

    /// Where scheme and authority of an absolute target end.
    fn origin_end(self) -> usize {
        let Some(scheme) = memchr::memmem::find(self.uri, b"://") else { return 0 };
        let host = scheme + 3;
        memchr::memchr(b'/', &self.uri[host..]).map_or(self.uri.len(), |slash| host + slash)
    }
}

fn line_part(txn: &Txn, flags: Flags, out: &mut Writer<'_>, part: for<'a> fn(RequestLine<'a>) -> &'a [u8]) {
    match RequestLine::of(txn) {
        Some(line) => out.text(Some(part(line)), flags),
        None => bad_request(txn, flags, out),
    }
}

/// What stands for a request line that never came whole.
fn bad_request(txn: &Txn, flags: Flags, out: &mut Writer<'_>) {
    match RequestLine::of(txn) {
        Some(line) => {
            let whole = [line.method, line.uri, line.version].join(&b' ');
            out.text(Some(&whole), flags);
        }
        None if out.style == Style::Log => out.text(Some(b"<BADREQ>"), flags),
        None => out.text(None, flags),
    }
}
