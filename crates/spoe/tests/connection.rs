//! Both ends without I/O: each driven against the other and against malformed input, at every split.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use spoe::connection::{
    AgentEnd, AgentEndConfig, AgentEvent, HaproxyEnd, HaproxyEndConfig, HaproxyEvent, health_check,
};
use spoe::frame::{
    AgentHello, Capabilities, Disconnect, Flags, Frame, FrameType, HaproxyHello, Header, MessageReader,
    Version, header,
};
use spoe::{EngineId, Error, FrameId, NotifyWriter, Status, StreamId, TypedData};

#[expect(clippy::disallowed_methods, reason = "a test is its own host; any instant will do")]
fn start() -> Instant {
    Instant::now()
}

fn haproxy_config() -> HaproxyEndConfig {
    HaproxyEndConfig {
        frame_size_bytes_max: 16_380,
        capabilities: Capabilities::PIPELINING | Capabilities::ASYNC,
        send_fragments: true,
        engine_id: EngineId::from_random(1),
        hello_timeout: Some(Duration::from_millis(100)),
        idle_timeout: Some(Duration::from_secs(10)),
        linger: Duration::from_secs(1),
        waiting_frames_max: 20,
    }
}

/// The two ends, wired: what one transmits the other gets, in pieces of at most `chunk` bytes.
struct Pair {
    now: Instant,
    haproxy: HaproxyEnd,
    agent: AgentEnd,
    to_agent: Vec<u8>,
    to_haproxy: Vec<u8>,
    chunk: usize,
    log: Vec<String>,
}

impl Pair {
    fn new(haproxy: HaproxyEndConfig, agent: AgentEndConfig, chunk: usize) -> Self {
        let now = start();
        Self {
            now,
            haproxy: HaproxyEnd::new(haproxy, now),
            agent: AgentEnd::new(agent, now),
            to_agent: Vec::new(),
            to_haproxy: Vec::new(),
            chunk,
            log: Vec::new(),
        }
    }

    /// Moves bytes until neither end has more to say; the agent answers each NOTIFY with the bytes of its messages' names.
    fn drive(&mut self) {
        let (mut at_agent, mut at_haproxy) = (Vec::new(), Vec::new());
        loop {
            self.haproxy.poll_transmit(&mut self.to_agent);
            self.agent.poll_transmit(&mut self.to_haproxy);
            if self.to_agent.is_empty() && self.to_haproxy.is_empty() {
                break;
            }
            let n = self.chunk.min(self.to_agent.len());
            at_agent.extend(self.to_agent.drain(..n));
            let used = self.agent.handle_input(self.now, &at_agent).unwrap_or(at_agent.len());
            at_agent.drain(..used);
            self.agent_events();
            let n = self.chunk.min(self.to_haproxy.len());
            at_haproxy.extend(self.to_haproxy.drain(..n));
            let used = self.haproxy.handle_input(self.now, &at_haproxy).unwrap_or(at_haproxy.len());
            at_haproxy.drain(..used);
            self.haproxy_events();
        }
    }

    fn agent_events(&mut self) {
        while let Some(event) = self.agent.poll_event() {
            match event {
                AgentEvent::Notify { stream, frame, payload } => {
                    let names: Vec<u8> =
                        MessageReader::new(&payload).flat_map(|m| m.unwrap().name.to_vec()).collect();
                    self.log.push(format!("notify {} {} of {} bytes", stream.0, frame.0, payload.len()));
                    assert!(self.agent.ack(self.now, stream, frame, &names));
                    assert!(!self.agent.ack(self.now, stream, frame, &names), "acknowledged twice");
                }
                AgentEvent::Hello { capabilities, frame_size_bytes_max, .. } => {
                    self.log.push(format!("agent greeted {frame_size_bytes_max} {}", capabilities.as_str()));
                }
                AgentEvent::Closed { status } => self.log.push(format!("agent closed: {status}")),
            }
        }
    }

    fn haproxy_events(&mut self) {
        while let Some(event) = self.haproxy.poll_event() {
            self.log.push(match event {
                HaproxyEvent::Ready { frame_size_bytes_max, capabilities } => {
                    format!("haproxy greeted {frame_size_bytes_max} {}", capabilities.as_str())
                }
                HaproxyEvent::Ack { stream, frame, payload, .. } => {
                    format!("ack {} {} {}", stream.0, frame.0, String::from_utf8_lossy(payload))
                }
                HaproxyEvent::FragmentAborted { stream, .. } => format!("aborted {}", stream.0),
                HaproxyEvent::Closed { status } => format!("haproxy closed: {status}"),
            });
        }
    }

    fn notify(&mut self, stream: u64, name: &str, body: &[u8]) {
        let (stream, frame) = (StreamId(stream), FrameId(1));
        let mut payload = Vec::new();
        let mut writer = NotifyWriter::new(&mut payload);
        writer.message(name).arg("body", TypedData::Binary(body)).arg("n", 5i64.into());
        self.haproxy.notify(self.now, stream, frame, &payload).unwrap();
    }
}

#[test]
fn a_whole_life_is_the_same_in_pieces_of_any_size() {
    let run = |chunk| {
        let agent = AgentEndConfig { frame_size_bytes_max: 300, ..AgentEndConfig::default() };
        let mut pair = Pair::new(haproxy_config(), agent, chunk);
        pair.drive();
        for n in 0..5 {
            pair.notify(n, &format!("m{n}"), &vec![b'x'; n as usize * 150]);
        }
        pair.drive();
        pair.haproxy.close(pair.now, Status::NORMAL);
        pair.drive();
        assert!(pair.haproxy.is_closed() && pair.agent.is_closed());
        pair.log.sort();
        pair.log
    };
    let whole = run(usize::MAX);
    assert_eq!(
        whole,
        [
            "ack 0 1 m0",
            "ack 1 1 m1",
            "ack 2 1 m2",
            "ack 3 1 m3",
            "ack 4 1 m4",
            "agent closed: normal (0)",
            "agent greeted 300 pipelining,fragmentation",
            "haproxy closed: normal (0)",
            "haproxy greeted 300 pipelining,fragmentation",
            "notify 0 1 of 15 bytes",
            "notify 1 1 of 165 bytes",
            "notify 2 1 of 316 bytes",
            "notify 3 1 of 466 bytes",
            "notify 4 1 of 616 bytes",
        ]
    );
    for chunk in 1..400 {
        assert_eq!(run(chunk), whole, "in pieces of {chunk}");
    }
}

fn hello(edit: impl FnOnce(&mut HaproxyHello<'_>)) -> Vec<u8> {
    let mut hello = HaproxyHello {
        supported_versions: b"2.0",
        max_frame_size: 1000,
        capabilities: Capabilities::PIPELINING,
        healthcheck: false,
        engine_id: Some(b"id"),
    };
    edit(&mut hello);
    let mut out = Vec::new();
    hello.encode(&mut out);
    out
}

fn frame(kind: FrameType, flags: Flags, stream: u64, id: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Frame { header: Header::of(kind, flags, StreamId(stream), FrameId(id)), payload }.encode(&mut out);
    out
}

/// A KV list in a control frame; values are given encoded.
fn control(kind: FrameType, pairs: &[(&str, &[u8])]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (name, value) in pairs {
        payload.push(name.len() as u8);
        payload.extend_from_slice(name.as_bytes());
        payload.extend_from_slice(value);
    }
    frame(kind, Flags::FIN, 0, 0, &payload)
}

/// What the agent's end says to `input`, frame by frame, and how it took it.
fn agent_says(config: AgentEndConfig, input: &[u8]) -> (Vec<(FrameType, Vec<u8>)>, Option<Status>) {
    let now = start();
    let mut agent = AgentEnd::new(config, now);
    let fault = match agent.handle_input(now, input) {
        Err(Error::Haproxy(violation)) => Some(violation.status),
        Err(other) => panic!("{other}"),
        Ok(_) => None,
    };
    let mut out = Vec::new();
    agent.poll_transmit(&mut out);
    assert!(fault.is_none() || agent.is_closed());
    (split(&out), fault)
}

fn split(mut bytes: &[u8]) -> Vec<(FrameType, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((frame, used)) = Frame::split(bytes, u32::MAX).unwrap() {
        frames.push((frame.header.kind, frame.payload.to_vec()));
        bytes = &bytes[used..];
    }
    assert!(bytes.is_empty());
    frames
}

#[test]
fn malformed_greetings_of_a_proxy_are_refused_with_their_status() {
    let version: (&str, &[u8]) = ("supported-versions", b"\x08\x032.0");
    let size: (&str, &[u8]) = ("max-frame-size", b"\x03\xfc\xf0\x06");
    let capabilities: (&str, &[u8]) = ("capabilities", b"\x08\x00");
    let hello_of = |pairs: &[(&str, &[u8])]| control(FrameType::HaproxyHello, pairs);
    for (what, input, status) in [
        ("no version", hello_of(&[size, capabilities]), 5),
        ("no size", hello_of(&[version, capabilities]), 6),
        ("no capabilities", hello_of(&[version, size]), 7),
        ("version 1.0", hello_of(&[("supported-versions", b"\x08\x031.0"), size, capabilities]), 8),
        ("version is a number", hello_of(&[("supported-versions", b"\x03\x02"), size, capabilities]), 4),
        ("size 255", hello_of(&[version, ("max-frame-size", b"\x03\xff\x00"), capabilities]), 9),
        ("size is text", hello_of(&[version, ("max-frame-size", b"\x08\x011"), capabilities]), 4),
        ("truncated value", hello_of(&[version, size, ("capabilities", b"\x08\x09abc")]), 4),
        ("truncated key", frame(FrameType::HaproxyHello, Flags::FIN, 0, 0, b"\x09abc"), 4),
        ("key without value", frame(FrameType::HaproxyHello, Flags::FIN, 0, 0, b"\x01a"), 4),
        ("stream-id", frame(FrameType::HaproxyHello, Flags::FIN, 1, 0, b""), 4),
        ("frame-id", frame(FrameType::HaproxyHello, Flags::FIN, 0, 1, b""), 4),
        ("not whole", frame(FrameType::HaproxyHello, Flags::NONE, 0, 0, b""), 10),
        ("notify first", frame(FrameType::Notify, Flags::FIN, 0, 1, b""), 4),
        ("unknown first", frame(FrameType::Unknown(50), Flags::FIN, 0, 1, b""), 4),
        ("too big", vec![0, 0, 0x40, 0], 3),
        ("huge", vec![0xff; 4], 3),
        ("too short", vec![0, 0, 0, 6], 4),
        ("http", b"GET / HTTP/1.1\r\n\r\n".to_vec(), 3),
    ] {
        let (says, fault) = agent_says(AgentEndConfig::default(), &input);
        assert_eq!(fault, Some(Status(status)), "{what}");
        let [(FrameType::AgentDisconnect, payload)] = &says[..] else { panic!("{what}: {says:?}") };
        assert_eq!(Disconnect::decode(payload).unwrap(), Disconnect::new(Status(status)), "{what}");
    }
}

#[test]
fn malformed_frames_of_a_running_proxy_are_refused_with_their_status() {
    let start_of = |id| frame(FrameType::Notify, Flags::NONE, 1, id, b"\x01m");
    let rest_of = |id, flags| frame(FrameType::Unset, flags, 1, id, b"\x00");
    let no_fragments = AgentEndConfig { capabilities: Capabilities::PIPELINING, ..AgentEndConfig::default() };
    let default = AgentEndConfig::default;
    for (what, config, frames, status) in [
        ("second hello", default(), vec![hello(|_| {})], 4),
        ("ack", default(), vec![frame(FrameType::Ack, Flags::FIN, 1, 1, b"")], 4),
        ("above the size agreed", default(), vec![frame(FrameType::Notify, Flags::FIN, 1, 1, &[0; 1000])], 3),
        ("rest without start", default(), vec![rest_of(1, Flags::FIN)], 12),
        ("rest of another", default(), vec![start_of(1), rest_of(2, Flags::FIN)], 11),
        ("start in a start", default(), vec![start_of(1), start_of(2)], 11),
        (
            "notify in a start",
            default(),
            vec![start_of(1), frame(FrameType::Notify, Flags::FIN, 9, 9, b"")],
            11,
        ),
        ("fragments not announced", no_fragments, vec![start_of(1)], 10),
        (
            "same ids at once",
            default(),
            vec![
                frame(FrameType::Notify, Flags::FIN, 1, 1, b""),
                frame(FrameType::Notify, Flags::FIN, 1, 1, b""),
            ],
            4,
        ),
    ] {
        let input = [vec![hello(|_| {})], frames].concat().concat();
        let (says, fault) = agent_says(config, &input);
        assert_eq!(fault, Some(Status(status)), "{what}");
        let (kind, payload) = says.last().unwrap();
        assert_eq!(*kind, FrameType::AgentDisconnect, "{what}");
        assert_eq!(Disconnect::decode(payload).unwrap().status, Status(status), "{what}");
        assert_eq!(says.len(), 2, "{what}");
    }
}

#[test]
fn an_agent_answers_the_lower_frame_size_and_what_both_can_do() {
    for (offered, own, agreed) in [(1000, 16_380, 1000), (16_380, 500, 500), (256, 256, 256)] {
        let config = AgentEndConfig { frame_size_bytes_max: own, ..AgentEndConfig::default() };
        let input = hello(|h| (h.max_frame_size, h.supported_versions) = (offered, b"1.0, 2.5"));
        // The greeting itself may be as large as the agent takes, which says nothing about the proxy.
        let (says, fault) = agent_says(config, &input);
        assert_eq!(fault, None);
        let hello = AgentHello::decode(&says[0].1).unwrap();
        assert_eq!((hello.version, hello.max_frame_size), (Version::V2_0, Some(agreed)));
        assert_eq!(hello.capabilities, Capabilities::PIPELINING | Capabilities::FRAGMENTATION);
    }
}

#[test]
fn an_agent_answers_a_health_check_and_closes() {
    let now = start();
    let mut agent = AgentEnd::new(AgentEndConfig::default(), now);
    agent.handle_input(now, &health_check::request()).unwrap();
    assert!(agent.is_closed());
    let mut out = Vec::new();
    agent.poll_transmit(&mut out);
    for cut in 0..out.len() {
        assert_eq!(health_check::answer(&out[..cut]), Ok(None));
    }
    // What follows the frame is not looked at: a faulty check of 3.4.0 stumbles over it.
    out.extend_from_slice(b"\xff\xff\xff\xff");
    assert_eq!(health_check::answer(&out), Ok(Some(())));
}

#[test]
fn a_health_check_fails_with_the_status_of_the_answer() {
    let answer = |edit: fn(&mut AgentHello)| {
        let mut hello = AgentHello {
            version: Version::V2_0,
            max_frame_size: Some(16_380),
            capabilities: Capabilities::NONE,
        };
        edit(&mut hello);
        let mut out = Vec::new();
        hello.encode(&mut out);
        out
    };
    let mut refusal = Vec::new();
    Disconnect::new(Status(13)).encode(FrameType::AgentDisconnect, &mut refusal);
    for (bytes, status) in [
        (answer(|h| h.version = Version { major: 1, minor: 0 }), 8),
        (answer(|h| h.max_frame_size = None), 6),
        (answer(|h| h.max_frame_size = Some(16_381)), 9),
        (refusal, 13),
        (frame(FrameType::Ack, Flags::FIN, 0, 0, b""), 4),
        (b"HTTP/1.1 200 OK\r\n".to_vec(), 3),
    ] {
        assert_eq!(health_check::answer(&bytes).unwrap_err().status, Status(status));
    }
}

#[test]
fn a_refused_fragmented_payload_is_aborted_once_and_skipped() {
    let config = AgentEndConfig { payload_bytes_max: 8, ..AgentEndConfig::default() };
    let input = [
        hello(|_| {}),
        frame(FrameType::Notify, Flags::NONE, 1, 1, b"12345678"),
        frame(FrameType::Unset, Flags::NONE, 1, 1, b"9"),
        frame(FrameType::Unset, Flags::NONE, 1, 1, b"10"),
        frame(FrameType::Unset, Flags::FIN, 1, 1, b"11"),
        frame(FrameType::Notify, Flags::FIN, 1, 2, b""),
    ]
    .concat();
    let now = start();
    let mut agent = AgentEnd::new(config, now);
    assert_eq!(agent.handle_input(now, &input).unwrap(), input.len());
    let mut out = Vec::new();
    agent.poll_transmit(&mut out);
    // The golden frame of an agent that stops a payload, for stream 1 and frame 1.
    assert!(out.ends_with(&[0, 0, 0, 7, 103, 0, 0, 0, 3, 1, 1]));
    assert_eq!(split(&out).len(), 2);
    assert!(matches!(agent.poll_event(), Some(AgentEvent::Hello { .. })));
    assert!(matches!(agent.poll_event(), Some(AgentEvent::Notify { frame: FrameId(2), .. })));
    assert_eq!(agent.poll_event(), None);
}

#[test]
fn a_payload_the_proxy_gives_up_is_dropped_without_answer() {
    let input = [
        hello(|_| {}),
        frame(FrameType::Notify, Flags::NONE, 0, 1, b"\x01m"),
        frame(FrameType::Unset, Flags::FIN | Flags::ABORT, 0, 1, b""),
        frame(FrameType::Notify, Flags::FIN, 0, 2, b""),
    ]
    .concat();
    let now = start();
    let mut agent = AgentEnd::new(AgentEndConfig::default(), now);
    agent.handle_input(now, &input).unwrap();
    agent.poll_event();
    assert!(matches!(agent.poll_event(), Some(AgentEvent::Notify { frame: FrameId(2), .. })));
    assert_eq!(agent.waiting(), 1);
}

#[test]
fn input_is_held_back_while_too_many_exchanges_wait() {
    let config = AgentEndConfig { waiting_frames_max: 2, ..AgentEndConfig::default() };
    let frames: Vec<_> = (1..=4).map(|id| frame(FrameType::Notify, Flags::FIN, 0, id, b"")).collect();
    let now = start();
    let mut agent = AgentEnd::new(config, now);
    agent.handle_input(now, &hello(|_| {})).unwrap();
    let input = frames.concat();
    let used = agent.handle_input(now, &input).unwrap();
    assert_eq!(used, input.len() / 2);
    assert!(!agent.wants_input());
    assert_eq!(agent.handle_input(now, &input[used..]).unwrap(), 0);
    assert!(agent.ack(now, StreamId(0), FrameId(1), b""));
    assert_eq!(agent.handle_input(now, &input[used..]).unwrap(), frames[0].len());
}

#[test]
fn an_answer_that_does_not_fit_is_never_cut() {
    let now = start();
    let mut agent = AgentEnd::new(AgentEndConfig::default(), now);
    agent.handle_input(now, &hello(|_| {})).unwrap();
    let mut out = Vec::new();
    agent.poll_transmit(&mut out);
    // 1000 bytes were agreed; the envelope takes 7.
    for (len, sent) in [(993, 1000), (994, 7)] {
        agent.handle_input(now, &frame(FrameType::Notify, Flags::FIN, 1, 1, b"")).unwrap();
        assert!(agent.ack(now, StreamId(1), FrameId(1), &vec![0; len]));
        out.clear();
        assert_eq!(agent.poll_transmit(&mut out).unwrap().bytes - header::LENGTH_BYTES, sent);
    }
}

#[test]
fn answers_up_to_the_size_agreed_are_taken_and_longer_ones_end_the_connection() {
    for (len, ends) in [(300, false), (301, true)] {
        let agent = AgentEndConfig { frame_size_bytes_max: 300, ..AgentEndConfig::default() };
        let mut pair = Pair::new(haproxy_config(), agent, usize::MAX);
        pair.drive();
        pair.notify(1, "m", b"");
        let ack = frame(FrameType::Ack, Flags::FIN, 1, 1, &vec![0; len - 7]);
        assert_eq!(pair.haproxy.handle_input(pair.now, &ack).is_err(), ends);
        pair.haproxy_events();
        let last = pair.log.last().unwrap();
        assert_eq!(last == "haproxy closed: frame is too big (3)", ends, "{last}");
    }
}

#[test]
fn disconnect_is_said_once_and_its_answer_awaited() {
    let mut pair = Pair::new(haproxy_config(), AgentEndConfig::default(), usize::MAX);
    pair.drive();
    pair.haproxy.close(pair.now, Status::NORMAL);
    pair.haproxy.close(pair.now, Status::TIMEOUT);
    let mut out = Vec::new();
    pair.haproxy.poll_transmit(&mut out);
    assert_eq!(split(&out).len(), 1);
    assert!(!pair.haproxy.is_closed());
    // Frames that were under way are ignored.
    pair.haproxy.handle_input(pair.now, &frame(FrameType::Ack, Flags::FIN, 1, 1, b"")).unwrap();
    let deadline = pair.haproxy.poll_timeout().unwrap();
    pair.haproxy.handle_timeout(deadline - Duration::from_millis(1));
    assert!(!pair.haproxy.is_closed());
    pair.haproxy.handle_timeout(deadline);
    assert!(pair.haproxy.is_closed());
    pair.haproxy_events();
    assert_eq!(pair.log.iter().filter(|line| line.starts_with("haproxy closed")).count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn fragments_put_together_are_the_payload_at_any_size(
        size in 256u32..2000,
        bodies in proptest::collection::vec(0usize..3000, 1..6),
        stream: u32,
    ) {
        let agent = AgentEndConfig { frame_size_bytes_max: size, ..AgentEndConfig::default() };
        let mut pair = Pair::new(haproxy_config(), agent, usize::MAX);
        pair.drive();
        let mut want = Vec::new();
        let mut writer = NotifyWriter::new(&mut want);
        for (n, len) in bodies.iter().enumerate() {
            writer.message(format!("message-{n}")).arg("n", (*len as i64).into());
            writer.arg("ip", TypedData::Ipv6([n as u8; 16].into()));
            writer.arg("body", TypedData::Binary(&vec![n as u8; *len]));
        }
        pair.haproxy.notify(pair.now, StreamId(stream.into()), FrameId(1), &want).unwrap();
        let mut out = Vec::new();
        pair.haproxy.poll_transmit(&mut out);
        let frames = split(&out);
        let mut rest = &out[..];
        while let Some((_, used)) = Frame::split(rest, size).unwrap() {
            rest = &rest[used..];
        }
        let whole: Vec<u8> = frames.into_iter().flat_map(|(_, payload)| payload).collect();
        prop_assert_eq!(&whole, &want);
        pair.agent.handle_input(pair.now, &out).unwrap();
        let Some(AgentEvent::Notify { payload, .. }) = pair.agent.poll_event() else { panic!("no notify") };
        prop_assert_eq!(payload, want);
    }

    #[test]
    fn arbitrary_frames_never_panic_either_end(
        frames in proptest::collection::vec(
            (any::<u8>(), 0u32..4, 0u64..3, 0u64..3, proptest::collection::vec(any::<u8>(), 0..40)), 0..20),
        greeted: bool,
        garbage: Vec<u8>,
    ) {
        let mut pair = Pair::new(haproxy_config(), AgentEndConfig::default(), usize::MAX);
        if greeted {
            pair.drive();
            pair.notify(1, "m", b"");
        }
        let kinds = [0, 1, 2, 3, 101, 102, 103, 50];
        let mut bytes: Vec<u8> = frames
            .iter()
            .flat_map(|(kind, flags, stream, id, payload)| {
                let kind = FrameType::from_byte(kinds[*kind as usize % kinds.len()]);
                frame(kind, Flags(*flags), *stream, *id, payload)
            })
            .collect();
        bytes.extend_from_slice(&garbage);
        let _ = pair.haproxy.handle_input(pair.now, &bytes);
        let _ = pair.agent.handle_input(pair.now, &bytes);
        pair.haproxy_events();
        while pair.agent.poll_event().is_some() {}
        let mut out = Vec::new();
        pair.haproxy.poll_transmit(&mut out);
        split(&out);
        out.clear();
        pair.agent.poll_transmit(&mut out);
        let says = split(&out);
        prop_assert!(says.iter().filter(|(kind, _)| *kind == FrameType::AgentDisconnect).count() <= 1);
    }
}
