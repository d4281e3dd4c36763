//! An agent on the crate `spop`, after that crate's own example: the other end of interoperation tests, and what
//! our agent is measured beside.
//!
//! It answers the message `ask` with `txn.score` = 42 and, if it has an argument `path`, with `txn.echo` = that.
//! Prints its address, and serves until it is killed.

#![expect(clippy::disallowed_methods, reason = "a program of its own: its clock and its tasks are real")]

use std::env;
use std::io::{Write as _, stdout};

use futures_util::{SinkExt as _, StreamExt as _};
use spop::{
    MAX_FRAME_SIZE_LIMIT, SpopCodec, StatusCode,
    actions::VarScope,
    frame::{FramePayload, FrameType},
    frames::{Ack, AgentDisconnect, AgentHello, FrameCapabilities, HaproxyHello},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::Framed;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("{}", listener.local_addr()?);
    stdout().flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A proxy that leaves is no failure.
        tokio::spawn(async { drop(serve(stream).await) });
    }
}

async fn serve(stream: TcpStream) -> Result<(), Failure> {
    let mut socket = Framed::new(stream, SpopCodec::default());
    while let Some(frame) = socket.next().await {
        let frame = frame?;
        match frame.frame_type() {
            FrameType::HaproxyHello => {
                let hello = HaproxyHello::try_from(frame.payload()).map_err(|_| "no HAPROXY-HELLO")?;
                let Some(version) = hello.negotiate_version() else {
                    return disconnect(&mut socket, StatusCode::BadVersion).await;
                };
                let max_frame_size = match hello.negotiate_max_frame_size(MAX_FRAME_SIZE_LIMIT) {
                    Ok(size) => size,
                    Err(status) => return disconnect(&mut socket, status).await,
                };
                socket.codec_mut().set_max_frame_size(max_frame_size);
                let capabilities = vec![FrameCapabilities::Pipelining];
                socket.send(Box::new(AgentHello { version, max_frame_size, capabilities })).await?;
                if hello.healthcheck.unwrap_or(false) {
                    return Ok(());
                }
            }
            FrameType::HaproxyDisconnect => return disconnect(&mut socket, StatusCode::None).await,
            FrameType::Notify => {
                let FramePayload::ListOfMessages(messages) = &frame.payload() else { continue };
                let mut ack = Ack::new(frame.metadata().stream_id, frame.metadata().frame_id);
                for message in messages.iter().filter(|message| message.name == "ask") {
                    if let Some(path) = message.get("path") {
                        ack = ack.set_var(VarScope::Transaction, "echo", path.clone());
                    }
                    ack = ack.set_var(VarScope::Transaction, "score", 42);
                }
                socket.send(Box::new(ack)).await?;
            }
            _ => {}
        }
    }
    Ok(())
}

async fn disconnect(socket: &mut Framed<TcpStream, SpopCodec>, status: StatusCode) -> Result<(), Failure> {
    let frame = AgentDisconnect { status_code: status.to_u32(), message: status.message().to_string() };
    socket.send(Box::new(frame)).await?;
    Ok(socket.close().await?)
}
