//! Frames at the limit agreed, and beyond it.

use spoe::{
    Status, TypedData,
    frame::{Capabilities, NotifyWriter, header::FRAME_BYTES_MIN, varint},
};

use super::{
    agent::{Agent, answer, refused},
    case::{Case, PASSED, Verdict, noted},
};
use crate::spoa::wire::{Said, hello, notify};

/// In the order in which they are run.
pub(super) const CASES: &[Case] = &[
    Case { name: "full-frame", shows: "takes a NOTIFY of exactly the size agreed", run: full_frame },
    Case {
        name: "smallest-size",
        shows: "keeps its answers within 256 bytes where that was agreed",
        run: smallest,
    },
    Case { name: "too-big", shows: "refuses a frame of one byte more with status 3", run: too_big },
    Case { name: "huge-length", shows: "refuses a length of 4 GiB at once", run: huge_length },
];

fn full_frame(agent: &Agent) -> Verdict {
    let (mut wire, terms) = agent.greeted()?;
    let size = terms.frame_size_bytes_max as usize;
    wire.send(&notify((1, 1), &filler(size - FRAME_BYTES_MIN)));
    let ack = answer(&mut wire, (1, 1))?;
    if ack.length > size {
        return Err(format!("its ACK has {} bytes, but {size} were agreed", ack.length));
    }
    noted(format!("{size} bytes"))
}

fn smallest(agent: &Agent) -> Verdict {
    let mut wire = agent.open()?;
    wire.send(&hello(&[
        ("supported-versions", "2.0".into()),
        ("max-frame-size", TypedData::Uint32(256)),
        ("capabilities", "pipelining".into()),
    ]));
    wire.greeting(256, Capabilities::PIPELINING)?;
    let ack = agent.exchange(&mut wire, (1, 1))?;
    match ack.length {
        length if length > 256 => Err(format!("its ACK has {length} bytes")),
        _ => PASSED,
    }
}

fn too_big(agent: &Agent) -> Verdict {
    let (mut wire, terms) = agent.greeted()?;
    let size = terms.frame_size_bytes_max as usize;
    wire.send(&notify((1, 1), &filler(size + 1 - FRAME_BYTES_MIN)));
    refused(&mut wire, &[Status::TOO_BIG])
}

fn huge_length(agent: &Agent) -> Verdict {
    let (mut wire, _) = agent.greeted()?;
    wire.send(&[0xff, 0xff, 0xff, 0xff, 3, 0, 0, 0, 1, 1, 1]);
    let verdict = refused(&mut wire, &[Status::TOO_BIG, Status::INVALID]);
    let verdict = verdict.map_err(|what| format!("{what}: it may be waiting for all of them"))?;
    // Whoever reserved that much memory may not live any more.
    match agent.open()?.next_within(std::time::Duration::from_millis(1)) {
        Said::Silence => Ok(verdict),
        other => Err(format!("on a new connection {}", other.in_words())),
    }
}

/// A message that takes exactly so many bytes.
fn filler(bytes: usize) -> Vec<u8> {
    let message = |length: usize| {
        let body = vec![b'x'; length];
        let mut payload = Vec::new();
        NotifyWriter::new(&mut payload).message("tidegate-probe-size").arg("x", TypedData::Binary(&body));
        payload
    };
    let around = message(0).len() - 1;
    let wanted = bytes - around;
    // The length's own length depends on it.
    let fits = (0..=10)
        .map(|own| wanted.saturating_sub(own))
        .find(|length| varint::encoded_len(*length as u64) + length == wanted);
    match fits {
        Some(length) => message(length),
        // At a boundary of the encoding no value has that size: the name takes the byte.
        None => {
            let mut payload = Vec::new();
            let body = vec![b'x'; wanted - 1 - varint::encoded_len(wanted as u64 - 4)];
            NotifyWriter::new(&mut payload)
                .message("tidegate-probe-sizes")
                .arg("x", TypedData::Binary(&body));
            payload
        }
    }
}

#[cfg(test)]
mod tests {
    use super::filler;

    #[test]
    fn fillers_have_just_the_size() {
        for bytes in [249, 250, 300, 1000, 2300, 16_373, 16_374, 65_536] {
            assert_eq!(filler(bytes).len(), bytes);
        }
    }
}
