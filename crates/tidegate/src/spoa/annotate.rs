//! Frames with what every byte means: a line a field, each at its offset in the capture.
//!
//! What cannot be read is shown with the offset at which it goes wrong. A payload in fragments is explained once
//! its last fragment is there; its lines then count from the payload's own start.

use std::fmt::Write as _;

use spoe::frame::{
    DecodeError, DecodeErrorKind, Flags, FrameType, Scope, Status, TypedData, header::FRAME_BYTES_MIN, varint,
};

/// All frames of `bytes`, and whether every one of them could be read.
pub(super) fn annotate(bytes: &[u8]) -> (String, bool) {
    let mut notes = Notes { out: String::new(), clean: true, partial: None };
    let (mut at, mut number) = (0, 0);
    while at < bytes.len() {
        number += 1;
        at = notes.frame(bytes, at, number);
    }
    if notes.partial.is_some() {
        notes.out += "\nthe last payload in fragments is not complete\n";
    }
    if bytes.is_empty() {
        notes.out += "nothing to decode\n";
    }
    (notes.out, notes.clean)
}

struct Notes {
    out: String,
    clean: bool,
    partial: Option<Partial>,
}

/// A payload whose last fragment has not come.
struct Partial {
    ids: (u64, u64),
    payload: Vec<u8>,
    fragments: usize,
}

/// A cursor over the bytes that are explained, with lines to write.
struct Cursor<'a, 'n> {
    notes: &'n mut Notes,
    bytes: &'a [u8],
    at: usize,
}

/// What ended the reading of a frame: the byte, and what is wrong there.
struct Wrong {
    at: usize,
    what: String,
}

type Read<T> = Result<T, Wrong>;

impl Notes {
    /// Explains the frame at `start`; gives where the next one begins.
    fn frame(&mut self, bytes: &[u8], start: usize, number: usize) -> usize {
        let rest = &bytes[start..];
        let Some(prefix) = rest.first_chunk::<4>() else {
            self.cut(start, number, format!("{} of 4 bytes of its length", rest.len()), rest);
            return bytes.len();
        };
        let length = u32::from_be_bytes(*prefix) as usize;
        let end = start + 4 + length;
        if length < FRAME_BYTES_MIN {
            self.heading(start, number, &format!("{length} bytes"));
            let end = end.min(bytes.len());
            let mut cursor = Cursor { notes: self, bytes: &bytes[..end], at: start };
            cursor.line(4, &format!("length {length}"));
            let what = format!("a frame has at least {FRAME_BYTES_MIN} bytes behind its length");
            cursor.wrong(&Wrong { at: start + 4, what });
            return end;
        }
        if end > bytes.len() {
            self.cut(start, number, format!("{} of {length} bytes", rest.len() - 4), rest);
            return bytes.len();
        }
        let kind = kind_name(FrameType::from_byte(bytes[start + 4]));
        self.heading(start, number, &format!("{kind}, {length} bytes"));
        let mut cursor = Cursor { notes: self, bytes: &bytes[..end], at: start };
        cursor.line(4, &format!("length {length}"));
        if let Err(wrong) = cursor.body() {
            cursor.wrong(&wrong);
        }
        end
    }

    fn heading(&mut self, start: usize, number: usize, what: &str) {
        let gap = if number == 1 { "" } else { "\n" };
        let _ = writeln!(self.out, "{gap}frame {number} at byte {start}: {what}");
    }

    fn cut(&mut self, start: usize, number: usize, what: String, rest: &[u8]) {
        self.heading(start, number, "cut");
        let _ = writeln!(self.out, "  {start:>6}  {:<HEX_WIDTH$}  error: only {what} are there", hex(rest));
        self.clean = false;
    }
}

impl<'a> Cursor<'a, '_> {
    fn body(&mut self) -> Read<()> {
        let kind = FrameType::from_byte(self.bytes[self.at]);
        self.line(1, &format!("type {} {}", kind.to_byte(), kind_name(kind)));
        let raw: [u8; 4] = self.bytes[self.at..self.at + 4].try_into().expect("invariant: a whole header");
        let flags = Flags(u32::from_be_bytes(raw));
        self.line(4, &format!("flags {}", flag_names(flags)));
        let stream = self.number("stream-id")?;
        let frame = self.number("frame-id")?;
        match kind {
            FrameType::HaproxyHello
            | FrameType::AgentHello
            | FrameType::HaproxyDisconnect
            | FrameType::AgentDisconnect => self.items(),
            FrameType::Notify | FrameType::Unset => self.messages_or_part(kind, flags, (stream, frame)),
            FrameType::Ack => {
                let refused = flags.abort() && self.at == self.bytes.len();
                if refused {
                    self.note("the agent gives the rest of the payload up");
                }
                self.actions()
            }
            FrameType::Unknown(_) => {
                self.raw("payload of a kind that nobody knows");
                Ok(())
            }
        }
    }

    /// The payload of NOTIFY, or a part of it.
    fn messages_or_part(&mut self, kind: FrameType, flags: Flags, ids: (u64, u64)) -> Read<()> {
        let whole = kind == FrameType::Notify && flags.fin();
        if whole && !flags.abort() {
            return self.messages();
        }
        if flags.abort() {
            self.notes.partial = None;
            self.note("the proxy gives the payload up");
            self.raw("payload");
            return Ok(());
        }
        let part = self.bytes[self.at..].to_vec();
        match (kind, &mut self.notes.partial) {
            (FrameType::Notify, partial) => *partial = Some(Partial { ids, payload: part, fragments: 1 }),
            (_, Some(partial)) if partial.ids == ids => {
                partial.payload.extend(part);
                partial.fragments += 1;
            }
            (_, Some(partial)) => {
                let (stream, frame) = partial.ids;
                let what = format!("continues another payload than that of stream {stream}, frame {frame}");
                return Err(Wrong { at: self.at, what });
            }
            (_, None) => {
                return Err(Wrong { at: self.at, what: "continues nothing that was begun".to_owned() });
            }
        }
        self.raw("part of a payload");
        if flags.fin()
            && let Some(Partial { payload, fragments, .. }) = self.notes.partial.take()
        {
            let length = payload.len();
            let _ =
                writeln!(self.notes.out, "  the payload of {fragments} fragments together, {length} bytes:");
            let mut together = Cursor { notes: self.notes, bytes: &payload, at: 0 };
            if let Err(wrong) = together.messages() {
                together.wrong(&wrong);
            }
        }
        Ok(())
    }

    fn items(&mut self) -> Read<()> {
        while self.at < self.bytes.len() {
            let (name, name_bytes) = self.name()?;
            let (value, value_bytes) = self.value(name_bytes)?;
            let mut text = format!("{} = {}", shown_name(name), shown_value(&value));
            if name == b"status-code"
                && let Some(code) = value.as_i64().and_then(|code| u32::try_from(code).ok())
            {
                let _ = write!(text, " ({})", Status(code).text());
            }
            self.line(name_bytes + value_bytes, &text);
        }
        Ok(())
    }

    fn messages(&mut self) -> Read<()> {
        if self.at == self.bytes.len() {
            self.note("no messages");
        }
        while self.at < self.bytes.len() {
            let (name, bytes) = self.name()?;
            self.line(bytes, &format!("message {}", shown_name(name)));
            let Some(count) = self.bytes.get(self.at) else {
                return Err(Wrong { at: self.at, what: "no number of arguments".to_owned() });
            };
            self.line(1, &format!("{count} argument{}", if *count == 1 { "" } else { "s" }));
            for _ in 0..*count {
                let (name, name_bytes) = self.name()?;
                let (value, value_bytes) = self.value(name_bytes)?;
                let name = if name.is_empty() { "(unnamed)".to_owned() } else { shown_name(name) };
                self.line(name_bytes + value_bytes, &format!("  {name} = {}", shown_value(&value)));
            }
        }
        Ok(())
    }

    fn actions(&mut self) -> Read<()> {
        if self.at == self.bytes.len() {
            self.note("no actions");
        }
        while self.at < self.bytes.len() {
            let start = self.at;
            let byte = |at: usize, what: &str| {
                let byte = self.bytes.get(at).copied();
                byte.ok_or_else(|| Wrong { at, what: format!("the action ends before its {what}") })
            };
            let (verb, wanted) = match byte(start, "type")? {
                SET_VAR => ("set", 3),
                UNSET_VAR => ("unset", 2),
                other => {
                    let what = format!("no action has the type {other}: HAProxy stops reading here");
                    return Err(Wrong { at: start, what });
                }
            };
            let count = byte(start + 1, "number of arguments")?;
            if count != wanted {
                let what = format!("{verb} has {wanted} arguments, not {count}: HAProxy stops reading here");
                return Err(Wrong { at: start + 1, what });
            }
            let scope = byte(start + 2, "scope")?;
            let scope = Scope::from_byte(scope).ok_or_else(|| Wrong {
                at: start + 2,
                what: format!("no scope has the number {scope}: HAProxy stops reading here"),
            })?;
            self.at += 3;
            let name = self.name();
            self.at = start;
            let (name, name_bytes) = name?;
            let variable = format!("{scope}.{}", name.escape_ascii());
            if wanted == 2 {
                self.line(3 + name_bytes, &format!("unset {variable}"));
                continue;
            }
            let (value, value_bytes) = self.value(3 + name_bytes)?;
            self.line(3 + name_bytes + value_bytes, &format!("set {variable} = {}", shown_value(&value)));
        }
        Ok(())
    }

    /// A varint with its line.
    fn number(&mut self, what: &str) -> Read<u64> {
        let (value, used) = self.varint(0)?;
        self.line(used, &format!("{what} {value}"));
        Ok(value)
    }

    fn varint(&self, ahead: usize) -> Read<(u64, usize)> {
        let at = self.at + ahead;
        varint::decode(&self.bytes[at..]).map_err(|error| wrong(at, error))
    }

    /// A name at the cursor with the bytes it takes; no line is written.
    fn name(&self) -> Read<(&'a [u8], usize)> {
        let (length, used) = self.varint(0)?;
        let start = self.at + used;
        let left = self.bytes.len() - start;
        match usize::try_from(length).ok().filter(|length| *length <= left) {
            Some(length) => Ok((&self.bytes[start..start + length], used + length)),
            None => {
                Err(Wrong { at: self.at, what: format!("a name of {length} bytes where {left} are left") })
            }
        }
    }

    /// A value so many bytes ahead, with the bytes it takes; no line is written.
    fn value(&self, ahead: usize) -> Read<(TypedData<'a>, usize)> {
        let at = self.at + ahead;
        TypedData::decode(&self.bytes[at..]).map_err(|error| wrong(at, error))
    }

    /// Takes so many bytes and explains them.
    fn line(&mut self, bytes: usize, text: &str) {
        let end = (self.at + bytes).min(self.bytes.len());
        let shown = hex(&self.bytes[self.at..end]);
        let _ = writeln!(self.notes.out, "  {:>6}  {shown:<HEX_WIDTH$}  {text}", self.at);
        self.at = end;
    }

    /// Takes all that is left.
    fn raw(&mut self, text: &str) {
        let left = self.bytes.len() - self.at;
        if left > 0 {
            self.line(left, &format!("{text}, {left} bytes"));
        }
    }

    fn note(&mut self, text: &str) {
        let _ = writeln!(self.notes.out, "  {:>6}  {:<HEX_WIDTH$}  {text}", "", "");
    }

    fn wrong(&mut self, wrong: &Wrong) {
        let shown = hex(&self.bytes[wrong.at.min(self.bytes.len())..]);
        let at = wrong.at;
        let _ =
            writeln!(self.notes.out, "  {at:>6}  {shown:<HEX_WIDTH$}  error at byte {at}: {}", wrong.what);
        self.notes.clean = false;
    }
}

fn wrong(at: usize, error: DecodeError) -> Wrong {
    let what = match error.kind {
        DecodeErrorKind::Truncated => "the value is longer than what is left".to_owned(),
        kind => kind.to_string(),
    };
    Wrong { at: at + error.offset as usize, what }
}

fn kind_name(kind: FrameType) -> &'static str {
    match kind {
        FrameType::Unset => "UNSET (continuation)",
        FrameType::HaproxyHello => "HAPROXY-HELLO",
        FrameType::HaproxyDisconnect => "HAPROXY-DISCONNECT",
        FrameType::Notify => "NOTIFY",
        FrameType::AgentHello => "AGENT-HELLO",
        FrameType::AgentDisconnect => "AGENT-DISCONNECT",
        FrameType::Ack => "ACK",
        FrameType::Unknown(_) => "unknown kind",
    }
}

fn flag_names(flags: Flags) -> String {
    let mut names = Vec::new();
    if flags.fin() {
        names.push("FIN".to_owned());
    }
    if flags.abort() {
        names.push("ABORT".to_owned());
    }
    let reserved = flags.0 & !(Flags::FIN.0 | Flags::ABORT.0);
    if reserved != 0 {
        names.push(format!("reserved {reserved:#x}"));
    }
    if names.is_empty() { "none: more fragments follow".to_owned() } else { names.join(", ") }
}

fn shown_name(name: &[u8]) -> String {
    format!("\"{}\"", name.escape_ascii())
}

fn shown_value(value: &TypedData<'_>) -> String {
    match value {
        TypedData::Null => "null".to_owned(),
        TypedData::Bool(flag) => format!("bool {flag}"),
        TypedData::Int32(number) => format!("int32 {number}"),
        TypedData::Uint32(number) => format!("uint32 {number}"),
        TypedData::Int64(number) => format!("int64 {number}"),
        TypedData::Uint64(number) => format!("uint64 {number}"),
        TypedData::Ipv4(ip) => format!("ipv4 {ip}"),
        TypedData::Ipv6(ip) => format!("ipv6 {ip}"),
        TypedData::String(bytes) => long("string", bytes, format!("\"{}\"", start(bytes).escape_ascii())),
        TypedData::Binary(bytes) => long("binary", bytes, hex(start(bytes))),
    }
}

fn start(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(VALUE_BYTES)]
}

fn long(kind: &str, bytes: &[u8], shown: String) -> String {
    match bytes.len() {
        n if n > VALUE_BYTES => format!("{kind} {shown}… ({n} bytes)"),
        _ => format!("{kind} {shown}"),
    }
}

/// The first bytes, as many as fit the column.
fn hex(bytes: &[u8]) -> String {
    let shown: Vec<String> = bytes.iter().take(HEX_BYTES).map(|byte| format!("{byte:02x}")).collect();
    let more = if bytes.len() > HEX_BYTES { " …" } else { "" };
    shown.join(" ") + more
}

const SET_VAR: u8 = 1;
const UNSET_VAR: u8 = 2;
/// Bytes that a line shows.
const HEX_BYTES: usize = 10;
/// The column they need.
const HEX_WIDTH: usize = HEX_BYTES * 3 + 1;
/// Bytes of a string or binary that a line shows.
const VALUE_BYTES: usize = 64;
