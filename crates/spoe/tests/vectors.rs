//! Frames captured from HAProxy 2.6, 2.8 and 3.4: each is decoded to values and encoded back to the same bytes.
//!
//! `data/spop-vectors.json` holds the frames with the configuration that made each.

use spoe::frame::{
    AckWriter, ActionReader, AgentHello, Disconnect, Frame, FrameType, HaproxyHello, MessageReader,
    NotifyWriter, header,
};

struct Vector {
    name: String,
    bytes: Vec<u8>,
}

fn vectors() -> Vec<Vector> {
    let json: serde_json::Value = serde_json::from_str(include_str!("data/spop-vectors.json")).unwrap();
    let text = |v: &serde_json::Value, key: &str| v[key].as_str().unwrap().to_owned();
    json["vectors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| Vector {
            name: format!("{} ({})", text(v, "name"), text(v, "haproxy")),
            bytes: unhex(&text(v, "hex")),
        })
        .collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// Decodes the payload and writes the frame anew from the values.
fn rewrite(frame: &Frame<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    match frame.header.kind {
        FrameType::HaproxyHello => HaproxyHello::decode(frame.payload).unwrap().encode(&mut out),
        FrameType::AgentHello => AgentHello::decode(frame.payload).unwrap().encode(&mut out),
        kind @ (FrameType::HaproxyDisconnect | FrameType::AgentDisconnect) => {
            let disconnect = Disconnect::decode(frame.payload).unwrap();
            assert_eq!(disconnect.message, disconnect.status.text().as_bytes());
            disconnect.encode(kind, &mut out);
        }
        FrameType::Notify if frame.header.flags.fin() => {
            let start = header::begin(frame.header, &mut out);
            let mut writer = NotifyWriter::new(&mut out);
            for message in MessageReader::new(frame.payload) {
                let message = message.unwrap();
                writer.message(message.name);
                for argument in message.args() {
                    writer.arg(argument.name, argument.value);
                }
            }
            assert!(!writer.overflowed());
            header::end(start, &mut out);
        }
        FrameType::Ack => {
            let start = header::begin(frame.header, &mut out);
            let mut writer = AckWriter::new(&mut out);
            for action in ActionReader::new(frame.payload) {
                writer.action(action.unwrap());
            }
            header::end(start, &mut out);
        }
        // A fragment's payload may end anywhere: the envelope is all there is to read.
        FrameType::Notify | FrameType::Unset => frame.encode(&mut out),
        FrameType::Unknown(kind) => panic!("unknown type {kind}"),
    }
    out
}

#[test]
fn every_captured_frame_is_rewritten_byte_for_byte() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 50);
    for vector in vectors {
        let (frame, used) = Frame::split(&vector.bytes, 16_380)
            .unwrap()
            .unwrap_or_else(|| panic!("{}: not whole", vector.name));
        assert_eq!(used, vector.bytes.len(), "{}", vector.name);
        assert_eq!(rewrite(&frame), vector.bytes, "{}", vector.name);
    }
}

#[test]
fn any_split_of_the_input_gives_the_same_frames() {
    let all: Vec<u8> = vectors().into_iter().flat_map(|v| v.bytes).collect();
    let frames = |chunk: usize| {
        let (mut seen, mut pending) = (Vec::new(), Vec::new());
        for piece in all.chunks(chunk) {
            pending.extend_from_slice(piece);
            while let Some((frame, used)) = Frame::split(&pending, 16_380).unwrap() {
                seen.push((frame.header, frame.payload.to_vec()));
                pending.drain(..used);
            }
        }
        assert!(pending.is_empty());
        seen
    };
    let whole = frames(all.len());
    assert_eq!(whole.len(), 50);
    for chunk in 1..=200 {
        assert_eq!(frames(chunk), whole, "in pieces of {chunk}");
    }
}

#[test]
fn fragments_put_together_are_the_whole_payload() {
    for version in ["2.6", "2.8"] {
        let mut payload = Vec::new();
        for vector in vectors() {
            if vector.name.starts_with("fragment ") && vector.name.contains(version) {
                payload.extend_from_slice(Frame::split(&vector.bytes, 256).unwrap().unwrap().0.payload);
            }
        }
        let message = MessageReader::new(&payload).next().unwrap().unwrap();
        let body: Vec<u8> = (0..600).map(|i| 65 + (i % 26) as u8).collect();
        assert_eq!(message.arg("body").unwrap().as_bytes(), Some(&body[..]));
        assert_eq!(message.arg("tail").unwrap().as_i64(), Some(7));
    }
}
