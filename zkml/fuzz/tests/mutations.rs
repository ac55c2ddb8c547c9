//! Every target over its seeds, what was once found, and some thousand mutations from a fixed seed.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs,
    panic::catch_unwind,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use hygeia_fuzz::{Target, keep_quiet, mutate::Mutator, target};

/// Remembers the largest piece of memory that was asked for.
struct Largest;

static LARGEST_BYTES: AtomicUsize = AtomicUsize::new(0);
#[global_allocator]
static ALLOCATOR: Largest = Largest;
/// One target at a time: the memory that is asked for is counted for the whole process.
static RUNNING: Mutex<()> = Mutex::new(());

// SAFETY: every call goes to the system's allocator unchanged; counting neither allocates nor panics.
unsafe impl GlobalAlloc for Largest {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST_BYTES.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST_BYTES.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST_BYTES.fetch_max(size, Ordering::Relaxed);
        // SAFETY: as above; `pointer` came from `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What is wrong with a target, with the number of the mutation that shows it.
fn failure(target: &Target) -> Option<String> {
    keep_quiet();
    let _alone = RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let seeds = (target.seeds)();
    // What is made once, keys above all, is made now.
    if !(target.run)(&seeds[0]) {
        return Some(format!("{}: the honest input is refused", target.name));
    }
    let mut mutator = Mutator::new(2_026);
    let kept = findings(target.name).into_iter().map(|(name, bytes)| (format!("finding {name}"), bytes));
    let mutated = (0..target.runs).map(|run| (format!("mutation {run}"), mutator.next(&seeds)));
    kept.chain(mutated).find_map(|(input, bytes)| {
        LARGEST_BYTES.store(0, Ordering::Relaxed);
        if catch_unwind(|| (target.run)(&bytes)).is_err() {
            return Some(format!("{}: {input} panics: {:?}", target.name, &bytes[..bytes.len().min(200)]));
        }
        let largest = LARGEST_BYTES.load(Ordering::Relaxed);
        (largest > target.allocation_bytes_max).then(|| format!("{}: {input} takes {largest} bytes", target.name))
    })
}

fn findings(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("findings").join(name);
    let Ok(files) = fs::read_dir(folder) else { return Vec::new() };
    let read = |file: fs::DirEntry| (file.file_name().to_string_lossy().into_owned(), fs::read(file.path()).unwrap());
    files.map(|file| read(file.unwrap())).collect()
}

fn holds(name: &str) {
    if let Some(failure) = failure(target(name)) {
        eprintln!("{failure}");
        panic!("{failure}");
    }
}

#[test]
fn alert_proof() {
    holds("alert_proof");
}

#[test]
fn audit_proof() {
    holds("audit_proof");
}

#[test]
fn alert_key() {
    holds("alert_key");
}

#[test]
fn audit_key() {
    holds("audit_key");
}

#[test]
fn key_file() {
    holds("key_file");
}

#[test]
fn proving_key() {
    holds("proving_key");
}

#[test]
fn receipt() {
    holds("receipt");
}

#[test]
fn srs_sealed() {
    holds("srs_sealed");
}

#[test]
fn srs_ptau() {
    holds("srs_ptau");
}

#[test]
fn srs_raw() {
    holds("srs_raw");
}

/// Decoders that panic, that take what an input asks for, or that refuse what is honest do not pass.
#[test]
fn a_bad_decoder_is_noticed() {
    let bad = |run| Target { name: "bad", seeds: || vec![vec![0; 8]], run, runs: 200, allocation_bytes_max: 1 << 16 };
    let panics = failure(&bad(|bytes| {
        assert_eq!(bytes.first(), Some(&0));
        true
    }));
    assert!(panics.is_some_and(|failure| failure.contains("panics")));
    let takes = failure(&bad(|bytes| Vec::<u8>::with_capacity(bytes.len() << 8).is_empty()));
    assert!(takes.is_some_and(|failure| failure.contains("takes")));
    assert!(failure(&bad(|_| false)).is_some_and(|failure| failure.contains("refused")));
    assert_eq!(failure(&bad(|_| true)), None);
}
