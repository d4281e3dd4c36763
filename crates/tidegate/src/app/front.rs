//! What a process listens on: the frontends' addresses and the runtime API's.

use std::{io, sync::Arc};

use proxy_core::{
    config::{AccessLevel, Bind, Config, Proxy, StatsSocket},
    host::Addr,
    log::Level,
};

use super::{Refused, refuse};
use crate::{accept::Limit, console, net::Listening, process};

/// A frontend's address with its listening socket.
pub(super) struct Front {
    pub(super) proxy: Arc<Proxy>,
    pub(super) bind: Arc<Bind>,
    pub(super) listening: Listening,
    pub(super) limit: Arc<Limit>,
}

impl Front {
    /// The same for another worker.
    pub(super) fn another(&self) -> io::Result<Self> {
        Ok(Self {
            proxy: self.proxy.clone(),
            bind: self.bind.clone(),
            listening: self.listening.another()?,
            limit: self.limit.clone(),
        })
    }
}

/// Opens every `bind` of every proxy; says of each that cannot be opened why.
pub(super) fn open_all(config: &Config) -> Result<Vec<Front>, Refused> {
    let mut fronts = Vec::new();
    let mut failed = false;
    for proxy in config.proxies.iter().filter(|proxy| !proxy.disabled) {
        let limit = Limit::new(proxy.maxconn);
        for bind in &proxy.binds {
            match Listening::open(bind) {
                Ok(listening) => fronts.push(Front {
                    proxy: proxy.clone(),
                    bind: bind.clone(),
                    listening,
                    limit: limit.clone(),
                }),
                Err(error) => {
                    let kind = if proxy.capabilities.backend { "proxy" } else { "frontend" };
                    let (place, why) = (&bind.place, cannot_bind(&bind.addr, &error));
                    let text =
                        format!("Binding [{}:{}] for {kind} {}: {why}", place.file, place.line, proxy.name);
                    console::print(Level::Alert, &text);
                    failed = true;
                }
            }
        }
    }
    if failed {
        return Err(refuse("Some protocols failed to start their listeners! Exiting."));
    }
    Ok(fronts)
}

fn cannot_bind(addr: &Addr, error: &io::Error) -> String {
    let why = process::describe(error);
    match addr {
        Addr::Unix(path) => format!("cannot bind UNIX socket ({why}) [{}]", path.display()),
        addr => format!("cannot bind socket ({why}) for [{addr}]"),
    }
}

/// A socket of the runtime API, and what its users may do.
pub(super) type StatsListening = (Listening, AccessLevel);

/// Opens every `stats socket`.
pub(super) fn open_stats(config: &Config) -> Result<Vec<StatsListening>, Refused> {
    let open = |socket: &StatsSocket| {
        let listening = Listening::open_addr(&socket.addr, 10, false, socket.mode)
            .map_err(|error| refuse(format_args!("stats socket: {}", cannot_bind(&socket.addr, &error))))?;
        Ok((listening, socket.level))
    };
    config.global.stats_sockets.iter().map(open).collect()
}
