//! A subscription: counted handle, state word, and what it delivers to.

use std::panic::Location;
use std::ptr::NonNull;
use std::sync::{Arc, Weak};

use crate::handler::{Called, Exclusive};
use crate::hub::Hub;
use crate::inner::Inner;
use crate::log::debug;
use crate::sync::{AtomicU32, AtomicU64, Ordering, Watched, model_fence};
use crate::{Error, Event, Family, Occurrence, SubscriptionId, Subtypes};

/// Low 16 bits of a state: the subtypes. Above: flags.
pub(crate) const MASK: u32 = 0xffff;
pub(crate) const PAUSED: u32 = 1 << 16;
pub(crate) const ENDED: u32 = 1 << 17;

/// The place of a subscription that no table holds, the key of one that no registry holds.
pub(crate) const NOWHERE: u32 = u32::MAX;

pub(crate) type Plain<F> = dyn Fn(Event<'_, '_, F>) + Send + Sync;

pub(crate) enum Sink<F: Family> {
    Handler(Box<Plain<F>>),
    Exclusive(Box<Exclusive<F>>),
    Queue(Queue<F>),
}

/// Where a subscription's queue is.
pub(crate) struct Queue<F: Family> {
    pub(crate) hub: Arc<Hub<F>>,
    pub(crate) key: usize,
}

pub(crate) struct Shared<F: Family> {
    /// Changed under the list's registry lock, or for a queue under its hub's.
    state: AtomicU32,
    /// Its slot in the list's table. Changed under the registry lock only.
    place: AtomicU32,
    /// Where the registry has it. Changed under the registry lock only.
    key: AtomicU32,
    sink: Sink<F>,
    id: Option<SubscriptionId>,
    /// All that was missed, ever; a queue counts for itself as long as it exists.
    lost: AtomicU64,
    /// What a sync handler has not been told of yet.
    untold: AtomicU64,
    list: Weak<Inner<F>>,
    origin: &'static Location<'static>,
    watched: Watched,
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
        origin: &'static Location<'static>,
    ) -> Self {
        Self(Arc::new(Shared {
            state: AtomicU32::new(u32::from(subtypes.bits())),
            place: AtomicU32::new(NOWHERE),
            key: AtomicU32::new(NOWHERE),
            sink,
            id,
            lost: AtomicU64::new(0),
            untold: AtomicU64::new(0),
            list,
            origin,
            watched: Watched::new(),
        }))
    }

    /// The id it was subscribed with.
    #[must_use]
    pub fn id(&self) -> Option<SubscriptionId> {
        self.0.id
    }

    /// The call that subscribed it, in the embedder's source.
    #[must_use]
    pub fn origin(&self) -> &'static Location<'static> {
        self.0.origin
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
        let queue = self.queue().and_then(|queue| queue.hub.lost(queue.key, &self.0.state));
        queue.unwrap_or_else(|| self.0.lost.load(Ordering::Relaxed))
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
        self.0.list.upgrade().ok_or(Error::Ended)?.resubscribe(self, subtypes)
    }

    /// Stops deliveries; what matches meanwhile is missed and counted. Pausing twice is pausing once.
    /// What a queue holds already is still delivered. False if the subscription has ended.
    pub fn pause(&self) -> bool {
        self.update(|state| state | PAUSED)
    }

    /// Takes up deliveries again. A queue's reader is woken to hear how many it missed; a sync handler
    /// finds the number in its next event. False if the subscription has ended.
    pub fn resume(&self) -> bool {
        self.update(|state| state & !PAUSED)
    }

    /// Ends the subscription. A queue still delivers what it holds, then END.
    ///
    /// When this returns, no call of a sync handler is running on another thread, nor will one start:
    /// it waits for the list's publications in progress. Called from inside a handler (any handler, any list) it
    /// does not wait: no publication that begins once it has returned calls the handler, nor does the one it is
    /// called from; those under way on other threads, if their turn at this handler has come, do. (An
    /// [exclusive](crate::SubscriptionList::subscribe_exclusive) handler is not called again even so.)
    /// False if the subscription had ended before (it then waits all the same).
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
        let list = self.0.list.upgrade();
        let first = match self.queue() {
            Some(_) => self.end_queue(discard),
            None => list.as_ref().is_some_and(|list| list.end_handler(self)),
        };
        if first {
            debug!(family = F::NAME, by = %self.origin(), id = ?self.id(), "unsubscribed");
        }
        if let (Some(list), Some(_)) = (list, self.queue()) {
            list.remove_queue(self);
        }
        first
    }

    /// Ends a subscription to a queue; true for the first caller.
    pub(crate) fn end_queue(&self, discard: bool) -> bool {
        let Some(queue) = self.queue() else { return false };
        let (first, aftermath) = queue.hub.end(queue.key, &self.0.state, discard);
        aftermath.settle();
        first
    }

    /// Ends a subscription to a handler, under the registry lock; true for the first caller.
    pub(crate) fn end_here(&self) -> bool {
        let state = self.0.state.load(Ordering::Relaxed);
        self.0.state.store(state | ENDED, Ordering::Release);
        state & ENDED == 0
    }

    fn update(&self, new: impl Fn(u32) -> u32) -> bool {
        match self.queue() {
            Some(queue) => queue.hub.update(queue.key, &self.0.state, new),
            None => self.0.list.upgrade().is_some_and(|list| list.change(self, new)),
        }
    }

    /// Changes the state under the registry lock, unless the subscription has ended; false then.
    pub(crate) fn update_here(&self, new: impl Fn(u32) -> u32) -> bool {
        if let Some(queue) = self.queue() {
            return queue.hub.update(queue.key, &self.0.state, new);
        }
        let state = self.0.state.load(Ordering::Relaxed);
        if state & ENDED == 0 {
            self.0.state.store(new(state), Ordering::SeqCst);
            model_fence();
        }
        state & ENDED == 0
    }

    /// What is to be called, where no more is to be thought of.
    pub(crate) fn plain(&self) -> NonNull<Plain<F>> {
        fn nothing<F: Family>(_: Event<'_, '_, F>) {}
        match &self.0.sink {
            Sink::Handler(handler) => NonNull::from(&**handler),
            Sink::Exclusive(_) | Sink::Queue(_) => NonNull::from(&nothing::<F> as &Plain<F>),
        }
    }

    /// Whether there is more to it at this moment than a call.
    pub(crate) fn is_special(&self) -> bool {
        self.0.state.load(Ordering::Relaxed) & (PAUSED | ENDED) != 0
            || self.0.untold.load(Ordering::SeqCst) != 0
            || !matches!(self.0.sink, Sink::Handler(_))
    }

    pub(crate) fn place(&self) -> u32 {
        self.0.place.load(Ordering::Relaxed)
    }

    pub(crate) fn set_place(&self, place: u32) {
        self.0.place.store(place, Ordering::Relaxed);
    }

    pub(crate) fn key(&self) -> u32 {
        self.0.key.load(Ordering::Relaxed)
    }

    pub(crate) fn set_key(&self, key: u32) {
        self.0.key.store(key, Ordering::Relaxed);
    }

    /// The subtypes it was last subscribed to, also when it has ended.
    pub(crate) fn registered(&self) -> Subtypes {
        Subtypes::from_bits((self.0.state.load(Ordering::Acquire) & MASK) as u16)
    }

    pub(crate) fn queue(&self) -> Option<&Queue<F>> {
        match &self.0.sink {
            Sink::Queue(queue) => Some(queue),
            Sink::Handler(_) | Sink::Exclusive(_) => None,
        }
    }

    /// Lets the queue go, after the end; its reader is no more.
    pub(crate) fn release_queue(&self) {
        if let Some(queue) = self.queue() {
            queue.hub.release(queue.key, &self.0.state, &self.0.lost);
        }
    }

    /// Calls the handler of a sync subscription, whatever there is to it. Says also whether
    /// [`is_special`](Self::is_special) may have changed, by what it missed or was told.
    pub(crate) fn call(&self, occurrence: &Occurrence<'_, '_, F>) -> (Outcome, bool) {
        self.0.watched.read();
        let bits = u32::from(occurrence.subtype.bits());
        let state = self.0.state.load(Ordering::Acquire);
        if state & (bits | ENDED) != bits {
            return (Outcome::None, false);
        }
        if state & PAUSED != 0 {
            self.miss();
            return (Outcome::Lost, !self.is_paused_still());
        }
        let untold = match self.0.untold.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.0.untold.swap(0, Ordering::AcqRel),
        };
        let occurrence = occurrence.after_losing(untold);
        let event = Event::new(&occurrence, self);
        match &self.0.sink {
            Sink::Handler(handler) => {
                handler(event);
                (Outcome::Delivered, untold > 0)
            }
            Sink::Exclusive(handler) => (self.call_exclusive(handler, event, untold), false),
            Sink::Queue(_) => (Outcome::None, false),
        }
    }

    /// `untold` is what the event tells of.
    fn call_exclusive(&self, handler: &Exclusive<F>, event: Event<'_, '_, F>, untold: u64) -> Outcome {
        let still = || self.0.state.load(Ordering::Acquire) & (PAUSED | ENDED) == 0;
        match handler.call(event, still) {
            Called::Done => return Outcome::Delivered,
            Called::TooLate if self.is_ended() => return Outcome::None,
            Called::TooLate | Called::Met => {}
        }
        self.0.untold.fetch_add(untold, Ordering::AcqRel);
        self.miss();
        Outcome::Lost
    }

    fn miss(&self) {
        self.0.untold.fetch_add(1, Ordering::SeqCst);
        self.0.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// After a miss, whether the pause goes on. Whoever resumes changes the state and then looks at what is untold;
    /// who misses counts it and then looks at the state: at least one sees the other.
    fn is_paused_still(&self) -> bool {
        model_fence();
        self.0.state.load(Ordering::SeqCst) & PAUSED != 0
    }
}

impl<F: Family> Drop for Shared<F> {
    fn drop(&mut self) {
        self.watched.change();
    }
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
