//! The family `PAT_REF`: what happens to the live entries of pattern references.
//!
//! Events go to the reference's own subscription list only, as upstream; they have no data.
//!
//! Source: event_hdl guide §1 (PAT_REF family).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use event_hdl::{Family, Publication, SubscriptionList, Subtypes};
use parking_lot::RwLock;
use proxy_core::{
    host::PatternObserver,
    pattern_ref::{PatternEvent, PatternRef, PatternRefs},
};

/// What happens to pattern references.
pub enum Patterns {}

impl Family for Patterns {
    type Live<'a> = PatternEvent;
    type Snapshot = ();
    const NAME: &'static str = "PAT_REF";
    const SUBTYPES: &'static [(&'static str, Subtypes)] = &[
        ("PAT_REF_ADD", Subtypes::bit(1)),
        ("PAT_REF_DEL", Subtypes::bit(2)),
        ("PAT_REF_SET", Subtypes::bit(3)),
        ("PAT_REF_COMMIT", Subtypes::bit(4)),
        ("PAT_REF_CLEAR", Subtypes::bit(5)),
    ];

    fn snapshot(_: &PatternEvent) {}
}

fn subtype(event: PatternEvent) -> Subtypes {
    Subtypes::bit(match event {
        PatternEvent::Add => 1,
        PatternEvent::Del => 2,
        PatternEvent::Set => 3,
        PatternEvent::Commit => 4,
        PatternEvent::Clear => 5,
    })
}

/// The name of a single subtype.
#[must_use]
pub fn pattern_subtype_name(subtype: Subtypes) -> &'static str {
    Patterns::SUBTYPES.iter().find(|(_, bit)| *bit == subtype).map_or("PAT_REF", |(name, _)| name)
}

/// The subscription lists of all references, by number. Shared by all threads.
pub struct PatternEvents {
    refs: Arc<PatternRefs>,
    own: RwLock<BTreeMap<u32, SubscriptionList<Patterns>>>,
    wall: Box<dyn Fn() -> Duration + Send + Sync>,
}

impl PatternEvents {
    /// No lists yet; `wall` is the wall clock that events are stamped with. From now on it is told
    /// of what happens to these references.
    #[must_use]
    pub fn new(refs: Arc<PatternRefs>, wall: impl Fn() -> Duration + Send + Sync + 'static) -> Arc<Self> {
        let events = Arc::new(Self { refs, own: RwLock::default(), wall: Box::new(wall) });
        events.refs.observe(events.clone());
        events
    }

    /// Calls `with` with a reference's list, which is made when first asked for.
    pub fn with_own<R>(&self, number: u32, with: impl FnOnce(&SubscriptionList<Patterns>) -> R) -> Option<R> {
        let reference = self.refs.by_id(number)?;
        let mut own = self.own.write();
        reference.watch();
        Some(with(own.entry(number).or_default()))
    }

    /// Ends every subscription: END goes behind what is queued, and new ones are refused.
    pub fn close(&self) {
        for (_, list) in self.own.read().iter() {
            list.close();
        }
    }
}

impl PatternObserver for PatternEvents {
    fn on_pattern_event(&self, reference: &PatternRef, event: PatternEvent) {
        let own = self.own.read();
        let list = reference.number().and_then(|number| own.get(&number));
        if let Some(list) = list.filter(|list| list.has_listeners(subtype(event))) {
            list.send(&mut Publication::new(&event, subtype(event), (self.wall)()));
        }
    }
}
