//! `tidegate demo`: the main job on real input, with nothing to set up.
//!
//! The proxy runs the configuration, script and offload beside this file, unchanged. What it needs
//! around it runs on a thread of its own: three origin servers, one of them made to fail and
//! recover, and an agent that scores addresses.

mod agent;
mod origin;

use std::{
    io::{self, Write as _},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::ExitCode,
    sync::mpsc,
    time::Duration,
};

use clap::Args;
use proxy_core::cfgparse::{Env, Source};

use crate::{
    app::{self, Startup},
    cli::Options,
};

/// The proxy's configuration.
pub const CONFIG: &str = include_str!("demo.cfg");
/// Its script.
pub const SCRIPT: &str = include_str!("demo.lua");
/// Its offload.
pub const OFFLOAD: &str = include_str!("demo-spoe.cfg");

/// Where the demonstration listens unless the port is taken.
const WEB: &str = "127.0.0.1:8080";
/// How long the shaky origin is well, and ill.
const SHAKY: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(4));

/// Flags of `tidegate demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Print the configuration and exit
    #[arg(long)]
    pub print_config: bool,
    /// Print the Lua script and exit
    #[arg(long)]
    pub print_lua: bool,
    /// Print the SPOE configuration and exit
    #[arg(long)]
    pub print_spoe: bool,
    /// Where to listen; a free port is used when 8080 is taken
    #[arg(long, default_value = WEB)]
    pub listen: SocketAddr,
}

/// Runs the demonstration until it is interrupted.
///
/// # Errors
/// No port or no temporary folder can be had.
pub fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    for (wanted, text) in [(args.print_config, CONFIG), (args.print_lua, SCRIPT), (args.print_spoe, OFFLOAD)]
    {
        if wanted {
            io::stdout().write_all(text.as_bytes())?;
            return Ok(ExitCode::SUCCESS);
        }
    }
    let folder = Folder::make()?;
    let around = start_surroundings()?;
    let web = free_address(args.listen)?;
    let env = environment(&folder, &around, web)?;
    let socket = folder.path("admin.sock");
    let startup = Startup {
        // What servers do is in the log, which is on the terminal too.
        options: Options { quiet: true, ..Options::default() },
        sources: vec![Source::new("demo.cfg", CONFIG)],
        env,
        on_ready: Box::new(move || introduce(web, &socket)),
    };
    Ok(app::serve(startup))
}

fn environment(folder: &Folder, around: &Surroundings, web: SocketAddr) -> io::Result<Env> {
    let mut env = Env::default();
    env.set("DEMO_WEB", web.to_string());
    env.set("DEMO_LUA", folder.write("demo.lua", SCRIPT)?);
    env.set("DEMO_SPOE", folder.write("demo-spoe.cfg", OFFLOAD)?);
    env.set("DEMO_SOCKET", folder.path("admin.sock").display().to_string());
    env.set("DEMO_AGENT", around.agent.to_string());
    for (number, origin) in around.origins.iter().enumerate() {
        env.set(format!("DEMO_ORIGIN_{}", number + 1), origin.to_string());
    }
    Ok(env)
}

fn introduce(web: SocketAddr, socket: &std::path::Path) {
    println!("tidegate demo: proxy on http://{web}, runtime API on {}", socket.display());
    println!("one of three origins fails and recovers every few seconds; a script in Lua says so below\n");
    println!("try:");
    println!(
        "  curl -i -H 'x-name: you' http://{web}/     # through a Lua action and a SPOE agent to an origin"
    );
    println!("  curl -i http://{web}/hello                 # a service written in Lua");
    println!("  curl -i http://{web}/forbidden             # the agent gives it a bad score: 403");
    println!("  echo 'show servers state' | nc -U {}\n", socket.display());
    println!("Ctrl-C ends it. --print-config, --print-lua and --print-spoe show what runs.\n");
}

/// The addresses of what runs around the proxy.
struct Surroundings {
    origins: [SocketAddr; 3],
    agent: SocketAddr,
}

#[expect(clippy::disallowed_methods, reason = "the demonstration's own surroundings, not the proxy")]
fn start_surroundings() -> anyhow::Result<Surroundings> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let started = surroundings().await;
            if tell.send(started).is_ok() {
                std::future::pending::<()>().await;
            }
        });
    });
    Ok(told.recv()??)
}

async fn surroundings() -> io::Result<Surroundings> {
    let (_, one) = origin::Origin::start("one").await?;
    let (_, two) = origin::Origin::start("two").await?;
    let (shaky, three) = origin::Origin::start("shaky").await?;
    spawn(shaky.flap(SHAKY.0, SHAKY.1));
    Ok(Surroundings { origins: [one, two, three], agent: agent::start().await? })
}

#[expect(clippy::disallowed_methods, reason = "the demonstration's own surroundings, not the proxy")]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

#[expect(clippy::disallowed_methods, reason = "the demonstration's own surroundings, not the proxy")]
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// The wanted address, or one with a free port if that is taken.
fn free_address(wanted: SocketAddr) -> io::Result<SocketAddr> {
    match TcpListener::bind(wanted) {
        Ok(listener) => listener.local_addr(),
        Err(_) => TcpListener::bind((wanted.ip(), 0))?.local_addr(),
    }
}

/// A temporary folder that goes when the demonstration ends.
struct Folder(PathBuf);

impl Folder {
    fn make() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("tidegate-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) -> io::Result<String> {
        let path = self.path(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing to do about a folder that cannot be removed; it is small and in the temporary place.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
