//! HTTP/1 bodies and heads: any split gives the same, decoding undoes encoding, nothing panics.

use proptest::prelude::*;
use proxy_core::http::{
    Message,
    h1::{
        decode::Decoder,
        encode::Encoder,
        parse::{self, Length, Limits},
    },
};

/// Whether a head is whole and how long it is, as httparse has it.
fn reference(parsed: httparse::Result<usize>) -> Result<Option<usize>, ()> {
    match parsed {
        Ok(httparse::Status::Complete(len)) => Ok(Some(len)),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err(()),
    }
}

/// The header lines as both read them.
type Headers = Vec<(Vec<u8>, Vec<u8>)>;

fn of_message(message: &Message) -> Headers {
    message.headers().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

fn of_httparse(headers: &[httparse::Header<'_>]) -> Headers {
    headers.iter().map(|line| (line.name.as_bytes().to_vec(), line.value.to_vec())).collect()
}

/// Heads with a byte or two that should not be where they are, cut anywhere.
fn damaged(head: &str, edits: &[(usize, u8)], cut: usize) -> Vec<u8> {
    let mut bytes = head.as_bytes().to_vec();
    for (at, byte) in edits {
        let at = at % (bytes.len() + 1);
        if byte % 2 == 0 && at < bytes.len() { bytes[at] = *byte } else { bytes.insert(at, *byte) }
    }
    bytes.truncate(cut % (2 * bytes.len() + 1));
    bytes
}

/// Bytes that decide something in a head, and any others.
fn telling_byte() -> impl Strategy<Value = u8> {
    prop_oneof![prop::sample::select(b"\r\n\t :\0\x7f\x1f/.1H\x80\xff".to_vec()), any::<u8>()]
}

/// Payload, trailers, what was left over, and whether the body is whole.
type Decoded = (Vec<u8>, Vec<u8>, Vec<u8>, bool);

/// Decodes input that arrives in pieces cut at `cuts`.
fn decode(length: Length, input: &[u8], cuts: &[usize]) -> Option<Decoded> {
    let mut decoder = Decoder::new(length);
    let (mut payload, mut trailers, mut pending) = (Vec::new(), Vec::new(), Vec::new());
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
    cuts.sort_unstable();
    cuts.push(input.len());
    let mut from = 0;
    for to in cuts {
        pending.extend_from_slice(&input[from..to]);
        from = to;
        loop {
            let step = decoder.step(&pending, &mut trailers).ok()?;
            payload.extend_from_slice(&pending[step.skip..step.skip + step.data]);
            pending.drain(..step.skip + step.data);
            if step.skip + step.data == 0 {
                break;
            }
        }
    }
    Some((payload, trailers, pending, decoder.is_done()))
}

const LIMITS: Limits = Limits { head_max: 15_360, headers_max: 101 };

proptest! {
    #[test]
    fn decoding_undoes_encoding_at_any_split(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
        cuts in prop::collection::vec(any::<usize>(), 0..6),
        chunked in any::<bool>(),
        next in "[A-Z]{0,9}",
    ) {
        let payload = parts.concat();
        let length = if chunked { Length::Chunked } else { Length::Known(payload.len() as u64) };
        let mut encoder = Encoder::new(length);
        let mut wire = Vec::new();
        parts.iter().for_each(|part| encoder.data(part, &mut wire));
        prop_assert!(encoder.end(b"T: x\r\n", &mut wire));
        wire.extend_from_slice(next.as_bytes());
        let (got, trailers, left, done) = decode(length, &wire, &cuts).expect("what we encode is valid");
        prop_assert!(done);
        prop_assert_eq!(got, payload);
        prop_assert_eq!(left, next.as_bytes());
        prop_assert_eq!(trailers, if chunked { b"T: x\r\n".to_vec() } else { Vec::new() });
    }

    #[test]
    fn any_split_of_any_bytes_is_decoded_alike(
        input in "[0-9a-f]{0,3};?(\\r\\n)?[a-z]{0,5}(\\r\\n)?[0-3]?(\\r\\n){0,3}",
        cuts in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        let whole = decode(Length::Chunked, input.as_bytes(), &[]);
        prop_assert_eq!(decode(Length::Chunked, input.as_bytes(), &cuts), whole);
    }

    #[test]
    fn arbitrary_heads_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut message = Message::default();
        let _ = parse::request(&bytes, &LIMITS, &mut message);
        let _ = parse::response(&bytes, &LIMITS, &mut message);
        let _ = decode(Length::Chunked, &bytes, &[]);
    }

    #[test]
    fn damaged_requests_are_read_as_httparse_reads_them(
        head in "G[A-Z]{2,6} /[a-z?=/]{0,20} HTTP/1\\.1\r?\n(x-[a-z]{0,9}:[ \t]{0,2}[ -~\t]{0,20}\r?\n){0,4}\r?\n",
        edits in prop::collection::vec((any::<usize>(), telling_byte()), 0..3),
        cut in any::<usize>(),
    ) {
        let bytes = damaged(&head, &edits, cut);
        prop_assume!(!bytes.starts_with(b"\r") && !bytes.starts_with(b"\n"));
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut theirs = httparse::Request::new(&mut headers);
        let expected = reference(theirs.parse(&bytes));
        let mut message = Message::default();
        let ours = parse::request(&bytes, &LIMITS, &mut message);
        // Which targets are taken is decided beside the grammar.
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let target = theirs.path.unwrap_or("/").as_bytes();
        if !target.starts_with(b"/") || !line.iter().all(|byte| byte.is_ascii() && *byte != b'#') {
            return Ok(());
        }
        prop_assert_eq!(ours.map(|head| head.map(|head| head.len)).map_err(|_| ()), expected);
        if matches!(expected, Ok(Some(_))) {
            prop_assert_eq!(message.method(), theirs.method.unwrap().as_bytes());
            prop_assert_eq!(message.uri(), target);
            prop_assert_eq!(of_message(&message), of_httparse(theirs.headers));
        } else {
            prop_assert!(message.is_empty() && message.header_count() == 0);
        }
    }

    #[test]
    fn damaged_responses_are_read_as_httparse_reads_them(
        head in "HTTP/1\\.[01] [1-5][0-9]{2}( [ -~]{0,12})?\r?\n(x-[a-z]{0,9}:[ \t]{0,2}[ -~\t]{0,20}\r?\n){0,4}\r?\n",
        edits in prop::collection::vec((any::<usize>(), telling_byte()), 0..3),
        cut in any::<usize>(),
    ) {
        let bytes = damaged(&head, &edits, cut);
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut theirs = httparse::Response::new(&mut headers);
        let expected = reference(theirs.parse(&bytes));
        let mut message = Message::default();
        let ours = parse::response(&bytes, &LIMITS, &mut message);
        if theirs.code.is_some_and(|code| code < 100) || bytes.starts_with(b"\r") || bytes.starts_with(b"\n") {
            return Ok(());
        }
        prop_assert_eq!(ours.map(|head| head.map(|head| head.len)).map_err(|_| ()), expected);
        if matches!(expected, Ok(Some(_))) {
            prop_assert_eq!(Some(message.status()), theirs.code);
            // A phrase outside ASCII is no reason for httparse to show it.
            if message.reason().is_ascii() {
                prop_assert_eq!(message.reason(), theirs.reason.unwrap_or_default().as_bytes());
            }
            prop_assert_eq!(of_message(&message), of_httparse(theirs.headers));
        } else {
            prop_assert!(message.is_empty() && message.header_count() == 0);
        }
    }

    #[test]
    fn a_head_is_whole_at_its_last_byte_and_not_before(
        target in "/[a-z?=/]{0,20}",
        headers in prop::collection::vec(("[A-Za-z-]{1,8}x", "[ -~&&[^\"]]{0,20}"), 0..6),
    ) {
        let mut wire = format!("GET {target} HTTP/1.1\r\n");
        headers.iter().for_each(|(name, value)| wire.push_str(&format!("{name}: {value}\r\n")));
        wire.push_str("\r\n");
        let mut message = Message::default();
        for cut in 0..wire.len() {
            prop_assert_eq!(parse::request(&wire.as_bytes()[..cut], &LIMITS, &mut message), Ok(None));
        }
        let head = parse::request(wire.as_bytes(), &LIMITS, &mut message).unwrap().unwrap();
        prop_assert_eq!(head.len, wire.len());
        prop_assert_eq!(message.header_count(), headers.len());
        for ((name, value), (got_name, got_value)) in headers.iter().zip(message.headers()) {
            prop_assert_eq!(name.as_bytes(), got_name);
            prop_assert_eq!(value.trim_matches(' ').as_bytes(), got_value);
        }
    }
}
