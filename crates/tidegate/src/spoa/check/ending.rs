//! The end of connections: DISCONNECT, and peers that just leave.

use spoe::{Status, frame::FrameType};

use super::{
    agent::{Agent, ended},
    case::{Case, PASSED, Verdict, noted},
};
use crate::spoa::wire::{Said, Wire, disconnect};

/// In the order in which they are run.
pub(super) const CASES: &[Case] = &[
    Case { name: "disconnect", shows: "answers DISCONNECT with its own and closes", run: bids_farewell },
    Case { name: "disconnect-with-error", shows: "does so whatever the status", run: with_error },
    Case { name: "disconnect-while-waiting", shows: "does so while answers are due", run: while_waiting },
    Case {
        name: "leaves-in-the-middle",
        shows: "survives engines that leave in the middle of a frame",
        run: leaves,
    },
    Case { name: "still-there", shows: "still answers after all this", run: still_there },
];

fn bids_farewell(agent: &Agent) -> Verdict {
    let (mut wire, _) = agent.greeted()?;
    agent.exchange(&mut wire, (1, 1))?;
    wire.send(&disconnect(Status::NORMAL));
    farewell(&mut wire)
}

fn with_error(agent: &Agent) -> Verdict {
    for status in [Status::TIMEOUT, Status::UNKNOWN, Status(200)] {
        let (mut wire, _) = agent.greeted()?;
        wire.send(&disconnect(status));
        farewell(&mut wire).map_err(|what| format!("status {}: {what}", status.0))?;
    }
    PASSED
}

fn while_waiting(agent: &Agent) -> Verdict {
    let (mut wire, _) = agent.greeted()?;
    wire.send(&[agent.notify((1, 1)), disconnect(Status::NORMAL)].concat());
    match wire.next() {
        // An answer that was ready is welcome, but nobody waits for it.
        Said::Frame(frame) if frame.header.kind == FrameType::Ack => farewell(&mut wire),
        said => farewell_is(&mut wire, &said),
    }
}

fn leaves(agent: &Agent) -> Verdict {
    let hello = agent.hello(spoe::frame::Capabilities::PIPELINING, super::agent::ENGINE_ID);
    for cut in [0, 1, 4, 9, hello.len() / 2, hello.len() - 1, hello.len()] {
        agent.open()?.send(&hello[..cut]);
    }
    let notify = agent.notify((1, 1));
    for cut in [1, 4, notify.len() / 2, notify.len()] {
        let (mut wire, _) = agent.greeted()?;
        wire.send(&notify[..cut]);
    }
    still_there(agent)
}

fn still_there(agent: &Agent) -> Verdict {
    let (mut wire, _) = agent.greeted()?;
    agent.exchange(&mut wire, (1, 1))?;
    PASSED
}

fn farewell(wire: &mut Wire) -> Verdict {
    let said = wire.next();
    farewell_is(wire, &said)
}

fn farewell_is(wire: &mut Wire, said: &Said) -> Verdict {
    match said {
        Said::Frame(frame) if frame.header.kind == FrameType::AgentDisconnect => {
            let status = frame.status()?;
            ended(wire)?;
            if status == Status::NORMAL { PASSED } else { noted(format!("answers with status {}", status.0)) }
        }
        Said::End => noted("closed without AGENT-DISCONNECT"),
        other => Err(format!("expected AGENT-DISCONNECT, but {}", other.in_words())),
    }
}
