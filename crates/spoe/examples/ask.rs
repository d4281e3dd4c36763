//! Asks an agent: the engine on tokio, with a host in eighty lines. Prints each answer.
//!
//! ```text
//! cargo run --example ask --features tokio-net -- 127.0.0.1:12345 get-ip-reputation ip 192.0.2.1
//! ```

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use spoe::agent::TokioClock;
use spoe::host::{Clock, Connecting, Host, Notice, Timer};
use spoe::{Action, Engine, EngineConfig, StreamId, TypedData};
use tokio::net::TcpStream;

/// What the engine needs: connections to one address, tokio's clock and tasks.
struct TokioHost {
    address: String,
}

impl Host for TokioHost {
    fn now(&self) -> Instant {
        TokioClock.now()
    }

    fn connect(&self) -> Connecting {
        let address = self.address.clone();
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<_>)
        })
    }

    #[expect(clippy::disallowed_methods, reason = "this is the host")]
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()>>>) {
        tokio::task::spawn_local(task);
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(TokioClock.timer())
    }

    fn random(&self) -> u128 {
        // Good enough to tell engines apart on one machine.
        u128::from(std::process::id()) << 64 | std::ptr::from_ref(self).addr() as u128
    }

    fn notice(&self, notice: Notice) {
        eprintln!("{notice:?}");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, message, pairs @ ..] = &arguments[..] else {
        eprintln!("usage: ask ADDRESS MESSAGE [NAME VALUE]...");
        std::process::exit(2);
    };
    tokio::task::LocalSet::new().run_until(ask(address, message, pairs)).await;
    Ok(())
}

async fn ask(address: &str, message: &str, pairs: &[String]) {
    let config = EngineConfig { processing_timeout: Some(Duration::from_secs(5)), ..EngineConfig::default() };
    let engine = Engine::new(config, Box::new(TokioHost { address: address.to_owned() }));
    let exchange = engine.exchange(StreamId(0), &mut |writer| {
        writer.message(message);
        for pair in pairs.chunks_exact(2) {
            // An address is sent as one, a number as one, the rest as text.
            let value = match (pair[1].parse::<IpAddr>(), pair[1].parse::<i64>()) {
                (Ok(address), _) => address.into(),
                (_, Ok(number)) => number.into(),
                _ => TypedData::from(&pair[1]),
            };
            writer.arg(&pair[0], value);
        }
    });
    match exchange.await {
        Ok(actions) => actions.iter().for_each(print),
        Err(error) => println!("error {}: {error}", error.code()),
    }
}

fn print(action: Action<'_>) {
    match action {
        Action::SetVar { scope, name, value } => {
            println!("set {scope}.{} = {value:?}", String::from_utf8_lossy(name));
        }
        Action::UnsetVar { scope, name } => println!("unset {scope}.{}", String::from_utf8_lossy(name)),
    }
}
