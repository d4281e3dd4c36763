//! Frames that no engine sends: out of turn, malformed, unknown.

use spoe::{
    Status,
    frame::{Capabilities, Flags, FrameType},
};

use super::{
    agent::{Agent, ENGINE_ID, refused},
    case::{Case, Outcome, PASSED, Verdict, noted, skipped},
};
use crate::spoa::wire::{Said, Wire, frame};

/// In the order in which they are run.
pub(super) const CASES: &[Case] = &[
    Case { name: "before-hello", shows: "refuses a NOTIFY before the greeting", run: before_hello },
    Case { name: "second-hello", shows: "does not greet twice", run: second_hello },
    Case { name: "garbage", shows: "refuses bytes that are no frame", run: garbage },
    Case { name: "no-length", shows: "refuses a frame of length 0", run: no_length },
    Case { name: "short-length", shows: "refuses a frame too short for a header", run: short_length },
    Case { name: "unknown-kind", shows: "skips a frame of unknown kind, or refuses it", run: unknown_kind },
    Case { name: "agents-kind", shows: "refuses frames that only agents send", run: agents_kind },
    Case {
        name: "cut-message",
        shows: "never acknowledges a message that ends in the middle",
        run: cut_message,
    },
    Case { name: "long-varint", shows: "refuses a number of more than 64 bits", run: long_varint },
    Case { name: "cut-ids", shows: "refuses ids that do not fit the frame", run: cut_ids },
    Case { name: "unset-fin", shows: "does not acknowledge a NOTIFY that is not finished", run: unset_fin },
    Case {
        name: "rest-without-start",
        shows: "does not acknowledge the rest of a payload that has no start",
        run: rest,
    },
    Case { name: "interlaced", shows: "refuses fragments of two payloads mixed", run: interlaced },
];

const INVALID: &[Status] = &[Status::INVALID];

fn before_hello(agent: &Agent) -> Verdict {
    let mut wire = agent.open()?;
    wire.send(&agent.notify((1, 1)));
    refused(&mut wire, INVALID)
}

fn second_hello(agent: &Agent) -> Verdict {
    let (mut wire, _) = agent.greeted()?;
    wire.send(&agent.hello(Capabilities::PIPELINING, ENGINE_ID));
    skips_or_refuses(agent, &mut wire)
}

fn garbage(agent: &Agent) -> Verdict {
    let mut wire = agent.open()?;
    wire.send(b"GET / HTTP/1.1\r\nhost: agent\r\n\r\n");
    refused(&mut wire, &[Status::TOO_BIG, Status::INVALID])
}

fn no_length(agent: &Agent) -> Verdict {
    let (mut wire, _) = agent.greeted()?;
    wire.send(&[0; 8]);
    refused(&mut wire, INVALID)
}

fn short_length(agent: &Agent) -> Verdict {
    let (mut wire, _) = agent.greeted()?;
    wire.send(&[0, 0, 0, 3, 3, 0, 0]);
    refused(&mut wire, INVALID)
}

fn unknown_kind(agent: &Agent) -> Verdict {
    let (mut wire, _) = agent.greeted()?;
    wire.send(&frame(FrameType::Unknown(77), Flags::FIN, (9, 9), b"anything"));
    skips_or_refuses(agent, &mut wire)
}

fn agents_kind(agent: &Agent) -> Verdict {
    let (mut wire, _) = agent.greeted()?;
    wire.send(&frame(FrameType::Ack, Flags::FIN, (9, 9), b""));
    skips_or_refuses(agent, &mut wire)
}

fn cut_message(agent: &Agent) -> Verdict {
    // Five arguments are announced; the first one's name is cut.
    for payload in [&b"\x05probe\x05\x09na"[..], b"\x05probe\x01\x01a\x08\x20short", b"\xff"] {
        let (mut wire, _) = agent.greeted()?;
        wire.send(&frame(FrameType::Notify, Flags::FIN, (1, 1), payload));
        let verdict = refused(&mut wire, INVALID)?;
        if verdict != Outcome::Passed(None) {
            return Ok(verdict);
        }
    }
    PASSED
}

fn long_varint(agent: &Agent) -> Verdict {
    let (mut wire, _) = agent.greeted()?;
    let mut bytes = vec![0, 0, 0, 17, 3, 0, 0, 0, 1];
    bytes.extend([0xff; 11]);
    bytes.extend([0x7f, 1]);
    bytes[3] = (bytes.len() - 4) as u8;
    wire.send(&bytes);
    refused(&mut wire, INVALID)
}

fn cut_ids(agent: &Agent) -> Verdict {
    let (mut wire, _) = agent.greeted()?;
    wire.send(&[0, 0, 0, 7, 3, 0, 0, 0, 1, 0xff, 0xff]);
    refused(&mut wire, INVALID)
}

fn unset_fin(agent: &Agent) -> Verdict {
    let (mut wire, terms) = agent.greeted()?;
    wire.send(&frame(FrameType::Notify, Flags::NONE, (1, 1), &agent.messages()));
    if !terms.capabilities.contains(Capabilities::FRAGMENTATION) {
        return refused(&mut wire, &[Status::FRAGMENTATION_NOT_SUPPORTED, Status::INVALID]);
    }
    match wire.next_within(agent.patience / 4) {
        Said::Silence => PASSED,
        other => Err(format!("the rest of the payload is still to come, but {}", other.in_words())),
    }
}

fn rest(agent: &Agent) -> Verdict {
    let (mut wire, _) = agent.greeted()?;
    wire.send(&frame(FrameType::Unset, Flags::FIN, (9, 9), b"rest"));
    skips_or_refuses(agent, &mut wire)
}

fn interlaced(agent: &Agent) -> Verdict {
    let (mut wire, terms) = agent.greeted()?;
    if !terms.capabilities.contains(Capabilities::FRAGMENTATION) {
        return skipped("the agent does not offer fragmentation");
    }
    wire.send(&frame(FrameType::Notify, Flags::NONE, (1, 1), b"\x05probe\x01\x01a"));
    wire.send(&frame(FrameType::Unset, Flags::FIN, (2, 1), b"\x00"));
    refused(&mut wire, &[Status::INTERLACED])
}

/// What the protocol leaves open: the agent skips the frame and goes on, or ends the connection.
fn skips_or_refuses(agent: &Agent, wire: &mut Wire) -> Verdict {
    wire.send(&agent.notify((1, 1)));
    let said = wire.next();
    match &said {
        Said::End => noted("closes without AGENT-DISCONNECT"),
        Said::Frame(frame) if frame.header.kind == FrameType::AgentDisconnect => {
            noted(format!("refuses it with status {}", frame.status()?.0))
        }
        Said::Frame(frame) if frame.header.kind == FrameType::Ack && frame.header.stream.0 == 1 => {
            noted("skips it")
        }
        _ => Err(format!("expected ACK 1/1 or AGENT-DISCONNECT, but {}", said.in_words())),
    }
}
