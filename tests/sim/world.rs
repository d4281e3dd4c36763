//! A world: everybody in it, stepped in an order that the seed decides until all is said and done.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    path::Path,
    rc::Rc,
    time::Duration,
};

use scheduler::{Budget, Scheduler};

use super::{
    agent::Agent,
    client::Client,
    network::{Network, Weather},
    origin::{Condition, Origin},
    random::Random,
    reference::Ledger,
    sut::{Sut, watched},
    time::Time,
    trace::Trace,
    transition::Watch,
};

/// What the seed decides about a world as a whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Nothing fails: every request gets what it asked for.
    pub(crate) calm: bool,
    weather: Weather,
    agent_stalls: u64,
    /// Connections on which the agent's words are falsified, of a thousand.
    pub(crate) agent_rogue: u64,
    /// How often each server becomes unwell.
    outages: [u64; 2],
    /// Worker threads of the proxy.
    workers: usize,
    clients: u32,
    requests: u32,
}

impl Plan {
    fn new(random: &mut Random) -> Self {
        let calm = random.chance(200);
        let weather = Weather {
            delay_us_max: random.between(50, 5000),
            split: random.between(0, 700),
            ..Weather::default()
        };
        let weather = match calm {
            true => weather,
            false => Weather { reset: random.between(0, 25), silence: random.between(0, 8), ..weather },
        };
        let outages = match calm {
            true => [0, 0],
            false => [if random.chance(300) { 2 } else { 0 }, random.between(1, 4)],
        };
        Self {
            calm,
            weather,
            agent_stalls: if calm { 0 } else { random.between(0, 150) },
            outages,
            workers: random.size(1, 3),
            clients: u32::try_from(random.between(3, 9)).unwrap_or(3),
            requests: u32::try_from(random.between(8, 25)).unwrap_or(8),
            agent_rogue: if !calm && random.chance(500) { random.between(100, 700) } else { 0 },
        }
    }
}

/// A world at its end.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) trace: Trace,
    pub(crate) network: Network,
    pub(crate) ledger: Ledger,
    pub(crate) origins: Vec<Rc<Origin>>,
    pub(crate) watch: Watch,
    /// What was in use when it should not have been.
    pub(crate) in_use: Vec<(String, usize)>,
    time: Time,
    random: Random,
    actors: Scheduler,
    clients_left: Rc<Cell<u32>>,
}

impl World {
    /// Lives the world of a seed from its beginning to its end.
    pub(crate) fn live(seed: u64) -> Self {
        Self::live_with(seed, |_| {})
    }

    /// The same with a plan that was changed.
    pub(crate) fn live_with(seed: u64, change: impl FnOnce(&mut Plan)) -> Self {
        let mut random = Random::new(seed, "world");
        let mut plan = Plan::new(&mut random);
        change(&mut plan);
        let time = Time::new();
        let trace = Trace::new(&time);
        trace.say("world", format_args!("seed {seed} {plan:?}"));
        let network = Network::new(&time, &trace, Random::new(seed, "network"), plan.weather);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sim/first");
        let mut sut = Sut::start(&folder, plan.workers, seed, &time, &network, &trace);
        let mut world = Self {
            plan,
            watch: Watch::new(&sut, &trace),
            actors: watched(&time, &trace, "world"),
            ledger: Ledger::default(),
            origins: Vec::new(),
            in_use: Vec::new(),
            clients_left: Rc::new(Cell::new(plan.clients)),
            trace,
            network,
            time,
            random,
        };
        world.people(seed);
        let left = world.clients_left.clone();
        world.run(&mut sut, LONGEST, || left.get() == 0);
        if left.get() > 0 {
            world.trace.say("world", format_args!("VIOLATION: {} clients are not done", left.get()));
        }
        // Fair weather and nobody there: all that is idle ends by itself.
        world.network.set_weather(Weather::default());
        world.run_for(&mut sut, QUIET);
        world.in_use = sut.in_use();
        sut.stop_softly();
        world.run_for(&mut sut, Duration::from_secs(1));
        for worker in sut.end() {
            if worker.strong_count() > 0 {
                world.trace.say("world", "VIOLATION: a worker outlives its end");
            }
        }
        world.trace.say("world", "ends");
        world
    }

    fn people(&mut self, seed: u64) {
        let handle = self.actors.handle();
        for (name, at) in [("s1", SERVERS[0]), ("s2", SERVERS[1])] {
            let origin = Rc::new(Origin {
                name,
                at: SocketAddr::from(at),
                time: self.time.clone(),
                network: self.network.clone(),
                trace: self.trace.clone(),
                ledger: self.ledger.clone(),
                condition: Cell::new(Condition::Well),
            });
            self.origins.push(origin.clone());
            let (listener, spawner) = (self.network.listen(origin.at), handle.clone());
            handle.spawn("server", async move {
                loop {
                    let end = listener.accept().await;
                    let random = Random::new(seed, &format!("{name} {}", end.link()));
                    spawner.spawn("server connection", origin.clone().serve(end, random));
                }
            });
        }
        for (origin, count) in self.origins.iter().zip(self.plan.outages) {
            let random = Random::new(seed, &format!("outages of {}", origin.name));
            handle.spawn("outages", outages(origin.clone(), random, count));
        }
        let agent = Rc::new(Agent {
            time: self.time.clone(),
            trace: self.trace.clone(),
            ledger: self.ledger.clone(),
            random: RefCell::new(Random::new(seed, "agent")),
            stalls: self.plan.agent_stalls,
            rogue: self.plan.agent_rogue,
        });
        let (listener, spawner) = (self.network.listen(SocketAddr::from(AGENT)), handle.clone());
        handle.spawn("agent", async move {
            loop {
                spawner.spawn("agent connection", agent.clone().serve(listener.accept().await));
            }
        });
        for number in 1..=self.plan.clients {
            let client = Client {
                number,
                to: SocketAddr::from(FRONTEND),
                time: self.time.clone(),
                network: self.network.clone(),
                trace: self.trace.clone(),
                ledger: self.ledger.clone(),
                random: Random::new(seed, &format!("client {number}")),
            };
            let (left, requests) = (self.clients_left.clone(), self.plan.requests);
            handle.spawn("client", async move {
                client.run(requests).await;
                left.set(left.get() - 1);
            });
        }
    }

    fn run_for(&mut self, sut: &mut Sut, time: Duration) {
        let until = self.time.elapsed() + time;
        self.run(sut, until, || false);
    }

    /// Steps everybody until `done`, or until that moment.
    fn run(&mut self, sut: &mut Sut, until: Duration, done: impl Fn() -> bool) {
        loop {
            let next = self.settle(sut);
            if done() || next.is_none_or(|next| next > until) {
                break;
            }
            let next = next.expect("invariant: there is one, or the loop has ended");
            // A machine that is busy elsewhere is late now and then.
            let late = if self.random.chance(50) { self.random.micros(0, 2000) } else { Duration::ZERO };
            self.time.advance(next + late);
        }
        if !done() {
            self.time.advance(until);
        }
    }

    /// Steps everybody until nobody has anything to do at this moment; the next one at which somebody has.
    fn settle(&mut self, sut: &mut Sut) -> Option<Duration> {
        for _ in 0..TURNS_MAX {
            let mut all: Vec<&mut Scheduler> = sut.schedulers().chain([&mut self.actors]).collect();
            self.random.shuffle(&mut all);
            let mut busy = false;
            for scheduler in all {
                let budget = Budget::new(self.random.size(1, 40));
                let outcome = scheduler.run(self.time.now(), budget);
                busy |= outcome.ran > 0 || outcome.more;
                self.watch.look();
            }
            if !busy {
                let expiries = sut.schedulers().map(|scheduler| scheduler.next_expiry());
                let expiries = expiries.chain([self.actors.next_expiry()]).collect::<Vec<_>>();
                let expiries = expiries.into_iter().flatten().map(|at| self.time.since_origin(at));
                return expiries.chain(self.time.next()).min();
            }
        }
        self.trace.say("world", format_args!("VIOLATION: busy for {TURNS_MAX} turns without time passing"));
        None
    }
}

/// Makes a server unwell for a while, so many times.
async fn outages(origin: Rc<Origin>, mut random: Random, count: u64) {
    for _ in 0..count {
        origin.time.sleep(random.millis(200, 2500)).await;
        let conditions = [Condition::Sick, Condition::Refusing, Condition::Stalling];
        origin.set(conditions[random.size(0, 2)]);
        origin.time.sleep(random.millis(100, 2500)).await;
        origin.set(Condition::Well);
    }
}

/// Where the configuration has things.
const FRONTEND: ([u8; 4], u16) = ([10, 0, 0, 1], 80);
const SERVERS: [([u8; 4], u16); 2] = [([10, 0, 1, 1], 80), ([10, 0, 1, 2], 80)];
const AGENT: ([u8; 4], u16) = ([10, 0, 2, 1], 12345);
/// No world takes longer.
const LONGEST: Duration = Duration::from_secs(3600);
/// How long all is quiet before nothing may be in use any more.
const QUIET: Duration = Duration::from_secs(60);
/// Turns without time passing after which somebody turns in circles.
const TURNS_MAX: usize = 10_000;
