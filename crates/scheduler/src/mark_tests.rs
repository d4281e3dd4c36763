//! What a pass tells objects apart by, when its number wraps.

use std::task::Poll;
use std::time::Instant;

use crate::{Budget, Scheduler, Woken};

/// HAProxy's mark is 16 bits wide and starts at 0: in each loop of number 65536 n, objects that never ran
/// look as if they had.
#[test]
fn the_mark_of_a_pass_wraps_without_holding_anybody_up() {
    #[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
    let now = Instant::now();
    let mut scheduler = Scheduler::new(now);
    let run = |scheduler: &mut Scheduler| scheduler.run(now, Budget::default()).ran;
    let old = scheduler.spawn("old", std::future::poll_fn(|_| Poll::Pending));
    assert_eq!(run(&mut scheduler), 1);
    scheduler.handle().0.mark.set(u32::MAX - 2);
    for _ in 0..6 {
        scheduler.spawn("new", async {});
        old.wake(Woken::MSG);
        assert_eq!(run(&mut scheduler), 2);
    }
    assert_eq!(scheduler.handle().0.mark.get(), 4);
}
