//! Serving allocates nothing once it runs: a count of every allocation of this test's process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use hygeia_inference::ModelPackage;
use hygeia_inference::kernel::{IntegerEngine, Units};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted.
struct Counted;

// SAFETY: every call goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

// The only test of this binary: another one's allocations would be counted too.
#[test]
fn a_batch_after_the_first_allocates_nothing() {
    let model = ModelPackage::default_model();
    let row = |row: i32| model.schema().bounds().iter().map(|&(low, high)| (row - 512).clamp(low, high)).collect();
    let rows: Vec<Vec<i32>> = (0..1024).map(row).collect();
    let mut scores = Vec::with_capacity(rows.len());
    for units in Units::available() {
        let engine = IntegerEngine::with(model.network(), units).unwrap();
        engine.score_into(&rows[..1], &mut scores).unwrap();
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for batch in [1, 64, 1024, 3] {
            scores.clear();
            engine.score_into(&rows[..batch], &mut scores).unwrap();
        }
        assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "{units:?}");
        // The count does count: a new vector is one.
        assert_eq!(engine.score_batch(&rows).unwrap().len(), 1024);
        assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 1, "{units:?}");
    }
}
