//! A subscription: counted handle, state word, and what it delivers to.

use std::sync::{Arc, Weak};

use crate::handler::Handler;
use crate::list::Inner;
use crate::queue::{Pushed, Queue};
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::{Error, Event, Family, Publication, SubscriptionId, Subtypes};

/// Low 16 bits: the subtypes. Above: flags.
const MASK: u32 = 0xffff;
const PAUSED: u32 = 1 << 16;
const ENDED: u32 = 1 << 17;
/// A sync handler has missed events that it has not been told of.
const UNTOLD: u32 = 1 << 18;

pub(crate) enum Sink<F: Family> {
    Handler(Handler<F>),
    Queue(Arc<Queue<F>>),
}

pub(crate) struct Shared<F: Family> {
    state: AtomicU32,
    id: Option<SubscriptionId>,
    /// All that was missed, ever.
    lost: AtomicU64,
    /// What a sync handler has not been told of yet.
    untold: AtomicU64,
    sink: Sink<F>,
    list: Weak<Inner<F>>,
}

/// A counted handle to a subscription. It stays valid after the subscription has ended; dropping it
/// does not end the subscription.
///
/// A handler's captures are dropped when the subscription has ended, no publication in progress can see
/// it any more and the last handle is gone. A handler that holds its own handle therefore stays until
/// it is told to let go; inside a call use [`Event::subscription`] instead.
///
/// # Thread affinity
/// `Send` and `Sync`; every method may be called from any thread and from inside any handler.
pub struct Subscription<F: Family>(pub(crate) Arc<Shared<F>>);

impl<F: Family> Subscription<F> {
    pub(crate) fn new(
        subtypes: Subtypes,
        id: Option<SubscriptionId>,
        sink: Sink<F>,
        list: Weak<Inner<F>>,
    ) -> Self {
        Self(Arc::new(Shared {
            state: AtomicU32::new(u32::from(subtypes.bits())),
            id,
            lost: AtomicU64::new(0),
            untold: AtomicU64::new(0),
            sink,
            list,
        }))
    }

    /// The id it was subscribed with.
    #[must_use]
    pub fn id(&self) -> Option<SubscriptionId> {
        self.0.id
    }

    /// The subtypes it covers; none once it has ended.
    #[must_use]
    pub fn subtypes(&self) -> Subtypes {
        let state = self.0.state.load(Ordering::Acquire);
        if state & ENDED != 0 { Subtypes::NONE } else { Subtypes::from_bits((state & MASK) as u16) }
    }

    /// Whether it has been paused by [`pause`](Self::pause).
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.0.state.load(Ordering::Acquire) & PAUSED != 0
    }

    /// Whether it has ended. A queue may still hold events, and its END.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.0.state.load(Ordering::Acquire) & ENDED != 0
    }

    /// How many matching events it has missed so far, for whatever reason.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// Covers other subtypes from now on. Inside a publication in progress the new set counts if the
    /// subscription's turn has not come yet.
    ///
    /// # Errors
    /// [`Error::Ended`]; [`Error::NoSubtypes`] for the empty set.
    pub fn resubscribe(&self, subtypes: Subtypes) -> Result<(), Error> {
        if subtypes.is_empty() {
            return Err(Error::NoSubtypes);
        }
        let list = self.0.list.upgrade().ok_or(Error::Ended)?;
        list.widen(subtypes);
        let set = |state: u32| (state & ENDED == 0).then_some(state & !MASK | u32::from(subtypes.bits()));
        let changed = self.0.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, set);
        list.refresh_interest();
        changed.map(|_| ()).map_err(|_| Error::Ended)
    }

    /// Stops deliveries; what matches meanwhile is missed and counted. Pausing twice is pausing once.
    /// What a queue holds already is still delivered. False if the subscription has ended.
    pub fn pause(&self) -> bool {
        self.0.state.fetch_or(PAUSED, Ordering::AcqRel) & ENDED == 0
    }

    /// Takes up deliveries again. A queue's reader is woken to hear how many it missed; a sync handler
    /// finds the number in its next event. False if the subscription has ended.
    pub fn resume(&self) -> bool {
        let before = self.0.state.fetch_and(!PAUSED, Ordering::AcqRel);
        if let (Sink::Queue(queue), true) = (&self.0.sink, before & PAUSED != 0) {
            queue.resumed();
        }
        before & ENDED == 0
    }

    /// Ends the subscription. A queue still delivers what it holds, then END.
    ///
    /// When this returns, no call of a sync handler is running on another thread, nor will one start:
    /// it waits for publications in progress. Called from inside a handler (any handler, any list) it does
    /// not wait: no call will *start* once it has returned, but those under way, the caller among them,
    /// run to their end. False if the subscription had ended before (it then waits all the same).
    ///
    /// Do not hold a lock that a handler takes.
    ///
    /// # Source
    /// `event_hdl_unsubscribe()`, event_hdl guide §2.3.3.
    pub fn unsubscribe(&self) -> bool {
        self.finish(false)
    }

    /// As [`unsubscribe`](Self::unsubscribe), but what a queue holds is dropped and counted as lost; the
    /// reader gets the count, then END.
    pub fn unsubscribe_discarding(&self) -> bool {
        self.finish(true)
    }

    fn finish(&self, discard: bool) -> bool {
        let first = self.end(discard);
        if let Some(list) = self.0.list.upgrade() {
            let sync = matches!(self.0.sink, Sink::Handler(_));
            list.remove(self, sync);
        }
        first
    }

    /// Marks the end; true for the first caller.
    pub(crate) fn end(&self, discard: bool) -> bool {
        let first = self.0.state.fetch_or(ENDED, Ordering::AcqRel) & ENDED == 0;
        if let (Sink::Queue(queue), true) = (&self.0.sink, first || discard) {
            self.0.lost.fetch_add(queue.end(discard), Ordering::Relaxed);
        }
        first
    }

    pub(crate) fn is_sync(&self) -> bool {
        matches!(self.0.sink, Sink::Handler(_))
    }

    /// Whether a publication is for it, and if so whether it can be delivered.
    fn wants(&self, subtype: Subtypes) -> Wants {
        let state = self.0.state.load(Ordering::Acquire);
        let bits = u32::from(subtype.bits());
        match state & bits == bits && state & ENDED == 0 {
            false => Wants::No,
            true if state & PAUSED != 0 => Wants::ButPaused,
            true => Wants::Yes,
        }
    }

    /// Hands a publication to the queue of an async subscription.
    pub(crate) fn enqueue(&self, publication: &mut Publication<'_, '_, F>) -> Outcome {
        let Sink::Queue(queue) = &self.0.sink else { return Outcome::None };
        match self.wants(publication.subtype) {
            Wants::No => Outcome::None,
            Wants::ButPaused => {
                queue.miss();
                self.miss()
            }
            Wants::Yes => match queue.push(publication.queued()) {
                Some(Pushed::Queued) => Outcome::Delivered,
                Some(Pushed::Displaced) => {
                    self.0.lost.fetch_add(1, Ordering::Relaxed);
                    Outcome::Delivered
                }
                Some(Pushed::Lost) => self.miss(),
                None => Outcome::None,
            },
        }
    }

    /// Calls the handler of a sync subscription.
    pub(crate) fn call(&self, publication: &Publication<'_, '_, F>) -> Outcome {
        let Sink::Handler(handler) = &self.0.sink else { return Outcome::None };
        let bits = u32::from(publication.subtype.bits());
        let state = self.0.state.load(Ordering::Acquire);
        let mut untold = 0;
        // One look at the state word decides the usual cases: not for it, or nothing special.
        if state & (bits | PAUSED | ENDED | UNTOLD) != bits {
            if state & bits != bits || state & ENDED != 0 {
                return Outcome::None;
            }
            if state & PAUSED != 0 {
                return self.miss_untold();
            }
            self.0.state.fetch_and(!UNTOLD, Ordering::AcqRel);
            untold = self.0.untold.swap(0, Ordering::AcqRel);
        }
        let event = Event {
            subtype: publication.subtype,
            live: publication.live,
            when: publication.when,
            subscription: self,
            lost: untold,
        };
        if handler.call(&event) {
            return Outcome::Delivered;
        }
        self.0.untold.fetch_add(untold, Ordering::AcqRel);
        self.miss_untold()
    }

    fn miss(&self) -> Outcome {
        self.0.lost.fetch_add(1, Ordering::Relaxed);
        Outcome::Lost
    }

    fn miss_untold(&self) -> Outcome {
        // Counted first, then flagged: whoever clears the flag finds the count.
        self.0.untold.fetch_add(1, Ordering::AcqRel);
        self.0.state.fetch_or(UNTOLD, Ordering::AcqRel);
        self.miss()
    }
}

enum Wants {
    No,
    ButPaused,
    Yes,
}

/// What one subscription did with one publication.
pub(crate) enum Outcome {
    None,
    Delivered,
    Lost,
}

impl<F: Family> Clone for Subscription<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F: Family> PartialEq for Subscription<F> {
    /// Whether both are handles to the same subscription.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<F: Family> Eq for Subscription<F> {}

impl<F: Family> std::fmt::Debug for Subscription<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription")
            .field("id", &self.id())
            .field("subtypes", &self.subtypes())
            .field("paused", &self.is_paused())
            .field("ended", &self.is_ended())
            .finish()
    }
}
