//! Many seeds on several threads: each run is one thread's from its start to its end, and depends on no other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::run::{Ended, Setup, run};

/// Runs the setups of `seeds` seeds from `from` on, `jobs` at a time, and tells of each that ended, in the order of their
/// ends. It begins no further seed once one has failed; gives the lowest seed that failed of those begun.
pub fn sweep(
    from: u64,
    seeds: u64,
    jobs: usize,
    setup: impl Fn(u64) -> Setup + Sync,
    mut tell: impl FnMut(u64, &Ended),
) -> Option<(u64, Ended)> {
    let next = AtomicU64::new(from);
    let end = from.saturating_add(seeds);
    thread::scope(|scope| {
        let (ended, results) = mpsc::channel();
        for _ in 0..jobs.max(1) {
            let (ended, next, setup) = (ended.clone(), &next, &setup);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    // Nobody listens once the sweep is over.
                    if seed >= end || ended.send((seed, run(setup(seed)))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(ended);
        let mut failed: Option<(u64, Ended)> = None;
        for (seed, ended) in results {
            tell(seed, &ended);
            if ended.outcome.is_err() {
                next.store(end, Ordering::Relaxed);
                if failed.as_ref().is_none_or(|(lowest, _)| seed < *lowest) {
                    failed = Some((seed, ended));
                }
            }
        }
        failed
    })
}
