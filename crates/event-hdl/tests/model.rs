//! Random operations on a list against a plain model: who hears what, what is lost, where END comes.

mod support;

use std::collections::{BTreeSet, VecDeque};

use event_hdl::{Error, EventQueue, Overflow, Subscription, SubscriptionId, SubscriptionList, Subtypes};
use proptest::prelude::*;
use support::{Door, Log, Tally, WHEN, words};

#[derive(Clone, Debug)]
enum Step {
    Subscribe {
        subtypes: u16,
        id: Option<u64>,
    },
    Queue {
        subtypes: u16,
        id: Option<u64>,
        overflow: Overflow,
    },
    Publish(u16),
    Pause(usize),
    Resume(usize),
    Resubscribe(usize, u16),
    Unsubscribe {
        which: usize,
        discard: bool,
    },
    Read {
        which: usize,
        how: How,
        max: usize,
    },
    /// Drops the handle, and the reader with what waits.
    Forget(usize),
    Close,
}

/// The ways to read a queue.
#[derive(Clone, Copy, Debug)]
enum How {
    Pop,
    Batch,
    Look,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let subtypes = 0..16_u16;
    let id = proptest::option::of(1..5_u64);
    let overflow = prop_oneof![
        (0..4_usize).prop_map(|above| Overflow::Pause { above }),
        (0..4_usize).prop_map(|max| Overflow::DropNewest { max }),
        (0..4_usize).prop_map(|max| Overflow::DropOldest { max }),
        Just(Overflow::Unbounded),
    ];
    let how = prop_oneof![Just(How::Pop), Just(How::Batch), Just(How::Look)];
    let step = prop_oneof![
        20 => (subtypes.clone(), id.clone()).prop_map(|(subtypes, id)| Step::Subscribe { subtypes, id }),
        20 => (subtypes.clone(), id, overflow)
            .prop_map(|(subtypes, id, overflow)| Step::Queue { subtypes, id, overflow }),
        120 => subtypes.clone().prop_map(Step::Publish),
        10 => any::<usize>().prop_map(Step::Pause),
        20 => any::<usize>().prop_map(Step::Resume),
        15 => (any::<usize>(), subtypes).prop_map(|(which, subtypes)| Step::Resubscribe(which, subtypes)),
        15 => (any::<usize>(), any::<bool>())
            .prop_map(|(which, discard)| Step::Unsubscribe { which, discard }),
        50 => (any::<usize>(), how, prop_oneof![Just(usize::MAX), 0..4_usize])
            .prop_map(|(which, how, max)| Step::Read { which, how, max }),
        5 => any::<usize>().prop_map(Step::Forget),
        1 => Just(Step::Close),
    ];
    proptest::collection::vec(step, 1..150)
}

/// What one subscription should be and should have heard.
struct Model {
    handle: Subscription<Door>,
    queue: Option<EventQueue<Door>>,
    overflow: Overflow,
    subtypes: u16,
    id: Option<u64>,
    paused: bool,
    throttled: bool,
    ended: bool,
    end_told: bool,
    /// For queues: events, each with what was lost just before it.
    waiting: VecDeque<(u64, u64)>,
    /// Lost and not told yet, after what waits.
    lost: u64,
    lost_ever: u64,
    heard: Vec<String>,
    log: Log,
}

impl Model {
    fn publish(&mut self, number: u64, subtype: u16) {
        if self.ended || self.subtypes & subtype != subtype {
            return;
        }
        if self.paused {
            return self.lose();
        }
        if self.queue.is_none() {
            let lost = std::mem::take(&mut self.lost);
            return self.heard.push(format!("{number} {lost}"));
        }
        let waiting = self.waiting.len();
        match self.overflow {
            Overflow::Pause { above } if self.throttled || waiting >= above => {
                self.throttled = true;
                return self.lose();
            }
            Overflow::DropNewest { max } | Overflow::DropOldest { max } if max == 0 => {
                assert_eq!(waiting, 0);
                return self.lose();
            }
            Overflow::DropNewest { max } if waiting >= max => return self.lose(),
            Overflow::DropOldest { max } if waiting >= max => {
                let (_, lost) = self.waiting.pop_front().unwrap();
                self.lost_ever += 1;
                match self.waiting.front_mut() {
                    Some(first) => first.1 += lost + 1,
                    None => self.lost += lost + 1,
                }
            }
            _ => {}
        }
        let lost = std::mem::take(&mut self.lost);
        self.waiting.push_back((number, lost));
    }

    fn lose(&mut self) {
        self.lost += 1;
        self.lost_ever += 1;
    }

    fn end(&mut self, discard: bool) {
        if self.queue.is_some() && discard && !self.end_told {
            self.lost_ever += self.waiting.len() as u64;
            self.lost += self.waiting.drain(..).map(|(_, lost)| lost + 1).sum::<u64>();
        }
        self.ended = true;
    }

    fn read(&mut self, max: usize) -> Vec<String> {
        let mut all = Vec::new();
        while all.len() < max {
            if let Some((number, lost)) = self.waiting.front_mut() {
                if *lost > 0 {
                    all.push(format!("lost {}", std::mem::take(lost)));
                } else {
                    all.push(number.to_string());
                    self.waiting.pop_front();
                }
                continue;
            }
            self.throttled = false;
            if self.lost > 0 && (!self.paused || self.ended) {
                all.push(format!("lost {}", std::mem::take(&mut self.lost)));
            } else if self.ended && !std::mem::replace(&mut self.end_told, true) {
                all.push("end".to_owned());
            } else {
                break;
            }
        }
        all
    }

    /// Reads the real queue.
    fn really_read(&mut self, how: How, max: usize) -> Option<Vec<String>> {
        let queue = self.queue.as_mut()?;
        let mut items = Vec::new();
        let max = max.min(1000);
        match how {
            How::Pop => items.extend(std::iter::from_fn(|| queue.try_pop()).take(max)),
            How::Batch => assert_eq!(queue.pop_batch(max, &mut items), items.len()),
            How::Look => {
                let mut looked = Vec::new();
                assert_eq!(queue.read_batch(max, |item| looked.push(words(item))), looked.len());
                return Some(looked);
            }
        }
        Some(items.iter().map(words).collect())
    }
}

struct World {
    list: SubscriptionList<Door>,
    tally: Tally,
    all: Vec<Model>,
    closed: bool,
    published: u64,
}

impl World {
    fn expect(&self, subtypes: u16, id: Option<u64>) -> Option<Error> {
        let taken = id.filter(|id| self.all.iter().any(|one| !one.ended && one.id == Some(*id)));
        match (subtypes, self.closed, taken) {
            (0, _, _) => Some(Error::NoSubtypes),
            (_, true, _) => Some(Error::Closed),
            (_, _, Some(id)) => Some(Error::DuplicateId(SubscriptionId::from_raw(id).unwrap())),
            _ => None,
        }
    }

    fn subscribe(&mut self, subtypes: u16, id: Option<u64>, overflow: Option<Overflow>) {
        let mut request = event_hdl::Request::from(Subtypes::from_bits(subtypes));
        request.id = id.and_then(SubscriptionId::from_raw);
        let log = Log::default();
        let entries = log.clone();
        let made = match overflow {
            None => self
                .list
                .subscribe(request, move |event| entries.add(format!("{} {}", event.live.number, event.lost)))
                .map(|handle| (handle, None)),
            Some(overflow) => {
                self.list.queue(request, overflow).map(|queue| (queue.subscription().clone(), Some(queue)))
            }
        };
        let expected = self.expect(subtypes, id);
        let (handle, queue) = match made {
            Ok(made) => made,
            Err(error) => return assert_eq!(Some(error), expected),
        };
        assert_eq!(expected, None);
        self.all.push(Model {
            handle,
            queue,
            overflow: overflow.unwrap_or(Overflow::Unbounded),
            subtypes,
            id,
            paused: false,
            throttled: false,
            ended: false,
            end_told: false,
            waiting: VecDeque::new(),
            lost: 0,
            lost_ever: 0,
            heard: Vec::new(),
            log,
        });
    }

    fn pick(&mut self, which: usize) -> Option<&mut Model> {
        let count = self.all.len();
        self.all.get_mut(which.checked_rem(count)?)
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Subscribe { subtypes, id } => self.subscribe(subtypes, id, None),
            Step::Queue { subtypes, id, overflow } => self.subscribe(subtypes, id, Some(overflow)),
            Step::Publish(subtype) => {
                self.published += 1;
                let number = self.published;
                self.list.publish(&self.tally.live(number), Subtypes::from_bits(subtype), WHEN);
                self.all.iter_mut().for_each(|one| one.publish(number, subtype));
            }
            Step::Pause(which) => {
                let Some(one) = self.pick(which) else { return };
                assert_eq!(one.handle.pause(), !one.ended);
                one.paused = true;
            }
            Step::Resume(which) => {
                let Some(one) = self.pick(which) else { return };
                assert_eq!(one.handle.resume(), !one.ended);
                one.paused = false;
            }
            Step::Resubscribe(which, subtypes) => {
                let Some(one) = self.pick(which) else { return };
                let expected = match (subtypes, one.ended) {
                    (0, _) => Err(Error::NoSubtypes),
                    (_, true) => Err(Error::Ended),
                    _ => {
                        one.subtypes = subtypes;
                        Ok(())
                    }
                };
                assert_eq!(one.handle.resubscribe(Subtypes::from_bits(subtypes)), expected);
            }
            Step::Unsubscribe { which, discard } => {
                let Some(one) = self.pick(which) else { return };
                let done =
                    if discard { one.handle.unsubscribe_discarding() } else { one.handle.unsubscribe() };
                assert_eq!(done, !one.ended);
                one.end(discard);
            }
            Step::Read { which, how, max } => {
                let Some(one) = self.pick(which) else { return };
                if one.queue.is_none() {
                    return assert_eq!(one.log.take(), std::mem::take(&mut one.heard));
                }
                let expected = one.read(max);
                assert_eq!(one.really_read(how, max), Some(expected), "{how:?}");
            }
            Step::Forget(which) => {
                let Some(which) = which.checked_rem(self.all.len()) else { return };
                let one = self.all.swap_remove(which);
                if one.queue.is_none() && !one.ended {
                    // A handler goes on without its handle.
                    one.handle.unsubscribe();
                }
            }
            Step::Close => {
                self.list.close();
                self.closed = true;
                self.all.iter_mut().for_each(|one| one.end(false));
            }
        }
    }

    fn check(&self) {
        for one in &self.all {
            assert_eq!((one.handle.is_ended(), one.handle.lost()), (one.ended, one.lost_ever));
            if let Some(queue) = &one.queue {
                assert_eq!(queue.len(), one.waiting.len());
                assert_eq!(queue.is_throttled(), one.throttled);
            }
        }
        assert_eq!(self.list.len(), self.all.iter().filter(|one| !one.ended).count());
        // An event is kept as long as it waits somewhere, and no longer.
        let waiting: BTreeSet<u64> =
            self.all.iter().flat_map(|one| one.waiting.iter().map(|(number, _)| *number)).collect();
        assert_eq!(self.tally.alive(), waiting.len());
    }
}

fn behaves(steps: &[Step]) {
    let mut world = World {
        list: SubscriptionList::new(),
        tally: Tally::default(),
        all: Vec::new(),
        closed: false,
        published: 0,
    };
    for step in steps {
        world.step(step);
        world.check();
    }
    world.all.clear();
    assert_eq!(world.tally.alive(), 0);
}

// A failing case becomes a named test, not a seed in a file.
fn cases(count: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(count) }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn a_list_behaves_as_its_model(steps in steps()) {
        behaves(&steps);
    }
}

proptest! {
    #![proptest_config(cases(100_000))]

    #[test]
    #[ignore = "minutes: cargo xtask soak models"]
    fn a_list_behaves_as_its_model_for_long(steps in steps()) {
        behaves(&steps);
    }
}
