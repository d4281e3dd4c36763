//! Questions and answers: ids, types, pipelining, async, fragments.

use std::collections::BTreeSet;

use spoe::{
    TypedData,
    frame::{Capabilities, Flags, FrameType, NotifyWriter},
};

use super::{
    agent::{Agent, answer, readable},
    case::{Case, PASSED, Verdict, noted, skipped},
};
use crate::spoa::wire::{Said, Wire, frame, notify};

/// In the order in which they are run.
pub(super) const CASES: &[Case] = &[
    Case {
        name: "answers",
        shows: "answers a NOTIFY with an ACK that engines read to its end",
        run: answers,
    },
    Case { name: "repeats-ids", shows: "repeats stream-id and frame-id of any size", run: repeats_ids },
    Case {
        name: "one-after-another",
        shows: "answers many questions on one connection",
        run: one_after_another,
    },
    Case { name: "in-pieces", shows: "takes a NOTIFY that comes byte by byte", run: in_pieces },
    Case { name: "every-type", shows: "takes arguments of every type, named or not", run: every_type },
    Case {
        name: "several-messages",
        shows: "answers several messages of one NOTIFY once",
        run: several_messages,
    },
    Case { name: "many-arguments", shows: "takes 255 arguments", run: many_arguments },
    Case { name: "no-message", shows: "survives a NOTIFY without messages", run: no_message },
    Case { name: "reserved-flags", shows: "ignores reserved flag bits", run: reserved_flags },
    Case {
        name: "pipelining",
        shows: "answers each of 20 questions sent at once, in any order, once",
        run: pipelining,
    },
    Case { name: "not-pipelining", shows: "serves an engine that cannot pipeline", run: not_pipelining },
    Case { name: "async", shows: "answers on any connection of the same engine", run: asynchronous },
    Case {
        name: "fragments",
        shows: "puts a payload in fragments together, split inside a value",
        run: fragments,
    },
    Case {
        name: "fragments-given-up",
        shows: "forgets a payload that the engine gives up",
        run: fragments_given_up,
    },
];

fn answers(agent: &Agent) -> Verdict {
    let (mut wire, _) = agent.greeted()?;
    let ack = agent.exchange(&mut wire, (1, 1))?;
    match ack.payload.len() {
        0 => noted(format!("sets nothing for message '{}'", agent.question.name())),
        bytes => noted(format!("{bytes} bytes of actions for message '{}'", agent.question.name())),
    }
}

fn repeats_ids(agent: &Agent) -> Verdict {
    let (mut wire, _) = agent.greeted()?;
    for ids in [(0, 1), (239, 240), (2287, 2288), (264_431, 1), ((1 << 31) - 1, 1), (u64::from(u32::MAX), 7)]
    {
        agent.exchange(&mut wire, ids)?;
    }
    PASSED
}

fn one_after_another(agent: &Agent) -> Verdict {
    let (mut wire, _) = agent.greeted()?;
    (0..MANY).try_for_each(|number| agent.exchange(&mut wire, (number, 1)).map(drop))?;
    PASSED
}

fn in_pieces(agent: &Agent) -> Verdict {
    let (mut wire, _) = agent.greeted()?;
    wire.send_slowly(&agent.notify((1, 1)));
    answer(&mut wire, (1, 1))?;
    PASSED
}

fn every_type(agent: &Agent) -> Verdict {
    let (mut wire, _) = agent.greeted()?;
    let mut payload = Vec::new();
    NotifyWriter::new(&mut payload)
        .message("tidegate-probe-types")
        .arg("null", TypedData::Null)
        .arg("true", TypedData::Bool(true))
        .arg("false", TypedData::Bool(false))
        .arg("int32", TypedData::Int32(-5))
        .arg("uint32", TypedData::Uint32(u32::MAX))
        .arg("int64", TypedData::Int64(i64::MIN))
        .arg("uint64", TypedData::Uint64(u64::MAX))
        .arg("ipv4", TypedData::Ipv4([192, 0, 2, 1].into()))
        .arg("ipv6", TypedData::Ipv6([0x20; 16].into()))
        .arg("string", TypedData::String(b"text \xff\x00"))
        .arg("empty", TypedData::String(b""))
        .arg("binary", TypedData::Binary(b"\x00\xff"))
        .arg("", TypedData::String(b"unnamed"));
    wire.send(&notify((1, 1), &payload));
    answer(&mut wire, (1, 1))?;
    PASSED
}

fn several_messages(agent: &Agent) -> Verdict {
    let (mut wire, _) = agent.greeted()?;
    let payload = [agent.messages(), agent.messages(), agent.messages()].concat();
    wire.send(&notify((1, 1), &payload));
    answer(&mut wire, (1, 1))?;
    agent.exchange(&mut wire, (2, 1)).map_err(|what| format!("the question behind it: {what}"))?;
    PASSED
}

fn many_arguments(agent: &Agent) -> Verdict {
    let (mut wire, _) = agent.greeted()?;
    let mut payload = Vec::new();
    let mut writer = NotifyWriter::new(&mut payload);
    writer.message("tidegate-probe-many");
    for number in 0..255_u32 {
        writer.arg(number.to_string(), TypedData::Uint32(number));
    }
    wire.send(&notify((1, 1), &payload));
    answer(&mut wire, (1, 1))?;
    PASSED
}

fn no_message(agent: &Agent) -> Verdict {
    let (mut wire, _) = agent.greeted()?;
    wire.send(&notify((1, 1), b""));
    match wire.next() {
        Said::Frame(frame) if frame.header.kind == FrameType::Ack => {
            readable(&frame)?;
            agent.exchange(&mut wire, (2, 1))?;
            PASSED
        }
        Said::Frame(frame) if frame.header.kind == FrameType::AgentDisconnect => {
            noted(format!("refuses it with status {}", frame.status()?.0))
        }
        Said::End => noted("closes"),
        other => Err(format!("expected ACK 1/1, but {}", other.in_words())),
    }
}

fn reserved_flags(agent: &Agent) -> Verdict {
    let (mut wire, _) = agent.greeted()?;
    wire.send(&frame(FrameType::Notify, Flags(0xffff_fff0) | Flags::FIN, (1, 1), &agent.messages()));
    answer(&mut wire, (1, 1))?;
    PASSED
}

fn pipelining(agent: &Agent) -> Verdict {
    let (mut wire, terms) = agent.greeted()?;
    if !terms.capabilities.contains(Capabilities::PIPELINING) {
        return skipped("the agent does not offer pipelining");
    }
    let bytes: Vec<u8> = (0..PIPELINED).flat_map(|number| agent.notify((number, 1))).collect();
    wire.send(&bytes);
    let mut waiting: BTreeSet<u64> = (0..PIPELINED).collect();
    let mut in_order = true;
    while let Some(first) = waiting.first().copied() {
        let said = wire.next();
        let Said::Frame(ack) = &said else {
            return Err(format!("{} of {PIPELINED} unanswered, and {}", waiting.len(), said.in_words()));
        };
        let known = ack.header.kind == FrameType::Ack && ack.header.frame.0 == 1;
        if !known || !waiting.remove(&ack.header.stream.0) {
            return Err(format!("expected one of {} ACKs, but {}", waiting.len(), said.in_words()));
        }
        readable(ack)?;
        in_order &= ack.header.stream.0 == first;
    }
    if in_order { PASSED } else { noted("answers in an order of its own") }
}

fn not_pipelining(agent: &Agent) -> Verdict {
    let (mut wire, terms) = agent.greeted_with(Capabilities::NONE)?;
    (0..3).try_for_each(|number| agent.exchange(&mut wire, (number, 1)).map(drop))?;
    let extra = terms.capabilities & Capabilities::PIPELINING;
    if extra == Capabilities::NONE { PASSED } else { noted("announces pipelining all the same") }
}

fn asynchronous(agent: &Agent) -> Verdict {
    let both = Capabilities::PIPELINING | Capabilities::ASYNC;
    let (mut one, terms) = agent.greeted_with(both)?;
    if !terms.capabilities.contains(Capabilities::ASYNC) {
        return skipped("the agent does not offer async");
    }
    let (mut two, _) = agent.greeted_with(both)?;
    for number in 0..PIPELINED {
        let wire = if number % 2 == 0 { &mut one } else { &mut two };
        wire.send(&agent.notify((number, 1)));
    }
    let mut waiting: BTreeSet<u64> = (0..PIPELINED).collect();
    let mut crossed = 0;
    let mut idle = 0;
    // Neither connection must be silent for ever while something is owed; one alone may be.
    while !waiting.is_empty() && idle < 2 {
        for (at, wire) in [&mut one, &mut two].into_iter().enumerate() {
            match wire.next_within(agent.patience / 4) {
                Said::Frame(ack) if ack.header.kind == FrameType::Ack => {
                    let stream = ack.header.stream.0;
                    if !waiting.remove(&stream) {
                        return Err(format!("ACK {stream}/1 for nothing that was asked"));
                    }
                    crossed += u64::from(stream % 2 != at as u64);
                    idle = 0;
                }
                Said::Silence => idle += 1,
                other => return Err(format!("{} unanswered, and {}", waiting.len(), other.in_words())),
            }
        }
    }
    match (waiting.len(), crossed) {
        (0, 0) => noted("answers on the connection of the question"),
        (0, crossed) => noted(format!("{crossed} of {PIPELINED} answers came on the other connection")),
        (left, _) => Err(format!("{left} of {PIPELINED} unanswered")),
    }
}

fn fragments(agent: &Agent) -> Verdict {
    let (mut wire, terms) = agent.greeted()?;
    if !terms.capabilities.contains(Capabilities::FRAGMENTATION) {
        return skipped("the agent does not offer fragmentation");
    }
    let payload = body(600);
    send_fragments(&mut wire, (1, 1), &payload);
    answer(&mut wire, (1, 1))?;
    agent.exchange(&mut wire, (2, 1)).map_err(|what| format!("the question behind it: {what}"))?;
    PASSED
}

fn fragments_given_up(agent: &Agent) -> Verdict {
    let (mut wire, terms) = agent.greeted()?;
    if !terms.capabilities.contains(Capabilities::FRAGMENTATION) {
        return skipped("the agent does not offer fragmentation");
    }
    wire.send(&frame(FrameType::Notify, Flags::NONE, (1, 1), &body(600)[..200]));
    wire.send(&frame(FrameType::Unset, Flags::FIN | Flags::ABORT, (1, 1), b""));
    // Only the next question may be answered.
    agent.exchange(&mut wire, (2, 1))?;
    PASSED
}

/// A message with a body of that size.
fn body(bytes: usize) -> Vec<u8> {
    let body = vec![b'x'; bytes];
    let mut payload = Vec::new();
    NotifyWriter::new(&mut payload).message("tidegate-probe-body").arg("body", TypedData::Binary(&body));
    payload
}

fn send_fragments(wire: &mut Wire, ids: (u64, u64), payload: &[u8]) {
    let parts: Vec<&[u8]> = payload.chunks(200).collect();
    for (at, part) in parts.iter().enumerate() {
        let kind = if at == 0 { FrameType::Notify } else { FrameType::Unset };
        let flags = if at + 1 == parts.len() { Flags::FIN } else { Flags::NONE };
        wire.send(&frame(kind, flags, ids, part));
    }
}

/// Questions on one connection.
const MANY: u64 = 100;
/// Questions at once: what HAProxy's `max-waiting-frames` is by default.
const PIPELINED: u64 = 20;
