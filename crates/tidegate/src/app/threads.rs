//! The worker threads: started together, stopped together.
//!
//! The thread that read the configuration becomes worker 0; the others serve once everything that
//! can fail has not.

use std::{
    cell::RefCell,
    io,
    rc::Rc,
    sync::{Arc, mpsc},
    time::Duration,
};

use proxy_core::{
    config::{AccessLevel, Bind, Proxy},
    host::BoxIo,
    log::Level,
};

use super::{
    Refused,
    front::{Front, StatsListening},
    refuse,
};
use crate::{
    accept::{Place, Surroundings, accept_loop},
    adapters::proxy_core_scheduler::WorkerHost,
    console,
    control::Stop,
    net::Listening,
    process,
    services::runtime_api,
    watchdog::Watchdog,
    wiring::{FirstWorker, Node, Process},
    worker::{Handle, Sessions, TaskRef, Worker},
};

/// Runs all workers to their end, this thread's among them.
pub(super) fn run(
    process: &Arc<Process>,
    first: FirstWorker,
    fronts: Vec<Front>,
    stats: Vec<StatsListening>,
    on_ready: Box<dyn FnOnce()>,
) -> Result<(), Refused> {
    let threads = process.facts.threads;
    let main = WorkerThread::new(process, 0, Some(first)).map_err(refuse)?;
    let (tell, told) = mpsc::channel();
    let mut others = Vec::new();
    for thread in 1..threads {
        let process = process.clone();
        let fronts = fronts.iter().map(Front::another).collect::<io::Result<Vec<_>>>();
        let fronts =
            fronts.map_err(|error| refuse(format_args!("cannot listen on every thread: {error}")))?;
        let (start, started) = mpsc::channel::<()>();
        let tell = tell.clone();
        let handle = std::thread::Builder::new()
            .name(format!("worker-{thread}"))
            .spawn(move || {
                let worker = match WorkerThread::new(&process, thread, None) {
                    Ok(worker) => worker,
                    Err(error) => return drop(tell.send(Err(error))),
                };
                // The first thread has gone away: so do we.
                if tell.send(Ok(())).is_err() || started.recv().is_err() {
                    return;
                }
                worker.run(fronts, Vec::new(), || {});
            })
            .map_err(|error| refuse(format_args!("cannot start a thread: {error}")))?;
        others.push((handle, start));
    }
    for _ in 1..threads {
        told.recv().unwrap_or_else(|_| Err("a worker did not start".to_owned())).map_err(refuse)?;
    }
    let _watchdog = Watchdog::start(process.interrupters(), process.facts.schedulers.all())
        .map_err(|error| refuse(format_args!("cannot watch the workers: {error}")))?;
    let (handles, starts): (Vec<_>, Vec<_>) = others.into_iter().unzip();
    for start in starts {
        // A worker that has gone was reported by its panic.
        let _ = start.send(());
    }
    main.run(fronts, stats, on_ready);
    process.facts.stop.ask(Stop::Now);
    for handle in handles {
        if handle.join().is_err() {
            console::print(Level::Alert, "a worker thread panicked");
        }
    }
    Ok(())
}

/// One worker with its part of the graph, on its thread.
struct WorkerThread {
    worker: Worker,
    node: Rc<Node>,
    process: Arc<Process>,
    sessions: Rc<Sessions>,
}

impl WorkerThread {
    fn new(process: &Arc<Process>, thread: usize, first: Option<FirstWorker>) -> Result<Self, String> {
        let worker =
            Worker::new(process.facts.threads).map_err(|error| format!("cannot start a worker: {error}"))?;
        process.facts.schedulers.add(thread, &worker);
        let host = Box::new(WorkerHost::new(worker.turn(), worker.handle(), process.server_tls.clone()));
        let node =
            Node::new(process, thread, host, worker.handle(), first).map_err(|error| error.to_string())?;
        node.run_init().map_err(|error| error.to_string())?;
        Ok(Self { worker, node: Rc::new(node), process: process.clone(), sessions: Rc::default() })
    }

    /// Accepts and serves until the process stops.
    fn run(self, fronts: Vec<Front>, stats: Vec<StatsListening>, on_ready: impl FnOnce()) {
        let guard = self.worker.enter();
        let mut accepting = Vec::new();
        for front in fronts {
            match self.accept(front) {
                Ok(task) => accepting.push(task),
                Err(error) => console::print(Level::Alert, &format!("cannot accept connections: {error}")),
            }
        }
        for (listening, level) in stats {
            if let Err(error) = self.accept_stats(listening, level) {
                console::print(Level::Alert, &format!("cannot serve the runtime API: {error}"));
            }
        }
        if let Err(error) = self.node.start() {
            console::print(Level::Alert, &error.to_string());
        }
        self.wake_on_roll_call();
        self.stop_when_asked(accepting);
        if self.node.worker.thread == 0 {
            process::handle_signals(&self.worker.handle(), &self.process, &self.node);
            on_ready();
        }
        drop(guard);
        self.worker.run();
        self.node.close();
    }

    fn accept(&self, front: Front) -> io::Result<TaskRef> {
        let acceptor = front.listening.register()?;
        let around = Accepted {
            node: self.node.clone(),
            sessions: self.sessions.clone(),
            handle: self.worker.handle(),
            proxy: front.proxy,
            tls: self.process.certificates.server(&front.bind).filter(|_| front.bind.ssl),
            bind: front.bind,
        };
        let limits = [front.limit, self.process.facts.connections.clone()];
        Ok(self.worker.handle().spawn_tasklet("accept", accept_loop(acceptor, limits, around)))
    }

    fn accept_stats(&self, listening: Listening, level: AccessLevel) -> io::Result<()> {
        let acceptor = listening.register()?;
        let handle = self.worker.handle();
        let (worker, events) = (self.node.worker.clone(), self.process.events.clone());
        self.worker.handle().spawn("runtime api", async move {
            loop {
                match acceptor.accept().await {
                    Ok(io) => {
                        let client = runtime_api::serve(worker.clone(), events.clone(), io, level);
                        handle.spawn("runtime api client", client);
                    }
                    Err(_) => handle.sleep_until(worker.host.now() + Duration::from_millis(100)).await,
                }
            }
        });
        Ok(())
    }

    /// Wakes every session when something was changed about sessions that run.
    fn wake_on_roll_call(&self) {
        let (process, sessions) = (self.process.clone(), self.sessions.clone());
        self.worker.handle().spawn("roll call", async move {
            let roll_call = &process.shared.roll_call;
            let mut seen = roll_call.get();
            loop {
                seen = std::future::poll_fn(|cx| roll_call.poll_changed(seen, cx)).await;
                sessions.wake_all();
            }
        });
    }

    /// Soft stop: closes the listeners, lets sessions finish. Stop now: ends the loop.
    fn stop_when_asked(&self, accepting: Vec<TaskRef>) {
        let flag = self.worker.stop_flag();
        let process = self.process.clone();
        let now = flag.clone();
        self.worker.handle().spawn("stop", async move {
            process.facts.stop.reached(Stop::Now).await;
            now.set(true);
        });
        let (process, sessions, node) = (self.process.clone(), self.sessions.clone(), self.node.clone());
        let handle = self.worker.handle();
        let accepting = RefCell::new(accepting);
        self.worker.handle().spawn("soft stop", async move {
            process.facts.stop.reached(Stop::Soft).await;
            for task in accepting.take() {
                task.kill();
            }
            node.stop_softly();
            sessions.wake_all();
            let limit = process.shared.config.global.hard_stop_after;
            let mut hard = limit.map(|limit| Box::pin(handle.sleep_until(node.worker.host.now() + limit)));
            std::future::poll_fn(|cx| {
                if let Some(hard) = &mut hard
                    && hard.as_mut().poll(cx).is_ready()
                {
                    return std::task::Poll::Ready(());
                }
                sessions.poll_empty(cx)
            })
            .await;
            process.facts.stop.finish(process.facts.threads).await;
            flag.set(true);
        });
    }
}

/// What accepted connections are handed to.
struct Accepted {
    node: Rc<Node>,
    sessions: Rc<Sessions>,
    handle: Handle,
    proxy: Arc<Proxy>,
    bind: Arc<Bind>,
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl Surroundings for Accepted {
    async fn pause(&self, time: Duration) {
        self.handle.sleep_until(self.node.worker.host.now() + time).await;
    }

    fn on_error(&self, error: &io::Error) {
        let text = format!("Proxy {} cannot accept: {error}", self.proxy.name);
        proxy_core::log::send(&self.node.worker, &self.proxy.logs, Level::Emerg, text.as_bytes());
    }

    fn listening(&self) -> &proxy_core::backend::listening::Listening {
        &self.proxy.state.listening
    }

    fn serve(&self, io: BoxIo, places: [Place; 2]) {
        let io = match &self.tls {
            Some(config) => crate::tls::accept(config.clone(), io),
            None => io,
        };
        let session = self.node.serve(self.proxy.clone(), self.bind.clone(), io);
        self.sessions.spawn(&self.handle, session, places);
    }
}
