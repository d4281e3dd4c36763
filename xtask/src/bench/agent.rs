//! The SPOE agent beside a measured proxy: the same answer to every question, as cheaply as can be.

use std::io::{Write, stdout};
use std::net::{Ipv4Addr, TcpListener};

use anyhow::Result;
use clap::Args;

use super::aide::end_with_parent;
use super::server::serve;

/// Nothing to choose.
#[derive(Args)]
pub(crate) struct Options {}

const HAPROXY_HELLO: u8 = 1;
const HAPROXY_DISCONNECT: u8 = 2;
const NOTIFY: u8 = 3;
const AGENT_HELLO: u8 = 101;
const ACK: u8 = 103;
const FIN: [u8; 4] = [0, 0, 0, 1];

/// `version` = "2.0", `max-frame-size` = 16380, `capabilities` = "pipelining".
const HELLO: &[u8] =
    b"\x07version\x08\x032.0\x0emax-frame-size\x03\xfc\xf0\x06\x0ccapabilities\x08\x0apipelining";
/// SET-VAR, 3 arguments, scope txn, `score` = int32 42.
const ACTIONS: &[u8] = b"\x01\x03\x02\x05score\x02\x2a";

/// Serves until the parent lets go. Prints its port.
pub(crate) fn run(_: &Options) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?.port());
    stdout().flush()?;
    end_with_parent();
    serve(&listener, |input, output| {
        let mut used = 0;
        while let Some(frame) = whole_frame(&input[used..]) {
            used += 4 + frame.len();
            if !answer(frame, output) {
                return false;
            }
        }
        input.drain(..used);
        true
    })
}

/// Answers one frame; false if it ends the connection.
fn answer(frame: &[u8], output: &mut Vec<u8>) -> bool {
    match frame.first() {
        Some(&HAPROXY_HELLO) => write_frame(output, AGENT_HELLO, &[0, 0], HELLO),
        Some(&NOTIFY) => {
            let Some(ids) = frame.get(5..).and_then(ids) else { return false };
            write_frame(output, ACK, ids, ACTIONS);
        }
        Some(&HAPROXY_DISCONNECT) | Some(_) | None => return false,
    }
    true
}

/// The bytes of a frame after its length, once all are there.
fn whole_frame(input: &[u8]) -> Option<&[u8]> {
    let (length, rest) = input.split_first_chunk::<4>()?;
    rest.get(..u32::from_be_bytes(*length) as usize)
}

/// The two varints at the front, as they came.
fn ids(body: &[u8]) -> Option<&[u8]> {
    let stream = varint_length(body)?;
    let frame = varint_length(&body[stream..])?;
    Some(&body[..stream + frame])
}

fn varint_length(bytes: &[u8]) -> Option<usize> {
    let (first, rest) = bytes.split_first()?;
    if *first < 240 {
        return Some(1);
    }
    rest.iter().position(|byte| *byte < 128).map(|last| last + 2)
}

fn write_frame(output: &mut Vec<u8>, kind: u8, ids: &[u8], payload: &[u8]) {
    let length = (1 + FIN.len() + ids.len() + payload.len()) as u32;
    output.extend(length.to_be_bytes());
    output.push(kind);
    output.extend(FIN);
    output.extend(ids);
    output.extend(payload);
}

#[cfg(test)]
mod tests {
    use super::ids;

    #[test]
    fn ids_are_copied_whatever_their_length() {
        assert_eq!(ids(b"\x00\x01rest"), Some(&b"\x00\x01"[..]));
        assert_eq!(ids(b"\xf0\x80\x00\x01rest"), Some(&b"\xf0\x80\x00\x01"[..]));
        assert_eq!(ids(b"\xf0\x80"), None);
    }
}
