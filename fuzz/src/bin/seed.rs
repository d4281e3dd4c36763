//! Writes the corpus from the frames captured from HAProxy: `corpus/spoe_*/`, one file a frame or a conversation.

use std::path::Path;

use spoe::frame::{Frame, FrameType};

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let vectors = root.join("../crates/spoe/tests/data/spop-vectors.json");
    let text = std::fs::read_to_string(vectors).expect("the vectors");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let folder = root.join("corpus").join(format!("spoe_{target}"));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(name), bytes).expect("a file");
    };
    let (mut to_agent, mut to_haproxy) = (Vec::new(), Vec::new());
    for vector in json["vectors"].as_array().expect("vectors") {
        let text = |key: &str| vector[key].as_str().expect("text");
        let label = format!("{} {}", text("name"), text("haproxy")).to_lowercase();
        let name =
            label.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect::<Vec<_>>();
        let name = name.join("_");
        let hex = text("hex");
        let bytes: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"))
            .collect();
        let (frame, _) = Frame::split(&bytes, 16_380).expect("legal").expect("whole");
        write("frame", &name, &bytes);
        match frame.header.kind {
            FrameType::HaproxyHello => write("haproxy_hello", &name, frame.payload),
            FrameType::AgentHello => {
                write("agent_hello", &name, frame.payload);
                write("health_check", &name, &bytes);
            }
            FrameType::HaproxyDisconnect | FrameType::AgentDisconnect => {
                write("disconnect", &name, frame.payload)
            }
            FrameType::Notify | FrameType::Unset => {
                write("notify", &name, frame.payload);
                write("unset", &name, &[&[0], frame.payload].concat());
                write("typed_data", &name, frame.payload);
            }
            FrameType::Ack => write("ack", &name, frame.payload),
            FrameType::Unknown(_) => {}
        }
        let side = match frame.header.kind.to_byte() {
            101.. => &mut to_haproxy,
            _ => &mut to_agent,
        };
        // As steps of a conversation: so many bytes are heard.
        let steps: Vec<u8> =
            bytes.chunks(31).flat_map(|chunk| [&[(chunk.len() as u8) << 3], chunk].concat()).collect();
        let target = if frame.header.kind.to_byte() >= 101 { "haproxy_end" } else { "agent_end" };
        write(target, &name, &[&[0x23], &steps[..]].concat());
        side.extend_from_slice(&steps);
    }
    write("agent_end", "all_frames_one_after_the_other", &to_agent);
    // Greet, ask, answer in another order, give up, wait.
    write("haproxy_end", "all_frames_one_after_the_other", &to_haproxy);
    write("haproxy_end", "asks_and_answers", &[0x23, 0x0c, 0x0c, 0x14, 0x0e, 0x06, 0x05, 0x06, 0x07, 0xff]);
    write(
        "haproxy_end",
        "large_bodies_given_up",
        &[0x23, 0xfc, 0x0d, 0xfc, 0x86, 0xfc, 0x05, 0x0c, 0x06, 0x3f],
    );
    write("agent_end", "asked_and_answered", &[0x23, 0x0c, 0x4c, 0x06, 0x16, 0x8c, 0x06, 0xff]);
    write("agent_end", "fragments", &[0x23, 0x04, 0x25, 0x25, 0x0d, 0x06, 0x04, 0x1d, 0x04, 0x0c]);
}
