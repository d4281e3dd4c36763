//! The agent under test, and what cases do with it again and again.

use std::time::Duration;

use spoe::{
    Status, TypedData,
    frame::{ActionReader, Capabilities, Flags, FrameType},
};

use super::case::{Outcome, Verdict, noted};
use crate::spoa::{
    address::Address,
    question::Question,
    wire::{Owned, Said, Terms, Wire, hello, notify},
};

/// The agent, and how it is asked.
pub(super) struct Agent {
    pub(super) address: Address,
    /// How long any answer may take.
    pub(super) patience: Duration,
    /// The largest frame offered, in bytes.
    pub(super) offered: u32,
    /// What it is asked.
    pub(super) question: Question,
}

impl Agent {
    /// A connection on which nothing was said.
    pub(super) fn open(&self) -> Result<Wire, String> {
        Wire::connect(&self.address, self.patience).map_err(|error| format!("connecting: {error}"))
    }

    /// The greeting of an engine with this name that offers these.
    pub(super) fn hello(&self, capabilities: Capabilities, engine_id: &str) -> Vec<u8> {
        hello(&[
            ("supported-versions", "2.0".into()),
            ("max-frame-size", TypedData::Uint32(self.offered)),
            ("capabilities", capabilities.as_str().into()),
            ("engine-id", engine_id.into()),
        ])
    }

    /// A greeted connection that offers pipelining.
    pub(super) fn greeted(&self) -> Result<(Wire, Terms), String> {
        self.greeted_with(Capabilities::PIPELINING)
    }

    /// A greeted connection that offers these capabilities.
    pub(super) fn greeted_with(&self, capabilities: Capabilities) -> Result<(Wire, Terms), String> {
        self.greeted_as(capabilities, ENGINE_ID)
    }

    /// The same for an engine of that name.
    pub(super) fn greeted_as(
        &self,
        capabilities: Capabilities,
        engine_id: &str,
    ) -> Result<(Wire, Terms), String> {
        let mut wire = self.open()?;
        wire.send(&self.hello(capabilities, engine_id));
        let terms = wire.greeting(self.offered, capabilities)?;
        Ok((wire, terms))
    }

    /// The list of messages that is asked.
    pub(super) fn messages(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        self.question.write(&mut payload);
        payload
    }

    /// A whole NOTIFY with it.
    pub(super) fn notify(&self, ids: (u64, u64)) -> Vec<u8> {
        notify(ids, &self.messages())
    }

    /// Asks on a connection and takes the answer: what shows that the agent still works there.
    pub(super) fn exchange(&self, wire: &mut Wire, ids: (u64, u64)) -> Result<Owned, String> {
        wire.send(&self.notify(ids));
        answer(wire, ids)
    }
}

/// Takes the ACK with these ids, whole and readable.
pub(super) fn answer(wire: &mut Wire, ids: (u64, u64)) -> Result<Owned, String> {
    let said = wire.next();
    let Said::Frame(frame) = &said else {
        return Err(format!("expected ACK {}/{}, but {}", ids.0, ids.1, said.in_words()));
    };
    if frame.header.kind != FrameType::Ack || (frame.header.stream.0, frame.header.frame.0) != ids {
        return Err(format!("expected ACK {}/{}, but {}", ids.0, ids.1, said.in_words()));
    }
    readable(frame)?;
    Ok(frame.clone())
}

/// Whether an ACK is one that engines read to its end.
pub(super) fn readable(ack: &Owned) -> Result<(), String> {
    if ack.header.flags != Flags::FIN {
        return Err(format!("ACK must have FIN alone, not flags {:#x}", ack.header.flags.0));
    }
    match ActionReader::new(&ack.payload).find_map(Result::err) {
        Some(error) => Err(format!("ACK: {error} of its actions")),
        None => Ok(()),
    }
}

/// The connection must end now, with an AGENT-DISCONNECT (noted if it is another than `wanted`) or without
/// (noted, too).
pub(super) fn refused(wire: &mut Wire, wanted: &[Status]) -> Verdict {
    let said = wire.next();
    match &said {
        Said::End => noted("closed without AGENT-DISCONNECT"),
        Said::Frame(frame) if frame.header.kind == FrameType::AgentDisconnect => {
            let status = frame.status()?;
            ended(wire)?;
            match wanted.contains(&status) {
                true => Ok(Outcome::Passed(None)),
                false => noted(format!("status {} ({}) instead of {}", status.0, status.text(), wanted[0].0)),
            }
        }
        _ => Err(format!("expected AGENT-DISCONNECT {}, but {}", wanted[0].0, said.in_words())),
    }
}

/// Nothing more may come but the end.
pub(super) fn ended(wire: &mut Wire) -> Result<(), String> {
    match wire.next() {
        Said::End => Ok(()),
        Said::Silence => Err("the agent does not close after its AGENT-DISCONNECT".to_owned()),
        other => Err(format!("expected the end after AGENT-DISCONNECT, but {}", other.in_words())),
    }
}

/// The engine's name in greetings.
pub(super) const ENGINE_ID: &str = "3a1c6bd0-7a5e-4c31-9d4e-2f7d1f0e5a10";
