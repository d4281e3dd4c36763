//! The HTTP client's settings (`httpclient.*`) and its way to origins: names, TCP, TLS.
//!
//! Source: configuration.txt, `httpclient.resolvers.*`, `httpclient.retries`, `httpclient.ssl.*`,
//! `httpclient.timeout.connect`.

use std::{
    cell::RefCell,
    io,
    rc::{Rc, Weak},
    sync::{Arc, OnceLock},
    time::Duration,
};

use proxy_core::{
    cfgparse::{ParseError, parse_duration},
    client::{Client, Dial, Origin, Settings},
    host::{Addr, BoxIo, ConnectFuture},
    registry::{GlobalContext, GlobalKeyword, Registry},
    worker::Worker,
};
use rustls::ClientConfig;

use crate::tls;

/// The settings of the process.
#[derive(Debug, Default)]
pub struct HttpClientPlan {
    settings: Settings,
    names: Names,
    ca: Authorities,
    /// The authorities once they were read; `None` where they could not be: no TLS then.
    tls: OnceLock<Option<Arc<ClientConfig>>>,
}

/// What is done with host names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Names {
    disabled: bool,
    prefer_v4: bool,
}

/// Whose certificates are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Authorities {
    /// Anybody's.
    Any,
    /// Those of this file, or the system's.
    Of(String),
}

impl Default for Authorities {
    fn default() -> Self {
        Self::Of(tls::SYSTEM_CA.to_owned())
    }
}

type Handler = fn(&mut HttpClientPlan, &str) -> Result<(), ParseError>;

const KEYWORDS: &[(&str, Handler)] = &[
    ("httpclient.resolvers.disabled", |plan, word| {
        plan.names.disabled = choice(word, ["off", "on"])? == 1;
        Ok(())
    }),
    ("httpclient.resolvers.id", |_, id| match id {
        // There is one resolver: the system's.
        "default" => Ok(()),
        id => Err(ParseError::at(1, format!("no resolvers section '{id}'"))),
    }),
    ("httpclient.resolvers.prefer", |plan, word| {
        plan.names.prefer_v4 = choice(word, ["ipv6", "ipv4"])? == 1;
        Ok(())
    }),
    ("httpclient.retries", |plan, word| {
        plan.settings.retries = word.parse().map_err(|_| ParseError::at(1, "expects a number"))?;
        Ok(())
    }),
    ("httpclient.ssl.ca-file", |plan, file| {
        let config = tls::verified(file)
            .map_err(|error| ParseError::at(1, format!("cannot load the ca-file '{file}': {error}")))?;
        plan.tls = OnceLock::from(Some(config));
        plan.ca = Authorities::Of(file.to_owned());
        Ok(())
    }),
    ("httpclient.ssl.verify", |plan, word| {
        if choice(word, ["required", "none"])? == 1 {
            plan.ca = Authorities::Any;
        }
        Ok(())
    }),
    ("httpclient.timeout.connect", |plan, word| {
        let time = parse_duration(word, Duration::from_millis(1))?;
        plan.settings.connect_timeout = time;
        Ok(())
    }),
];

fn choice(word: &str, words: [&str; 2]) -> Result<usize, ParseError> {
    let known = words.iter().position(|known| *known == word);
    known.ok_or_else(|| {
        ParseError::at(1, format!("expects '{}' or '{}' but got '{word}'", words[1], words[0]))
    })
}

/// Adds the keywords to the tables; what they say ends up in `plan`.
pub fn register(registry: &mut Registry, plan: &Rc<RefCell<HttpClientPlan>>) {
    for (name, handler) in KEYWORDS {
        let keyword = Keyword { plan: plan.clone(), handler: *handler };
        registry.globals.insert((*name).to_owned(), Rc::new(keyword));
    }
}

struct Keyword {
    plan: Rc<RefCell<HttpClientPlan>>,
    handler: Handler,
}

impl GlobalKeyword for Keyword {
    fn parse(&self, args: &[&str], _cx: &mut GlobalContext<'_>) -> Result<(), ParseError> {
        match args {
            [word] => (self.handler)(&mut self.plan.borrow_mut(), word),
            [] => Err(ParseError::new("missing argument")),
            [_, extra, ..] => Err(ParseError::at(2, format!("unexpected argument '{extra}'"))),
        }
    }
}

impl HttpClientPlan {
    /// Reads the authorities now, while the system's files can still be seen.
    pub fn prepare(&self) {
        self.tls();
    }

    fn tls(&self) -> Option<Arc<ClientConfig>> {
        match &self.ca {
            Authorities::Any => Some(tls::unverified()),
            Authorities::Of(file) => self.tls.get_or_init(|| tls::verified(file).ok()).clone(),
        }
    }

    /// The client of one worker.
    #[must_use]
    pub fn client(self: &Arc<Self>, worker: &Rc<Worker>) -> Rc<Client> {
        let dialer = Dialer { worker: Rc::downgrade(worker), plan: self.clone() };
        Client::new(self.settings.clone(), Box::new(dialer))
    }
}

/// Connects to origins from one worker.
struct Dialer {
    worker: Weak<Worker>,
    plan: Arc<HttpClientPlan>,
}

impl Dial for Dialer {
    fn dial(&self, origin: &Origin, to: Option<&Addr>) -> ConnectFuture {
        let (worker, plan) = (self.worker.clone(), self.plan.clone());
        let (origin, to) = (origin.clone(), to.cloned());
        Box::pin(async move {
            let worker = worker.upgrade().ok_or(io::ErrorKind::NotConnected)?;
            let io = match to {
                Some(addr) => worker.host.connect(&addr, None).await?,
                None => connect(&worker, &plan, &origin).await?,
            };
            if !origin.tls {
                return Ok(io);
            }
            let config = plan.tls().ok_or(io::ErrorKind::Unsupported)?;
            tls::connect(config, io, origin.host).await
        })
    }
}

/// Connects to the first of the origin's addresses that answers.
async fn connect(worker: &Worker, plan: &HttpClientPlan, origin: &Origin) -> io::Result<BoxIo> {
    let mut addresses = match origin.host.parse() {
        Ok(ip) => vec![ip],
        Err(_) if plan.names.disabled => return Err(io::ErrorKind::Unsupported.into()),
        Err(_) => worker.host.resolve(&origin.host).await?,
    };
    addresses.sort_by_key(|ip| ip.is_ipv4() != plan.names.prefer_v4);
    let mut failed = io::ErrorKind::NotFound.into();
    for ip in addresses {
        match worker.host.connect(&Addr::Ip((ip, origin.port).into()), None).await {
            Ok(io) => return Ok(io),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
