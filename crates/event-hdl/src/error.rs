//! What can be wrong with a request to the bus. Blame: always the caller.

use crate::SubscriptionId;

/// Why a subscription was not made or not changed, or a name not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The list has been closed and takes no subscriptions any more.
    #[error("the subscription list is closed")]
    Closed,
    /// Another subscription of the list has this id.
    #[error("id {0} is in use in this subscription list")]
    DuplicateId(SubscriptionId),
    /// The subscription has ended.
    #[error("the subscription has ended")]
    Ended,
    /// No event was asked for.
    #[error("no event types were given")]
    NoSubtypes,
    /// No family has an event of this name.
    #[error("'{0}' event type is unknown")]
    UnknownName(String),
    /// One subscription cannot cover two families.
    #[error("'{name}' does not belong to the '{family}' family of the other event types")]
    MixedFamilies {
        /// The name that does not fit.
        name: String,
        /// The family of those before it.
        family: &'static str,
    },
    /// Two event types are not of one family.
    #[error("the event types belong to different families")]
    OtherFamily,
    /// A family cannot be declared as it is.
    #[error("the '{family}' family cannot be declared: {reason}")]
    InvalidFamily {
        /// Its name.
        family: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}
