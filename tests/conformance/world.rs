//! One scenario's world: the proxy, everybody around it, and what they know of each other.
//!
//! Setup lines (they come first, the proxy starts at the first line that is none of them):
//!
//! | line | brings | the environment gets |
//! |---|---|---|
//! | `listen NAME` | a listener that the proxy inherits: `bind "fd@${NAME}"` | `NAME` |
//! | `origin NAME`, `echo NAME`, `agent NAME` | a server on loopback | `NAME` = address:port (`NAME_port` of an origin) |
//! | `certificate NAME HOST…` | `${tmp}/NAME.pem`, certificate and key for those hosts, signed by `${tmp}/ca.pem` | |
//! | `talker NAME FILE` | a server that answers lines by that table | `NAME` = address:port (`NAME_port`) |
//! | `tls NAME CERTIFICATE ADDR` | a TLS server in front of another | `NAME` = address:port (`NAME_port`) |
//! | `args WORD…` | more arguments for the proxy | |
//! | `needs EXPR` | skips the scenario unless `-cc EXPR` holds | |
//! | `file PATH PACKAGE` | skips the scenario (with `CI`, fails it) unless that file of a Debian package is there | |
//! | `check` | runs the proxy with `-c`; `exit` and `log` look at what it said | |
//!
//! `${tmp}` (a folder that goes away) and `${syslog}` (address of a log server) are always there; a stats
//! socket belongs at `${tmp}/cli`. The proxy runs in the scenario's folder. When the steps are done it
//! must end on SIGINT within [`END`], and must never have panicked.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::client::Client;
use super::script::{self, Step};
use crate::support::agent::Agent;
use crate::support::lines::Lines;
use crate::support::origin::{self, Origin};
use crate::support::peer;
use crate::support::process::Process;
use crate::support::service::Service;
use crate::support::spoa::Spoa;
use crate::support::talker::{Phrases, Talker};
use crate::support::tls::{self, Authority, Certificate};

/// How long a proxy may take to end on SIGINT (management.txt promises at once; machines are busy).
const END: Duration = Duration::from_secs(5);

/// Everything a step can reach.
pub(crate) struct World {
    program: PathBuf,
    folder: PathBuf,
    args: Vec<String>,
    check_only: bool,
    /// `agent` brings one built with our library.
    our_agents: bool,
    spoas: Vec<Spoa>,
    /// What the proxy's environment has, and `${…}` in a step.
    pub(crate) env: BTreeMap<String, String>,
    listeners: Vec<(String, TcpListener)>,
    /// Where the listeners are, in the order of the file.
    pub(crate) doors: Vec<(String, SocketAddr)>,
    pub(crate) origins: BTreeMap<String, Origin>,
    pub(crate) echoes: BTreeMap<String, Service>,
    pub(crate) talkers: BTreeMap<String, Talker>,
    pub(crate) authority: Option<Authority>,
    pub(super) certificates: BTreeMap<String, Certificate>,
    tls: Vec<Service>,
    pub(crate) agents: BTreeMap<String, Agent>,
    pub(crate) clients: BTreeMap<String, Client>,
    /// Clients that wait together for whatever comes.
    pub(crate) gathered: Vec<Client>,
    /// What the proxy printed and logged.
    pub(crate) said: Lines,
    pub(crate) process: Option<Process>,
    pub(crate) tmp: TempDir,
}

/// Runs the scenario in `folder` with the proxy under test, or fails with all that is known.
pub(crate) fn run(name: &str, folder: &Path) {
    if let Some(program) = peer::subject(name) {
        run_with(World::new(program, folder), name);
    }
}

/// The same with upstream's proxy, and agents that are built with our library.
pub(crate) fn run_upstream(name: &str, folder: &Path) {
    if let Some(program) = peer::peer(name, "haproxy") {
        let mut world = World::new(program, folder);
        world.our_agents = true;
        run_with(world, name);
    }
}

fn run_with(mut world: World, name: &str) {
    let folder = world.folder().to_owned();
    let text = fs::read_to_string(folder.join("case.txt")).expect("every case has a case.txt");
    let steps = script::parse(&text).unwrap_or_else(|what| panic!("{name}/case.txt: {what}"));
    let lacks = |words: &[String]| match words {
        [word, path, package] if word == "file" => !peer::has_file(name, path, package),
        _ => false,
    };
    if steps.iter().any(|step| lacks(&step.words)) {
        return;
    }
    for step in &steps {
        match world.step(step) {
            Ok(true) => {}
            Ok(false) => return world.does_not_apply(name, &step.words.join(" ")),
            Err(what) => world.fail(&format!("{name}/case.txt:{}: {:?}: {what}", step.line, step.words)),
        }
    }
    if let Err(what) = world.end() {
        world.fail(&format!("{name}: {what}"));
    }
}

impl World {
    fn new(program: PathBuf, folder: &Path) -> Self {
        let tmp = TempDir::with_prefix("tg").expect("a folder for temporary files");
        let said = Lines::default();
        let syslog = UdpSocket::bind("127.0.0.1:0").expect("a port on loopback");
        let syslog_addr = syslog.local_addr().expect("a bound socket has an address").to_string();
        said.follow_datagrams(syslog);
        let tmp_path = tmp.path().to_str().expect("temporary folders have plain names").to_owned();
        Self {
            program,
            folder: folder.to_owned(),
            args: Vec::new(),
            check_only: false,
            our_agents: false,
            spoas: Vec::new(),
            env: [("tmp".to_owned(), tmp_path), ("syslog".to_owned(), syslog_addr)].into(),
            listeners: Vec::new(),
            doors: Vec::new(),
            origins: BTreeMap::new(),
            echoes: BTreeMap::new(),
            talkers: BTreeMap::new(),
            authority: None,
            certificates: BTreeMap::new(),
            tls: Vec::new(),
            agents: BTreeMap::new(),
            clients: BTreeMap::new(),
            gathered: Vec::new(),
            said,
            process: None,
            tmp,
        }
    }

    /// Does one step; false means that the scenario does not apply to this proxy.
    fn step(&mut self, step: &Step) -> Result<bool, String> {
        let words =
            step.words.iter().map(|word| script::expand(word, &self.env)).collect::<Result<Vec<_>, _>>()?;
        let line = |words: &Vec<String>| words.iter().map(|word| script::expand(word, &self.env)).collect();
        let details = step.details.iter().map(line).collect::<Result<Vec<Vec<String>>, String>>()?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["needs", condition] => return Ok(self.condition_holds(condition)),
            ["file", ..] => {} // looked at before the first step
            _ if self.set_up(&words)? => {}
            _ => {
                self.start()?;
                self.act(&step.client, &words, &details)?;
            }
        }
        Ok(true)
    }

    /// Does a setup line; false if `words` is none.
    fn set_up(&mut self, words: &[&str]) -> Result<bool, String> {
        if self.process.is_some() {
            return Ok(false);
        }
        let failed = |error: std::io::Error| error.to_string();
        match *words {
            ["listen", name] => {
                let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
                self.doors.push((name.to_owned(), listener.local_addr().map_err(failed)?));
                self.listeners.push((name.to_owned(), listener));
            }
            ["origin", name] => {
                let origin = Origin::start(name).map_err(failed)?;
                self.env.insert(name.to_owned(), origin.addr().to_string());
                self.env.insert(format!("{name}_port"), origin.addr().port().to_string());
                self.origins.insert(name.to_owned(), origin);
            }
            ["echo", name] => {
                let echo = origin::start_echo().map_err(failed)?;
                self.env.insert(name.to_owned(), echo.addr().to_string());
                self.echoes.insert(name.to_owned(), echo);
            }
            ["talker", name, file] => {
                let talker = Talker::start(phrases(&self.folder.join(file))?).map_err(failed)?;
                self.env.insert(name.to_owned(), talker.addr().to_string());
                self.env.insert(format!("{name}_port"), talker.addr().port().to_string());
                self.talkers.insert(name.to_owned(), talker);
            }
            ["certificate", name, ref hosts @ ..] => {
                let authority = self.authority.get_or_insert_with(Authority::new);
                authority.write(&self.tmp.path().join("ca.pem")).map_err(failed)?;
                let certificate = authority.certify(hosts);
                fs::write(self.tmp.path().join(format!("{name}.pem")), &certificate.pem).map_err(failed)?;
                self.certificates.insert(name.to_owned(), certificate);
            }
            ["tls", name, certificate, addr] => {
                let certificate = self.certificates.get(certificate).ok_or("no such certificate")?;
                let behind = addr.parse().map_err(|_| format!("{addr:?} is no address"))?;
                let service = tls::start(certificate, behind).map_err(failed)?;
                self.env.insert(name.to_owned(), service.addr().to_string());
                self.env.insert(format!("{name}_port"), service.addr().port().to_string());
                self.tls.push(service);
            }
            ["agent", name] if self.our_agents => {
                let spoa = Spoa::start().map_err(failed)?;
                self.env.insert(name.to_owned(), spoa.addr().to_string());
                self.spoas.push(spoa);
            }
            ["agent", name] => {
                let agent = Agent::start().map_err(failed)?;
                self.env.insert(name.to_owned(), agent.addr().to_string());
                self.agents.insert(name.to_owned(), agent);
            }
            ["args", ref more @ ..] => self.args.extend(more.iter().map(|word| (*word).to_owned())),
            ["check"] => self.check_only = true,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Where the scenario's files are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn condition_holds(&self, condition: &str) -> bool {
        let mut command = Command::new(&self.program);
        command.args(["-cc", condition]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    fn start(&mut self) -> Result<(), String> {
        use std::os::fd::{AsRawFd, OwnedFd};
        if self.process.is_some() {
            return Ok(());
        }
        let mut args = vec!["-f".to_owned(), "haproxy.cfg".to_owned()];
        args.push(if self.check_only { "-c" } else { "-db" }.to_owned());
        args.append(&mut self.args);
        let mut env = self.env.clone();
        let mut inherited = Vec::new();
        for (name, listener) in self.listeners.drain(..) {
            env.insert(name, listener.as_raw_fd().to_string());
            inherited.push(OwnedFd::from(listener));
        }
        let process = Process::start(&self.program, &args, &self.folder, &env, inherited, &self.said);
        self.process =
            Some(process.map_err(|error| format!("starting {}: {error}", self.program.display()))?);
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let Some(process) = &mut self.process else {
            return Err("the scenario never started the proxy".into());
        };
        let failed = |error: std::io::Error| error.to_string();
        process.signal(Signal::SIGINT).map_err(failed)?;
        process.wait(END).map_err(failed)?.ok_or("the proxy does not end on SIGINT")?;
        match self.said.all().iter().find(|line| line.contains("panicked at")) {
            Some(line) => Err(format!("the proxy panicked: {line}")),
            None => Ok(()),
        }
    }

    /// Our own program must be all that a scenario needs; another proxy may lack something.
    fn does_not_apply(&self, name: &str, why: &str) {
        let ours = self.program.file_stem().is_some_and(|stem| stem == "tidegate");
        assert!(!ours, "{name} does not apply to {}: {why}", self.program.display());
        peer::skipped(name, &format!("does not apply to {}: {why}", self.program.display()));
    }

    fn fail(&mut self, what: &str) -> ! {
        let ended =
            self.process.as_mut().and_then(|process| process.wait(Duration::from_millis(100)).ok()?);
        let ended = ended.map_or(String::new(), |status| format!(" has ended ({status}); it"));
        let said = self.said.all().join("\n  ");
        panic!("{what}\n\nthe proxy {}{ended} said:\n  {said}\n", self.program.display());
    }
}

/// A talker's table.
fn phrases(path: &Path) -> Result<Phrases, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut phrases = Phrases::default();
    for step in script::parse(&text)? {
        match &step.words[..] {
            [word, text] if word == "hello" => phrases.hello.clone_from(text),
            [pattern, text] => {
                let pattern = regex::Regex::new(pattern).map_err(|error| error.to_string())?;
                phrases.answers.push((pattern, text.clone()));
            }
            _ => return Err(format!("line {}: not a pattern and an answer", step.line)),
        }
    }
    Ok(phrases)
}
