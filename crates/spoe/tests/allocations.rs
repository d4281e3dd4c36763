//! The codec asks for no memory: not to decode, and not to encode into a buffer that has been used before.
//!
//! One test, because the count is the process's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

use spoe::frame::{
    AckWriter, ActionReader, AgentHello, Disconnect, Flags, Frame, FrameId, FrameType, HaproxyHello, Header,
    KvReader, MessageReader, NotifyWriter, Scope, StreamId, TypedData, header,
};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator that counts is an allocator")]
// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// How many times `work` asked for memory. The test harness has a thread of its own, so the least of a few runs counts.
fn allocations(mut work: impl FnMut()) -> usize {
    let count = |work: &mut dyn FnMut()| {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        work();
        ALLOCATIONS.load(Ordering::Relaxed) - before
    };
    (0..5).map(|_| count(&mut work)).min().expect("invariant: five runs")
}

#[test]
fn frames_are_decoded_and_encoded_without_allocation() {
    let json: serde_json::Value = serde_json::from_str(include_str!("data/spop-vectors.json")).unwrap();
    let frames: Vec<(String, Vec<u8>)> = json["vectors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| (v["name"].as_str().unwrap().to_owned(), unhex(v["hex"].as_str().unwrap())))
        .collect();
    for (name, bytes) in &frames {
        assert_eq!(allocations(|| assert_ne!(decode(black_box(bytes)), usize::MAX)), 0, "decoding {name}");
    }

    let mut out = Vec::with_capacity(4096);
    let head = Header::of(FrameType::Notify, Flags::FIN, StreamId(4711), FrameId(1));
    let encode = || {
        out.clear();
        let start = header::begin(head, &mut out);
        NotifyWriter::new(&mut out)
            .message("get-ip-rep")
            .arg("ip", TypedData::Ipv4([192, 0, 2, 1].into()))
            .arg("path", TypedData::String(&[b'p'; 2000]))
            .arg("n", (-1i64).into());
        AckWriter::new(&mut out).set_var(Scope::Session, "ip_score", 42u32.into());
        header::end(start, &mut out);
    };
    assert_eq!(allocations(encode), 0, "encoding");
    // The measure itself must be able to fail.
    assert_eq!(allocations(|| drop(black_box(vec![0u8; 100]))), 1);
}

/// Reads every value of a frame; gives how many it had.
fn decode(bytes: &[u8]) -> usize {
    let (frame, _) = Frame::split(bytes, 16_380).unwrap().unwrap();
    let payload = frame.payload;
    match frame.header.kind {
        FrameType::HaproxyHello => usize::from(HaproxyHello::decode(payload).is_ok()),
        FrameType::AgentHello => usize::from(AgentHello::decode(payload).is_ok()),
        FrameType::HaproxyDisconnect | FrameType::AgentDisconnect => {
            usize::from(Disconnect::decode(payload).is_ok()) + KvReader::new(payload).count()
        }
        FrameType::Ack => ActionReader::new(payload).filter(Result::is_ok).count(),
        _ => MessageReader::new(payload).flatten().map(|message| message.args().count()).sum(),
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}
