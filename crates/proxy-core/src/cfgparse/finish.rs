//! From sections to a [`Config`]: identifiers, references between proxies, and what can only be
//! judged once everything was read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Diagnostic,
    draft::{Draft, LogLine, Section, Switch, Target},
    error_pages, mailers, tls,
};
use crate::{
    backend::{
        lb::Balance,
        proxy::ProxyState,
        server::{ProxyIdentity, Server},
    },
    check::CheckSpec,
    config::{Bind, Config, Global, LogTarget, Mailers, Mode, Monitor, ProcVar, Proxy, UseBackend},
};

/// What the sections have left behind.
pub(super) struct Parts {
    pub(super) global: Global,
    pub(super) proc_vars: Vec<ProcVar>,
    pub(super) drafts: Vec<Draft>,
    pub(super) mailers: Vec<Mailers>,
}

/// Builds the configuration. It is valid unless an alert is among `told` afterwards.
pub(super) fn finish(parts: Parts, told: &mut Vec<Diagnostic>) -> Config {
    let Parts { mut global, proc_vars, mut drafts, mailers } = parts;
    check_buffers(&mut global, told);
    let uuids = uuids(&drafts, told);
    let mailers = mailers::settle(&mut drafts, mailers, told);
    let mut config = Config { global, proc_vars, mailers, ..Config::default() };
    let mut references = Vec::new();
    for (id, draft) in drafts.iter_mut().enumerate() {
        review(draft, told);
        references.push(References {
            default_backend: draft.settings.default_backend.take(),
            switching: std::mem::take(&mut draft.switching),
        });
        let proxy = Arc::new(build(id, uuids[id], draft, &config.global, told));
        if proxy.capabilities.frontend {
            config.frontends.entry(proxy.name.clone()).or_insert_with(|| proxy.clone());
        }
        if proxy.capabilities.backend {
            config.backends.entry(proxy.name.clone()).or_insert_with(|| proxy.clone());
        }
        config.servers.extend(proxy.servers.iter().cloned());
        config.proxies.push(proxy);
    }
    for (proxy, references) in config.proxies.iter().zip(references) {
        resolve(proxy, references, &config.backends, told);
    }
    config
}

/// Names that may stand for a section further down.
#[derive(Default)]
struct References {
    default_backend: Option<String>,
    switching: Vec<Switch>,
}

fn check_buffers(global: &mut Global, told: &mut Vec<Diagnostic>) {
    if global.maxrewrite >= global.bufsize / 2 {
        let half = global.bufsize / 2;
        told.push(Diagnostic::warning(format!(
            "tune.maxrewrite ({}) leaves too little room in tune.bufsize ({}), lowered to {half}.",
            global.maxrewrite, global.bufsize
        )));
        global.maxrewrite = half;
    }
}

/// Explicit ids first; the others count up from where HAProxy's first proxy starts.
fn uuids(drafts: &[Draft], told: &mut Vec<Diagnostic>) -> Vec<u32> {
    let mut taken: BTreeMap<u32, &Draft> = BTreeMap::new();
    for draft in drafts {
        let Some(id) = draft.id else { continue };
        if let Some(other) = taken.get(&id) {
            told.push(Diagnostic::alert(format!(
                "{} {} reuses same custom id as {} {} (declared at {}:{}).",
                draft.section.noun(),
                draft.name,
                other.section.noun(),
                other.name,
                other.place.file,
                other.place.line
            )));
        }
        taken.entry(id).or_insert(draft);
    }
    let mut next = UUID_FIRST;
    let mut assign = |draft: &Draft| {
        draft.id.unwrap_or_else(|| {
            while taken.contains_key(&next) {
                next += 1;
            }
            next += 1;
            next - 1
        })
    };
    drafts.iter().map(&mut assign).collect()
}

/// Says what is odd about a section, and drops what cannot have an effect.
fn review(draft: &mut Draft, told: &mut Vec<Diagnostic>) {
    if draft.settings.disabled {
        return;
    }
    let title = draft.title();
    let (noun, name) = (draft.section.noun(), draft.name.clone());
    let mut warn = |text: String| told.push(Diagnostic::warning(text));
    if draft.section == Section::Frontend && draft.binds.is_empty() {
        warn(format!(
            "{title} has no 'bind' directive. Please declare it as a backend if this was intended."
        ));
    }
    let settings = &mut draft.settings;
    if settings.mode == Mode::Spop && draft.section.frontend() {
        told.push(Diagnostic::alert(format!("mode 'spop' is only for backends, {title} is none.")));
        return;
    }
    let http = settings.mode == Mode::Http;
    if !http {
        let rules = &mut draft.rules;
        for (keyword, set) in [
            ("http-request", &mut rules.http_request),
            ("http-response", &mut rules.http_response),
            ("http-after-response", &mut rules.http_after_response),
        ] {
            if !set.is_empty() {
                warn(format!("'{keyword}' rules ignored for {title} as they require HTTP mode."));
                set.clear();
            }
        }
        if settings.monitor_uri.take().is_some() && draft.section.frontend() {
            warn(format!("monitor-uri will be ignored for {title} (needs 'mode http')."));
        }
        if settings.options.forwardfor.take().is_some() {
            warn(format!("'option forwardfor' ignored for {title} as it requires HTTP mode."));
        }
        if matches!(settings.balance, Balance::Uri { .. } | Balance::Hdr(_) | Balance::UrlParam(_)) {
            warn(format!(
                "Layer 7 hash not possible for {title} (needs 'mode http'). Falling back to round robin."
            ));
            settings.balance = Balance::RoundRobin;
        }
    }
    if draft.section.backend() {
        let spec = settings.check.finish();
        for (ignored, keyword, option) in [
            (settings.http_check_rules && !matches!(spec, CheckSpec::Http(_)), "http-check", "httpchk"),
            (settings.tcp_check_rules && !matches!(spec, CheckSpec::Tcp(_)), "tcp-check", "tcp-check"),
        ] {
            if ignored {
                warn(format!(
                    "{title} uses {keyword} rules without 'option {option}', so the rules are ignored."
                ));
            }
        }
    }
    let timeouts = &settings.timeouts;
    let bounded = http || timeouts.tunnel.is_none();
    let client = draft.section.frontend() && timeouts.client.is_none() && bounded;
    let server = draft.section.backend()
        && !draft.servers.is_empty()
        && (timeouts.connect.is_none() || (timeouts.server.is_none() && bounded));
    if client || server {
        warn(format!("missing timeouts for {noun} '{name}'.{MISSING_TIMEOUTS}"));
    }
    if draft.section.frontend() && draft.log_format.is_some() && settings.logs.is_empty() {
        warn(format!("log format ignored for {title} since it has no log address."));
    }
}

fn build(id: usize, uuid: u32, draft: &mut Draft, global: &Global, told: &mut Vec<Diagnostic>) -> Proxy {
    let settings = &draft.settings;
    let capabilities = draft.capabilities();
    let identity = ProxyIdentity { name: draft.name.as_str().into(), uuid, id };
    let mut options = settings.options.clone();
    options.log_tag.clone_from(&settings.log_tag);
    options.description.clone_from(&settings.description);
    Proxy {
        id,
        uuid,
        name: draft.name.clone(),
        place: draft.place.clone(),
        capabilities,
        mode: settings.mode,
        binds: if capabilities.frontend { binds(draft, global, told) } else { Vec::new() },
        servers: if capabilities.backend { servers(draft, &identity, global, told) } else { Vec::new() },
        balance: settings.balance.clone(),
        default_backend: Default::default(),
        use_backend: Default::default(),
        timeouts: settings.timeouts,
        retries: settings.retries,
        redispatch: settings.redispatch,
        maxconn: settings.maxconn,
        fullconn: settings.fullconn,
        options,
        check: settings.check.finish(),
        rules: std::mem::take(&mut draft.rules),
        tcp_request_inspect_delay: settings.tcp_request_inspect_delay,
        tcp_response_inspect_delay: settings.tcp_response_inspect_delay,
        filters: std::mem::take(&mut draft.filters),
        logs: logs(&settings.logs, global),
        log_format: draft.log_format.clone(),
        monitor: settings
            .monitor_uri
            .clone()
            .filter(|_| capabilities.frontend)
            .map(|uri| Monitor { uri, fail: std::mem::take(&mut draft.monitor_fail) }),
        pages: error_pages::settle(draft, told),
        disabled: settings.disabled,
        state: ProxyState::default(),
    }
}

/// Socket ids: explicit ones, then the lowest free ones.
fn binds(draft: &Draft, global: &Global, told: &mut Vec<Diagnostic>) -> Vec<Arc<Bind>> {
    let mut taken: BTreeSet<u32> = draft.binds.iter().map(|bind| bind.id).filter(|id| *id != 0).collect();
    let mut next = 1;
    let mut assign = |bind: &Bind| {
        let mut bind = bind.clone();
        if bind.id == 0 {
            while !taken.insert(next) {
                next += 1;
            }
            bind.id = next;
        }
        if bind.backlog == 0 {
            bind.backlog = draft.settings.backlog;
        }
        secure(&mut bind, &draft.name, global, told);
        Arc::new(bind)
    };
    draft.binds.iter().map(&mut assign).collect()
}

/// Puts what `global` says of TLS behind what the line says.
fn secure(bind: &mut Bind, proxy: &str, global: &Global, told: &mut Vec<Diagnostic>) {
    if !bind.ssl {
        return;
    }
    let (ca_base, crt_base) = (global.ca_base.as_deref(), global.crt_base.as_deref());
    bind.tls = std::mem::take(&mut bind.tls).over(&global.bind_tls);
    bind.tls.ca_file = bind.tls.ca_file.take().map(|file| tls::under(ca_base, &file));
    bind.crts.iter_mut().for_each(|file| *file = tls::under(crt_base, file));
    if !bind.tls.without.is_empty() && (bind.tls.min.is_some() || bind.tls.max.is_some()) {
        told.push(Diagnostic::warning(format!(
            "Proxy '{proxy}': no-sslv3/no-tlsv1x are ignored for bind '{}' at [{}:{}]. Use only 'ssl-min-ver' and \
             'ssl-max-ver' to fix.",
            bind.written, bind.place.file, bind.place.line
        )));
    }
}

fn servers(
    draft: &Draft,
    identity: &ProxyIdentity,
    global: &Global,
    told: &mut Vec<Diagnostic>,
) -> Vec<Arc<Server>> {
    let mut taken: BTreeSet<u32> = draft.servers.iter().map(|s| s.puid).filter(|id| *id != 0).collect();
    let mut next = 1;
    let mut servers = Vec::with_capacity(draft.servers.len());
    for config in &draft.servers {
        let mut config = config.clone();
        let portless = matches!(&config.addr, crate::host::Addr::Ip(addr) if addr.port() == 0);
        if config.check && portless && config.check_port.is_none_or(|port| port == 0) {
            told.push(Diagnostic::alert(format!(
                "config: {}: server '{}' has neither service port nor check port.",
                draft.title(),
                config.name
            )));
        }
        if config.source.is_none() {
            config.source.clone_from(&draft.settings.source);
        }
        if let Some(words) = &mut config.tls {
            let (ca_base, crt_base) = (global.ca_base.as_deref(), global.crt_base.as_deref());
            words.settings = std::mem::take(&mut words.settings).over(&global.server_tls);
            words.settings.ca_file = words.settings.ca_file.take().map(|file| tls::under(ca_base, &file));
            words.crt = words.crt.take().map(|file| tls::under(crt_base, &file));
        }
        let mut puid = config.puid;
        if puid == 0 {
            while !taken.insert(next) {
                next += 1;
            }
            puid = next;
        }
        servers.push(Arc::new(Server::new(config, identity.clone(), puid, 0)));
    }
    servers
}

fn logs(lines: &[LogLine], global: &Global) -> Vec<LogTarget> {
    let mut targets = Vec::new();
    for line in lines {
        match line {
            LogLine::Global => targets.extend(global.logs.iter().cloned()),
            LogLine::Own(target) => targets.push(target.clone()),
        }
    }
    targets
}

fn resolve(
    proxy: &Proxy,
    references: References,
    backends: &BTreeMap<String, Arc<Proxy>>,
    told: &mut Vec<Diagnostic>,
) {
    let references = if proxy.disabled { References::default() } else { references };
    if let Some(name) = references.default_backend
        && let Some(backend) = target(proxy, &name, Role::Default, backends, told)
        && proxy.capabilities.frontend
    {
        // Set once, here: the proxy was just built.
        let _ = proxy.default_backend.set(backend);
    }
    let mut rules = Vec::new();
    for Switch { target: wanted, cond } in references.switching {
        let (backend, name) = match wanted {
            Target::Computed(format) => (None, Some(format)),
            Target::Name(name) => match target(proxy, &name, Role::Rule, backends, told) {
                Some(backend) => (Some(backend), None),
                None => continue,
            },
        };
        rules.push(UseBackend { backend, name, cond });
    }
    let _ = proxy.use_backend.set(rules);
}

#[derive(Clone, Copy)]
enum Role {
    Default,
    Rule,
}

fn target(
    proxy: &Proxy,
    name: &str,
    role: Role,
    backends: &BTreeMap<String, Arc<Proxy>>,
    told: &mut Vec<Diagnostic>,
) -> Option<Arc<Proxy>> {
    let keyword = match role {
        Role::Default => "default_backend",
        Role::Rule => "use_backend",
    };
    let Some(backend) = backends.get(name) else {
        told.push(Diagnostic::alert(format!(
            "Proxy '{}': unable to find required {keyword}: '{name}'.",
            proxy.name
        )));
        return None;
    };
    if backend.id == proxy.id {
        told.push(Diagnostic::alert(format!(
            "Proxy '{}': loop detected for {keyword}: '{name}'.",
            proxy.name
        )));
        return None;
    }
    let fits = proxy.mode == backend.mode || (proxy.mode == Mode::Tcp && backend.mode == Mode::Http);
    if !fits {
        let how = match role {
            Role::Default => "as its default backend",
            Role::Rule => "in a 'use_backend' rule",
        };
        told.push(Diagnostic::alert(format!(
            "{} {} '{}' ({}:{}) tries to use incompatible {} {} '{}' ({}:{}) {how} (see 'mode').",
            mode_name(proxy.mode),
            noun(proxy),
            proxy.name,
            proxy.place.file,
            proxy.place.line,
            mode_name(backend.mode),
            noun(backend),
            backend.name,
            backend.place.file,
            backend.place.line,
        )));
        return None;
    }
    Some(backend.clone())
}

fn noun(proxy: &Proxy) -> &'static str {
    match (proxy.capabilities.frontend, proxy.capabilities.backend) {
        (true, false) => "frontend",
        (false, _) => "backend",
        (true, true) => "proxy",
    }
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Tcp => "tcp",
        Mode::Http => "http",
        Mode::Spop => "spop",
    }
}

/// HAProxy's `GLOBAL` proxy has 1.
const UUID_FIRST: u32 = 2;

const MISSING_TIMEOUTS: &str = "\n   | While not properly invalid, you will certainly encounter various \
problems\n   | with such a configuration. To fix this, please ensure that all following\n   | timeouts are set \
to a non-zero value: 'client', 'connect', 'server'.";
