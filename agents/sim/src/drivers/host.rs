//! Mirrors the sentinel's model host: which approved models are loaded, and how one comes and goes while it runs. A model
//! serves from when it is warm; one that is suspended serves no more from when that is seen.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use hygeia_protocol::bytes::B32;

use super::Shared;
use crate::call::{Reply, Request, Unanswered};
use crate::governance::Seen;
use crate::port::{Port, other};
use crate::process::Task;
use crate::run::PlantedBug;
use crate::world::BLOCK_MS;

/// How long it takes to fetch, verify and warm up a model.
const WARM_UP_MS: u64 = 20_000;
/// Time between two looks whether anything is served.
const PAUSE_MS: u64 = 1_000;

/// The models of a process.
#[derive(Default)]
pub(super) struct Host {
    served: RefCell<Vec<B32>>,
    /// Under way from one set of models to another: in the planted bug nothing is served meanwhile.
    is_swapping: Cell<bool>,
}

impl Host {
    /// Waits until a model is served.
    pub(super) async fn serves(&self, port: &Port) {
        while self.served.borrow().is_empty() {
            port.sleep(PAUSE_MS).await;
        }
    }

    /// Whether any is.
    pub(super) fn is_serving(&self) -> bool {
        !self.served.borrow().is_empty()
    }

    /// The models that score a window now; nothing where it is dropped.
    pub(super) fn models(&self) -> Option<Vec<B32>> {
        (!self.is_swapping.get()).then(|| self.served.borrow().clone())
    }
}

/// Follows the registries for as long as the process lives.
pub(super) async fn watch(port: Port, shared: Rc<Shared>) -> Result<(), Unanswered> {
    loop {
        if let Ok(seen) = look(&port).await {
            let host = &shared.host;
            host.served.borrow_mut().retain(|model| seen.is_live(model));
            let has_new = seen.live().any(|model| !host.served.borrow().contains(&model));
            if has_new {
                warm_up(&port, &shared).await;
            }
        }
        port.sleep(BLOCK_MS).await;
    }
}

/// Loads what was approved, and serves it if it still is.
async fn warm_up(port: &Port, shared: &Rc<Shared>) {
    let host = &shared.host;
    host.is_swapping.set(port.has_bug(PlantedBug::SwapDropsAWindow) && host.is_serving());
    port.sleep(WARM_UP_MS).await;
    if let Ok(seen) = look(port).await {
        *host.served.borrow_mut() = seen.live().collect();
    }
    host.is_swapping.set(false);
    // Partitions that had no model go on.
    for partition in crate::ward::partitioner().all() {
        port.wake(Task::Partition(port.process(), partition));
    }
}

async fn look(port: &Port) -> Result<Seen, Unanswered> {
    match port.call(Request::Registries).await? {
        Reply::Registries(seen) => Ok(seen),
        _ => other(),
    }
}
