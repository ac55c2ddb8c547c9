//! Devices and gateway: `agents/node/src/roles/gateway/ingest.rs` stores a message before it answers, and a device sends
//! again what was not answered. It goes on where it was when its process ends.

use std::cell::Cell;
use std::rc::Rc;

use hygeia_protocol::subject::Stream;

use crate::broker::{Publication, Subject};
use crate::call::Unanswered;
use crate::port::Port;
use crate::ward::Sent;

pub(super) async fn run(port: Port, sent: Rc<Vec<Sent>>, done: Rc<Cell<usize>>) -> Result<(), Unanswered> {
    while let Some(message) = sent.get(done.get()) {
        let early_ms = message.at_ms.saturating_sub(port.run_ms());
        if early_ms > 0 {
            port.sleep(early_ms).await;
        }
        let (stream, subject) = (Stream::Observations, Subject::Of(message.partition));
        let (id, payload) = (message.id.clone(), message.payload.clone());
        port.publish_raw(Publication { stream, subject, id, payload, after: None }).await?;
        done.set(done.get() + 1);
    }
    std::future::pending().await
}
