//! SPOP: codec and both ends of a connection.

use std::time::{Duration, Instant};

use spoe::connection::{
    AgentEnd, AgentEndConfig, AgentEvent, HaproxyEnd, HaproxyEndConfig, HaproxyEvent, health_check as check,
};
use spoe::frame::{
    AckWriter, ActionReader, AgentHello, Capabilities, Disconnect, Flags, Frame, FrameType, HaproxyHello,
    Header, KvReader, MessageReader, NotifyWriter,
};
use spoe::{EngineId, FrameId, Status, StreamId, TypedData};

/// Frames are split off without looking beyond the end, and written back as they were.
pub fn frame(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(Some((frame, used))) = Frame::split(rest, 16_380) {
        assert!((11..=4 + 16_380).contains(&used));
        let mut out = Vec::new();
        frame.encode(&mut out);
        assert_eq!(out, rest[..used]);
        // Any shorter input is not whole, or refused for its length alone.
        assert_eq!(Frame::split(&rest[..used - 1], 16_380), Ok(None));
        rest = &rest[used..];
    }
}

/// A greeting that decodes says the same when written and read again.
pub fn haproxy_hello(bytes: &[u8]) {
    if let Ok(hello) = HaproxyHello::decode(bytes) {
        assert!(hello.max_frame_size >= 256);
        let mut out = Vec::new();
        hello.encode(&mut out);
        assert_eq!(HaproxyHello::decode(payload(&out)), Ok(hello));
    }
    pairs(bytes);
}

/// Likewise.
pub fn agent_hello(bytes: &[u8]) {
    if let Ok(hello) = AgentHello::decode(bytes) {
        assert!(hello.max_frame_size.is_none_or(|size| size >= 256));
        let mut out = Vec::new();
        hello.encode(&mut out);
        assert_eq!(AgentHello::decode(payload(&out)), Ok(hello));
    }
    pairs(bytes);
}

/// Likewise, of both kinds.
pub fn disconnect(bytes: &[u8]) {
    if let Ok(disconnect) = Disconnect::decode(bytes) {
        for kind in [FrameType::HaproxyDisconnect, FrameType::AgentDisconnect] {
            let mut out = Vec::new();
            disconnect.encode(kind, &mut out);
            assert_eq!(Disconnect::decode(payload(&out)), Ok(disconnect));
        }
        assert!(!disconnect.status.text().is_empty());
    }
    pairs(bytes);
}

/// Messages that decode have as many arguments as they say, and say the same when written and read again.
pub fn notify(bytes: &[u8]) {
    let whole = MessageReader::new(bytes).all(|message| message.is_ok());
    let messages: Vec<_> = MessageReader::new(bytes).map_while(Result::ok).collect();
    let mut out = Vec::new();
    let mut writer = NotifyWriter::new(&mut out);
    for message in &messages {
        writer.message(message.name);
        assert_eq!(message.args().size_hint(), (message.args().count(), Some(message.args().count())));
        for argument in message.args() {
            writer.arg(argument.name, argument.value);
        }
    }
    assert!(!writer.overflowed());
    let again: Vec<_> = MessageReader::new(&out).map(|message| message.expect("just written")).collect();
    assert_eq!(again.len(), messages.len());
    for (again, message) in again.iter().zip(&messages) {
        assert_eq!(again.name, message.name);
        assert!(again.args().eq(message.args()));
    }
    if whole {
        // What HAProxy's side takes for a payload it can cut and the agent's side puts together.
        unset(&[&[0], bytes].concat());
    }
}

/// Actions that decode say the same when written and read again; the first that does not is the last.
pub fn ack(bytes: &[u8]) {
    let actions: Vec<_> = ActionReader::new(bytes).collect();
    assert!(actions.iter().rev().skip(1).all(Result::is_ok));
    let mut out = Vec::new();
    let mut writer = AckWriter::new(&mut out);
    let good: Vec<_> = actions.into_iter().flatten().collect();
    for action in &good {
        writer.action(*action);
    }
    assert!(ActionReader::new(&out).map(|action| action.expect("just written")).eq(good.iter().copied()));
}

/// Values that decode say the same when written and read again, in as many bytes as they took or fewer.
pub fn typed_data(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok((value, used)) = TypedData::decode(rest) {
        assert!(used >= 1);
        let mut out = Vec::new();
        value.encode(&mut out);
        assert!(out.len() <= used);
        assert_eq!(TypedData::decode(&out), Ok((value, out.len())));
        rest = &rest[used..];
    }
}

/// A payload cut into fragments (the first byte and 256 are the frame size) is whole again at the other end.
pub fn unset(bytes: &[u8]) {
    let Some((&size, body)) = bytes.split_first() else { return };
    let (mut haproxy, mut agent) = greeted(256 + u32::from(size));
    let now = start();
    let ids = (StreamId(7), FrameId(9));
    if haproxy.notify(now, ids.0, ids.1, body).is_err() {
        return;
    }
    let mut wire = Vec::new();
    while haproxy.poll_transmit(&mut wire).is_some() {}
    assert!(!haproxy.has_output() || wire.len() > 60_000);
    assert!(
        frames(&wire)
            .iter()
            .all(|(header, payload)| header.encoded_len() + payload.len() <= 256 + size as usize)
    );
    while haproxy.has_output() {
        let mut more = Vec::new();
        haproxy.poll_transmit(&mut more);
        wire.append(&mut more);
    }
    assert_eq!(agent.handle_input(now, &wire).expect("legal fragments"), wire.len());
    let Some(AgentEvent::Notify { payload, .. }) = agent.poll_event() else { panic!("nothing arrived") };
    assert_eq!(payload, body);
}

/// Any answer to a health check is judged, however much of it is there, and the judgement does not change with what follows.
pub fn health_check(bytes: &[u8]) {
    let whole = check::answer(bytes);
    for cut in 0..bytes.len().min(200) {
        match check::answer(&bytes[..cut]) {
            Ok(None) => {}
            other => assert_eq!(other, whole),
        }
    }
}

/// The proxy's end bears whatever an agent says while the proxy asks, gives up and waits.
///
/// The bytes are read as steps: the low three bits choose one, the others and what follows are its argument.
pub fn haproxy_end(bytes: &[u8]) {
    let mut now = start();
    let mut end = HaproxyEnd::new(haproxy_config(16_380), now);
    let (mut said, mut heard, mut next) = (Vec::new(), Vec::new(), 1);
    let (mut size, mut closed, mut waiting) = (16_380, 0, Vec::<(StreamId, FrameId)>::new());
    let mut steps = bytes;
    while let Some((&step, rest)) = steps.split_first() {
        steps = rest;
        let count = usize::from(step >> 3);
        match step & 7 {
            0..=2 => {
                let (words, rest) = steps.split_at(count.min(steps.len()));
                heard.extend_from_slice(words);
                steps = rest;
            }
            // A good greeting, so that it is not a matter of luck to get beyond it.
            3 => hello(step).encode(&mut heard),
            4 => {
                let body = vec![b'x'; count * 1000];
                let mut message = Vec::new();
                NotifyWriter::new(&mut message).message("m").arg("b", TypedData::Binary(&body));
                let ids = (StreamId(next), FrameId(next));
                next += 1;
                let could = end.can_notify();
                if end.notify(now, ids.0, ids.1, &message).is_ok() {
                    assert!(could);
                    waiting.push(ids);
                }
            }
            5 if !waiting.is_empty() => {
                let (stream, frame) = waiting.remove(count % waiting.len());
                assert!(end.forget(now, stream, frame));
            }
            // An ACK of one that waits, or waited.
            6 => {
                let (stream, frame) =
                    waiting.get(count).copied().unwrap_or((StreamId(count as u64), FrameId(1)));
                let flags = if count & 16 == 0 { Flags::FIN } else { Flags::FIN | Flags::ABORT };
                let header = Header::of(FrameType::Ack, flags, stream, frame);
                Frame { header, payload: &[] }.encode(&mut heard);
            }
            _ => {
                now += Duration::from_millis(count as u64 * 100);
                end.handle_timeout(now);
            }
        }
        let used = end.handle_input(now, &heard).unwrap_or(heard.len());
        heard.drain(..used);
        while let Some(event) = end.poll_event() {
            assert_eq!(closed, 0, "an event after the end");
            match event {
                HaproxyEvent::Ready { frame_size_bytes_max, .. } => size = frame_size_bytes_max,
                HaproxyEvent::Ack { stream, frame, own, .. } => {
                    let at = waiting.iter().position(|ids| *ids == (stream, frame));
                    assert_eq!(own, at.is_some());
                    at.map(|at| waiting.remove(at));
                }
                HaproxyEvent::FragmentAborted { stream, frame } => {
                    waiting.retain(|ids| *ids != (stream, frame));
                }
                HaproxyEvent::Closed { .. } => closed += 1,
            }
        }
        assert!(end.in_flight().len() <= 20);
        assert_eq!(end.in_flight().len(), waiting.len());
        assert!(end.is_running() || !end.can_notify());
        if count & 1 == 0 {
            end.poll_transmit(&mut said);
        }
    }
    end.close(now, Status::NORMAL);
    while end.poll_event().is_some() {}
    while end.poll_transmit(&mut said).is_some() {}
    let said = frames(&said);
    assert!(said.iter().skip(1).all(|(head, body)| head.encoded_len() + body.len() <= size as usize));
    assert!(said.iter().filter(|(head, _)| head.kind == FrameType::HaproxyDisconnect).count() <= 1);
    assert!(no_stream_mixes_fragments(&said));
    now += Duration::from_secs(100);
    end.handle_timeout(now);
    assert!(end.is_closed());
}

/// The agent's end bears whatever a proxy says while the agent answers late, twice or never. Steps as above.
pub fn agent_end(bytes: &[u8]) {
    let mut now = start();
    let config = AgentEndConfig {
        hello_timeout: Some(Duration::from_secs(1)),
        idle_timeout: Some(Duration::from_secs(5)),
        waiting_frames_max: 5,
        payload_bytes_max: 10_000,
        ..AgentEndConfig::default()
    };
    let mut end = AgentEnd::new(config, now);
    let (mut said, mut heard) = (Vec::new(), Vec::new());
    let (mut size, mut closed, mut waiting) = (16_380, 0, Vec::<(StreamId, FrameId)>::new());
    let mut steps = bytes;
    while let Some((&step, rest)) = steps.split_first() {
        steps = rest;
        let count = usize::from(step >> 3);
        match step & 7 {
            0..=2 => {
                let (words, rest) = steps.split_at(count.min(steps.len()));
                heard.extend_from_slice(words);
                steps = rest;
            }
            3 => {
                let engine_id = Some(&b"fuzz"[..]);
                let max_frame_size = 256 + count as u32 * 100;
                let capabilities = Capabilities::PIPELINING | Capabilities::ASYNC;
                let versions = b"2.0";
                HaproxyHello {
                    supported_versions: versions,
                    max_frame_size,
                    capabilities,
                    healthcheck: false,
                    engine_id,
                }
                .encode(&mut heard);
            }
            // A frame of a request: whole, begun, going on, ending, given up.
            4 | 5 => {
                let kind = if step & 1 == 0 { FrameType::Notify } else { FrameType::Unset };
                let flags = Flags((count & 3) as u32);
                let header = Header::of(kind, flags, StreamId(count as u64 >> 3), FrameId(1));
                let payload = vec![0; 1 + (count & 4) * 60];
                Frame { header, payload: &payload }.encode(&mut heard);
            }
            6 if !waiting.is_empty() => {
                let (stream, frame) = waiting.remove(count % waiting.len());
                let answers = vec![1; count * 50];
                assert!(end.ack(now, stream, frame, &answers));
                assert!(!end.ack(now, stream, frame, &answers), "answered twice");
            }
            _ => {
                now += Duration::from_millis(count as u64 * 100);
                end.handle_timeout(now);
            }
        }
        let used = end.handle_input(now, &heard).unwrap_or(heard.len());
        heard.drain(..used);
        while let Some(event) = end.poll_event() {
            assert_eq!(closed, 0, "an event after the end");
            match event {
                AgentEvent::Hello { frame_size_bytes_max, .. } => size = frame_size_bytes_max,
                AgentEvent::Notify { stream, frame, payload } => {
                    assert!(payload.len() <= 16_380);
                    waiting.push((stream, frame));
                }
                AgentEvent::Closed { .. } => {
                    closed += 1;
                    waiting.clear();
                }
            }
        }
        assert_eq!(end.waiting(), waiting.len());
        assert!(end.waiting() <= 5);
        end.poll_transmit(&mut said);
    }
    end.close(Status::NORMAL);
    while end.poll_transmit(&mut said).is_some() {}
    let said = frames(&said);
    assert!(said.iter().skip(1).all(|(head, body)| head.encoded_len() + body.len() <= size as usize));
    assert!(said.iter().filter(|(head, _)| head.kind == FrameType::AgentDisconnect).count() <= 1);
    assert!(end.is_closed());
}

fn pairs(bytes: &[u8]) {
    let read: Vec<_> = KvReader::new(bytes).collect();
    assert!(read.iter().rev().skip(1).all(Result::is_ok));
    assert!(read.len() <= bytes.len());
}

fn payload(frame: &[u8]) -> &[u8] {
    let (frame, _) = Frame::split(frame, u32::MAX).expect("just written").expect("whole");
    frame.payload
}

/// All frames of a byte string that must hold whole ones.
fn frames(mut bytes: &[u8]) -> Vec<(Header, &[u8])> {
    let mut all = Vec::new();
    while let Some((frame, used)) = Frame::split(bytes, u32::MAX).expect("what we say is legal") {
        all.push((frame.header, frame.payload));
        bytes = &bytes[used..];
    }
    assert!(bytes.is_empty(), "half a frame was said");
    all
}

/// Between the first fragment of a payload and its last or its ABORT only its own come.
fn no_stream_mixes_fragments(said: &[(Header, &[u8])]) -> bool {
    let mut open: Option<(StreamId, FrameId)> = None;
    said.iter().all(|(head, _)| {
        let ids = (head.stream, head.frame);
        let legal = match head.kind {
            FrameType::Unset => open == Some(ids),
            // An agent that refused a payload gets no more of it, and the next one may begin.
            FrameType::Notify => true,
            _ => true,
        };
        match head.kind {
            FrameType::Notify | FrameType::Unset => open = (!head.flags.fin()).then_some(ids),
            _ => {}
        }
        legal
    })
}

fn hello(step: u8) -> AgentHello {
    AgentHello {
        version: spoe::frame::Version::V2_0,
        max_frame_size: Some(256 + u32::from(step >> 6) * 5000),
        capabilities: match step >> 3 & 7 {
            0 => Capabilities::NONE,
            1 => Capabilities::PIPELINING,
            2 => Capabilities::FRAGMENTATION,
            3 => Capabilities::PIPELINING | Capabilities::ASYNC,
            _ => Capabilities::PIPELINING | Capabilities::FRAGMENTATION,
        },
    }
}

fn haproxy_config(frame_size_bytes_max: u32) -> HaproxyEndConfig {
    HaproxyEndConfig {
        frame_size_bytes_max,
        capabilities: Capabilities::PIPELINING | Capabilities::ASYNC,
        send_fragments: true,
        engine_id: EngineId::from_random(1),
        hello_timeout: Some(Duration::from_secs(2)),
        idle_timeout: Some(Duration::from_secs(10)),
        linger: Duration::from_secs(1),
        waiting_frames_max: 20,
    }
}

/// Two ends that have greeted each other.
fn greeted(frame_size_bytes_max: u32) -> (HaproxyEnd, AgentEnd) {
    let now = start();
    let mut haproxy = HaproxyEnd::new(haproxy_config(frame_size_bytes_max), now);
    let config = AgentEndConfig { payload_bytes_max: usize::MAX, ..AgentEndConfig::default() };
    let mut agent = AgentEnd::new(config, now);
    let mut wire = Vec::new();
    haproxy.poll_transmit(&mut wire);
    agent.handle_input(now, &wire).expect("our greeting");
    while agent.poll_event().is_some() {}
    wire.clear();
    agent.poll_transmit(&mut wire);
    haproxy.handle_input(now, &wire).expect("our answer");
    while haproxy.poll_event().is_some() {}
    (haproxy, agent)
}

/// Any instant will do: only differences count.
#[allow(clippy::disallowed_methods, reason = "a fuzz target is its own host")]
fn start() -> Instant {
    Instant::now()
}
