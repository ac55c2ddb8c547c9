//! The memory of similar cases, one for each model: what models make of a window cannot be compared.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use hygeia_protocol::message::B32;

use crate::memory::CaseMemory;

/// Memories by the content hash of their model's package.
pub struct Memories {
    qdrant: Option<String>,
    // Held for as long as a client takes to be made; what it connects to is asked for later.
    by_model: Mutex<HashMap<B32, Arc<CaseMemory>>>,
}

impl Memories {
    /// Memories in a Qdrant server, where there is one.
    pub fn new(qdrant: Option<String>) -> Self {
        Self { qdrant, by_model: Mutex::default() }
    }

    /// The memory of a model's cases.
    pub fn of(&self, model: &B32) -> Result<Arc<CaseMemory>> {
        let mut by_model = self.by_model.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(memory) = by_model.get(model) {
            return Ok(memory.clone());
        }
        let memory = Arc::new(CaseMemory::open(self.qdrant.as_deref(), &model.to_hex())?);
        by_model.insert(*model, memory.clone());
        Ok(memory)
    }
}
