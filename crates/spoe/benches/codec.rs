//! Nanoseconds per frame, decoded borrowed and encoded in place, on the shapes that SPOE traffic has.

use std::hint::black_box;
use std::time::Instant;

use spoe::frame::{
    AckWriter, ActionReader, Flags, Frame, FrameId, FrameType, Header, MessageReader, NotifyWriter, Scope,
    StreamId, TypedData, header,
};

fn main() {
    let typical = notify(&[b'p'; 48], b"curl/8.0 (a browser of some kind, 40 by.)");
    let waf = notify(&[b'b'; 2500], b"curl/8.0 (a browser of some kind, 40 by.)");
    println!("typical NOTIFY: {} bytes; WAF-like: {} bytes", typical.len(), waf.len());
    measure("decode NOTIFY, 3 arguments", || decode_notify(black_box(&typical)));
    measure("decode NOTIFY, with a body of 2.5 KiB", || decode_notify(black_box(&waf)));
    let mut out = Vec::new();
    measure("encode NOTIFY, 3 arguments", || {
        out.clear();
        encode_notify(
            &mut out,
            black_box(&[b'p'; 48]),
            black_box(b"curl/8.0 (a browser of some kind, 40 by.)"),
        );
        out.len()
    });
    let mut out = Vec::new();
    measure("encode ACK, one SET-VAR", || {
        out.clear();
        encode_ack(&mut out, black_box(42));
        out.len()
    });
    measure("decode ACK, one SET-VAR", || {
        let (frame, _) = Frame::split(black_box(&out), 16_380).unwrap().unwrap();
        ActionReader::new(frame.payload).filter(Result::is_ok).count()
    });
}

fn notify(path: &[u8], agent: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_notify(&mut out, path, agent);
    out
}

fn encode_notify(out: &mut Vec<u8>, path: &[u8], agent: &[u8]) {
    let head = Header::of(FrameType::Notify, Flags::FIN, StreamId(4711), FrameId(1));
    let start = header::begin(head, out);
    NotifyWriter::new(out)
        .message("get-ip-rep")
        .arg("ip", TypedData::Ipv4([192, 0, 2, 1].into()))
        .arg("path", TypedData::String(path))
        .arg("ua", TypedData::String(agent));
    header::end(start, out);
}

fn encode_ack(out: &mut Vec<u8>, score: i64) {
    let head = Header::of(FrameType::Ack, Flags::FIN, StreamId(4711), FrameId(1));
    let start = header::begin(head, out);
    AckWriter::new(out).set_var(Scope::Session, "ip_score", score.into());
    header::end(start, out);
}

fn decode_notify(bytes: &[u8]) -> usize {
    let (frame, _) = Frame::split(bytes, 16_380).unwrap().unwrap();
    let mut sum = frame.header.frame.0 as usize;
    for message in MessageReader::new(frame.payload) {
        for argument in message.unwrap().args() {
            sum += argument.name.len() + argument.value.as_bytes().map_or(1, <[u8]>::len);
        }
    }
    sum
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn measure(what: &str, mut work: impl FnMut() -> usize) {
    // Fewer rounds for counting instructions under valgrind.
    let rounds: u32 = std::env::var("SPOE_ROUNDS").map_or(2_000_000, |n| n.parse().expect("a number"));
    // A word on the command line picks the scenarios that contain it.
    if std::env::args().nth(1).is_some_and(|word| !word.starts_with('-') && !what.contains(&word)) {
        return;
    }
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..rounds {
            black_box(work());
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds));
    }
    println!("{best:8.1} ns  {what}");
}
