//! Names of subscriptions within a list.

use std::fmt;
use std::num::NonZeroU64;

use xxhash_rust::xxh64::{Xxh64, xxh64};

/// Identifies a subscription within its list, for look-ups from elsewhere. Never 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(NonZeroU64);

impl SubscriptionId {
    /// The id of `name` within `scope`, by a hash that also takes in where the scope ends: `("ab", "c")`
    /// and `("a", "bc")` differ. Prefer it to [`event_id`] unless ids are shared with HAProxy.
    #[must_use]
    pub fn of(scope: &str, name: &str) -> Self {
        let mut hash = Xxh64::new(1);
        hash.update(&(scope.len() as u64).to_le_bytes());
        hash.update(scope.as_bytes());
        hash.update(name.as_bytes());
        // One input in 2^64 would be 0: it shares the id 1.
        Self(NonZeroU64::new(hash.digest()).unwrap_or(NonZeroU64::MIN))
    }

    /// An id made elsewhere; 0 is refused.
    #[must_use]
    pub const fn from_raw(raw: u64) -> Option<Self> {
        match NonZeroU64::new(raw) {
            Some(raw) => Some(Self(raw)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0.get()
    }
}

/// The id that HAProxy computes: XXH64, seed 0, over scope and name without a separator, so
/// `("ab", "c")` and `("a", "bc")` share one. `None` if the hash is 0, which is not an id.
///
/// # Source
/// `event_hdl_id()`, event_hdl guide §2.3.2.
#[must_use]
pub fn event_id(scope: &str, name: &str) -> Option<SubscriptionId> {
    let mut bytes = Vec::with_capacity(scope.len() + name.len());
    bytes.extend_from_slice(scope.as_bytes());
    bytes.extend_from_slice(name.as_bytes());
    SubscriptionId::from_raw(xxh64(&bytes, 0))
}

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.0)
    }
}

impl fmt::Debug for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubscriptionId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compatible_id_is_xxh64_of_both_parts() {
        // The published test values of XXH64 with seed 0.
        for (scope, name, id) in [
            ("", "", 0xef46_db37_51d8_e999),
            ("", "a", 0xd24e_c4f1_a98c_6e5b),
            ("ab", "c", 0x44bc_2cf5_ad77_0999),
            ("xx", "hash", 0x32dd_3895_2c4b_c720),
            ("Nobody inspects", " the spammish repetition", 0xfbce_a83c_8a37_8bf1),
        ] {
            assert_eq!(event_id(scope, name).unwrap().raw(), id, "{scope}{name}");
        }
        assert_eq!(event_id("ab", "c"), event_id("a", "bc"));
    }

    #[test]
    fn the_safe_id_tells_where_the_scope_ends() {
        assert_ne!(SubscriptionId::of("ab", "c"), SubscriptionId::of("a", "bc"));
        assert_eq!(SubscriptionId::of("ab", "c"), SubscriptionId::of("ab", "c"));
    }

    #[test]
    fn zero_is_no_id() {
        assert_eq!(SubscriptionId::from_raw(0), None);
    }
}
