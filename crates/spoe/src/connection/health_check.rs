//! The check that `option spop-check` makes: one constant frame out, one frame back.
//!
//! Source: SPOE.txt §3.2.3 ("Successful HELLO healthcheck"); configuration.txt, `option spop-check`.

use crate::error::Violation;
use crate::frame::header::FRAME_SIZE_BYTES_MIN;
use crate::frame::{AgentHello, Capabilities, Disconnect, Frame, FrameType, HaproxyHello, Status, Version};

/// What is sent: 82 bytes, the same in every version of HAProxy.
pub fn request() -> Vec<u8> {
    let mut out = Vec::new();
    HaproxyHello {
        supported_versions: b"2.0",
        max_frame_size: FRAME_SIZE_BYTES_MAX,
        capabilities: Capabilities::NONE,
        healthcheck: true,
        engine_id: None,
    }
    .encode(&mut out);
    out
}

/// Judges what came back so far: `None` while the answer is not whole. What follows the first frame is not looked at.
///
/// # Errors
/// The status whose [text](Status::text) explains the failed check: the agent's own if it answered with a DISCONNECT.
pub fn answer(bytes: &[u8]) -> Result<Option<()>, Violation> {
    let Some((frame, _)) = Frame::split(bytes, FRAME_SIZE_BYTES_MAX)? else {
        return Ok(None);
    };
    match frame.header.kind {
        FrameType::AgentHello => super::haproxy_end::check_control(frame.header)?,
        FrameType::AgentDisconnect => {
            return Err(Violation::new(
                Disconnect::decode(frame.payload).map_or(Status::INVALID, |d| d.status),
            ));
        }
        _ => return Err(Violation::new(Status::INVALID)),
    }
    let hello = AgentHello::decode(frame.payload)?;
    if hello.version != Version::V2_0 {
        return Err(Violation::new(Status::BAD_VERSION));
    }
    match hello.max_frame_size {
        None => Err(Violation::new(Status::NO_FRAME_SIZE)),
        Some(FRAME_SIZE_BYTES_MIN..=FRAME_SIZE_BYTES_MAX) => Ok(Some(())),
        Some(_) => Err(Violation::new(Status::BAD_FRAME_SIZE)),
    }
}

/// What HAProxy's check offers, whatever the buffer size.
const FRAME_SIZE_BYTES_MAX: u32 = 16_380;
