//! The greeting: versions, sizes, items, health checks.

use spoe::{
    Status, TypedData,
    frame::{Capabilities, FrameType},
};

use super::{
    agent::{Agent, refused},
    case::{Case, PASSED, Verdict, noted},
};
use crate::spoa::wire::{Said, hello};

/// In the order in which they are run.
pub(super) const CASES: &[Case] = &[
    Case { name: "greets", shows: "answers HAPROXY-HELLO with a whole AGENT-HELLO", run: greets },
    Case { name: "greets-in-pieces", shows: "takes a HELLO that comes byte by byte", run: greets_in_pieces },
    Case {
        name: "greets-without-engine-id",
        shows: "does not need the optional engine-id",
        run: no_engine_id,
    },
    Case { name: "version-list", shows: "finds 2.0 among other versions, spaces or not", run: version_list },
    Case {
        name: "version-refused",
        shows: "refuses versions it does not speak with status 8",
        run: version_refused,
    },
    Case {
        name: "frame-size-agreed",
        shows: "answers at most the max-frame-size offered",
        run: sizes_agreed,
    },
    Case {
        name: "item-order",
        shows: "takes the items in any order and skips unknown ones",
        run: item_order,
    },
    Case {
        name: "no-version",
        shows: "refuses a HELLO without supported-versions with status 5",
        run: no_version,
    },
    Case {
        name: "no-frame-size",
        shows: "refuses a HELLO without max-frame-size with status 6",
        run: no_size,
    },
    Case { name: "cut-item", shows: "refuses a HELLO whose last item is cut", run: cut_item },
    Case { name: "health-check", shows: "answers a health check's HELLO", run: health_check },
    Case { name: "many-greetings", shows: "greets many connections at once", run: many_greetings },
];

const VERSIONS: (&str, TypedData<'_>) = ("supported-versions", TypedData::String(b"2.0"));
const SIZE: (&str, TypedData<'_>) = ("max-frame-size", TypedData::Uint32(16_380));
const CAPABILITIES: (&str, TypedData<'_>) = ("capabilities", TypedData::String(b"pipelining"));

fn greets(agent: &Agent) -> Verdict {
    let (_, terms) = agent.greeted()?;
    noted(format!(
        "frames up to {} bytes, capabilities [{}]",
        terms.frame_size_bytes_max,
        terms.capabilities.as_str()
    ))
}

fn greets_in_pieces(agent: &Agent) -> Verdict {
    let mut wire = agent.open()?;
    wire.send_slowly(&agent.hello(Capabilities::PIPELINING, super::agent::ENGINE_ID));
    wire.greeting(agent.offered, Capabilities::PIPELINING)?;
    PASSED
}

fn no_engine_id(agent: &Agent) -> Verdict {
    let mut wire = agent.open()?;
    wire.send(&hello(&[VERSIONS, SIZE, CAPABILITIES]));
    wire.greeting(16_380, Capabilities::PIPELINING)?;
    PASSED
}

fn version_list(agent: &Agent) -> Verdict {
    for versions in ["1.0,2.0", " 2.0 , 3.1", "3.0,2.5,1.5"] {
        let mut wire = agent.open()?;
        wire.send(&hello(&[("supported-versions", versions.into()), SIZE, CAPABILITIES]));
        wire.greeting(16_380, Capabilities::PIPELINING).map_err(|what| format!("{versions:?}: {what}"))?;
    }
    PASSED
}

fn version_refused(agent: &Agent) -> Verdict {
    for versions in ["1.0", "3.0"] {
        let mut wire = agent.open()?;
        wire.send(&hello(&[("supported-versions", versions.into()), SIZE, CAPABILITIES]));
        let verdict = refused(&mut wire, &[Status::BAD_VERSION]);
        let verdict = verdict.map_err(|what| format!("{versions:?}: {what}"))?;
        if verdict != super::Outcome::Passed(None) {
            return Ok(verdict);
        }
    }
    PASSED
}

fn sizes_agreed(agent: &Agent) -> Verdict {
    for size in [256, 1000, 4096, 65_536] {
        let mut wire = agent.open()?;
        wire.send(&hello(&[VERSIONS, ("max-frame-size", TypedData::Uint32(size)), CAPABILITIES]));
        wire.greeting(size, Capabilities::PIPELINING).map_err(|what| format!("offered {size}: {what}"))?;
    }
    PASSED
}

fn item_order(agent: &Agent) -> Verdict {
    let mut wire = agent.open()?;
    let strange = ("x-unknown", TypedData::Ipv6([1; 16].into()));
    wire.send(&hello(&[strange, CAPABILITIES, ("another", TypedData::Null), SIZE, VERSIONS]));
    wire.greeting(16_380, Capabilities::PIPELINING)?;
    PASSED
}

fn no_version(agent: &Agent) -> Verdict {
    let mut wire = agent.open()?;
    wire.send(&hello(&[SIZE, CAPABILITIES]));
    refused(&mut wire, &[Status::NO_VERSION])
}

fn no_size(agent: &Agent) -> Verdict {
    let mut wire = agent.open()?;
    wire.send(&hello(&[VERSIONS, CAPABILITIES]));
    refused(&mut wire, &[Status::NO_FRAME_SIZE])
}

fn cut_item(agent: &Agent) -> Verdict {
    let mut wire = agent.open()?;
    let mut bytes = hello(&[VERSIONS, SIZE, CAPABILITIES]);
    bytes.truncate(bytes.len() - 3);
    bytes[3] -= 3;
    wire.send(&bytes);
    refused(&mut wire, &[Status::INVALID])
}

fn health_check(agent: &Agent) -> Verdict {
    let mut wire = agent.open()?;
    wire.send(&spoe::connection::health_check::request());
    wire.greeting(16_380, Capabilities::NONE)?;
    match wire.next() {
        Said::End => PASSED,
        Said::Silence => noted("leaves it to the proxy to close"),
        Said::Frame(frame) if frame.header.kind == FrameType::AgentDisconnect => {
            frame.status()?;
            noted("says AGENT-DISCONNECT after its HELLO, which HAProxy 3.4.0 takes for a failed check")
        }
        other => Err(format!("expected the end after the greeting, but {}", other.in_words())),
    }
}

fn many_greetings(agent: &Agent) -> Verdict {
    let mut wires = (0..MANY).map(|_| agent.open()).collect::<Result<Vec<_>, _>>()?;
    for wire in &mut wires {
        wire.send(&agent.hello(Capabilities::PIPELINING, super::agent::ENGINE_ID));
    }
    for (number, wire) in wires.iter_mut().enumerate() {
        let greeted = wire.greeting(agent.offered, Capabilities::PIPELINING);
        greeted.map_err(|what| format!("connection {} of {MANY}: {what}", number + 1))?;
    }
    for (number, wire) in wires.iter_mut().enumerate() {
        agent.exchange(wire, (number as u64, 1))?;
    }
    PASSED
}

/// Connections at once.
const MANY: usize = 50;
