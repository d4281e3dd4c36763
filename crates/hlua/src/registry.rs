//! What scripts registered while loading: the input for the embedder's keyword tables.

use std::fmt;

use crate::context::ContextKind;

/// Everything that one VM's scripts registered so far, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registry {
    /// Actions, fetches, converters, services; a name registered again has replaced the earlier one.
    pub functions: Vec<FunctionInfo>,
    /// Names of filters (`core.register_filter`), without the `lua.` prefix.
    pub filters: Vec<String>,
}

/// One registered function. `(kind, name)` identifies it in every per-thread VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionInfo {
    /// What it can be used as.
    pub kind: FunctionKind,
    /// Its name, without the `lua.` prefix.
    pub name: String,
}

/// The kinds of registered functions, with what the configuration must know of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FunctionKind {
    /// `core.register_action`
    Action {
        /// The rulesets it may be used in.
        contexts: Vec<ActionContext>,
        /// The exact number of arguments the rule must give.
        nb_args: usize,
    },
    /// `core.register_fetches`: up to 12 arguments, gives a string.
    Fetch,
    /// `core.register_converters`: up to 12 arguments, takes a string.
    Converter,
    /// `core.register_service`
    Service(ServiceMode),
    /// `core.register_cli`: a command of the runtime API, run with an applet and the words typed.
    Cli {
        /// The words that call it, one to five.
        words: Vec<String>,
        /// What `help` says of it.
        usage: String,
    },
}

/// The rulesets that can run an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActionContext {
    /// `tcp-req`: `tcp-request content`
    TcpReq,
    /// `tcp-res`: `tcp-response content`
    TcpRes,
    /// `http-req`: `http-request`
    HttpReq,
    /// `http-res`: `http-response`
    HttpRes,
    /// `http-after-res`: `http-after-response`
    HttpAfterRes,
}

impl ActionContext {
    /// The ruleset for a script's word.
    pub(crate) fn parse(word: &str) -> Option<ActionContext> {
        Some(match word {
            "tcp-req" => ActionContext::TcpReq,
            "tcp-res" => ActionContext::TcpRes,
            "http-req" => ActionContext::HttpReq,
            "http-res" => ActionContext::HttpRes,
            "http-after-res" => ActionContext::HttpAfterRes,
            _ => return None,
        })
    }
}

/// What a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServiceMode {
    /// `use-service` in `tcp-request content`.
    Tcp,
    /// `use-service` in `http-request`.
    Http,
}

impl FunctionKind {
    /// Whether both are the same kind, whatever else the configuration must know.
    pub fn is_like(&self, other: &FunctionKind) -> bool {
        match (self, other) {
            (FunctionKind::Service(a), FunctionKind::Service(b)) => a == b,
            (FunctionKind::Cli { words: a, .. }, FunctionKind::Cli { words: b, .. }) => a == b,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    pub(crate) fn context(&self) -> ContextKind {
        match self {
            FunctionKind::Action { .. } => ContextKind::Action,
            FunctionKind::Fetch => ContextKind::Fetch,
            FunctionKind::Converter => ContextKind::Converter,
            FunctionKind::Service(ServiceMode::Http) => ContextKind::ServiceHttp,
            FunctionKind::Cli { .. } => ContextKind::Cli,
            FunctionKind::Service(ServiceMode::Tcp) => ContextKind::ServiceTcp,
        }
    }
}

impl fmt::Display for FunctionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FunctionKind::Action { .. } => "action",
            FunctionKind::Fetch => "fetch",
            FunctionKind::Converter => "converter",
            FunctionKind::Service(ServiceMode::Tcp) => "tcp service",
            FunctionKind::Service(ServiceMode::Http) => "http service",
            FunctionKind::Cli { .. } => "CLI keyword",
        })
    }
}
