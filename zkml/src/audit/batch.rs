//! The windows that go into one proof.

use std::fmt;

use zeroize::Zeroize;

use crate::statement::Salt;

/// One window: the features that were scored, and the salt of their commitment. Erased from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct AuditWindow {
    features: Vec<i32>,
    salt: Salt,
}

impl AuditWindow {
    /// Takes what was attested.
    pub fn new(features: Vec<i32>, salt: Salt) -> Self {
        Self { features, salt }
    }

    /// The features.
    pub fn features(&self) -> &[i32] {
        &self.features
    }

    /// The salt.
    pub fn salt(&self) -> &Salt {
        &self.salt
    }
}

impl Drop for AuditWindow {
    fn drop(&mut self) {
        self.features.zeroize();
    }
}

impl fmt::Debug for AuditWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditWindow(..)")
    }
}

/// The windows of one proof, in the order of their leaves.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AuditBatch {
    windows: Vec<AuditWindow>,
}

impl AuditBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a window and says which leaf it will be.
    pub fn push(&mut self, features: Vec<i32>, salt: Salt) -> usize {
        self.windows.push(AuditWindow::new(features, salt));
        self.windows.len() - 1
    }

    /// The windows.
    pub fn windows(&self) -> &[AuditWindow] {
        &self.windows
    }

    /// Number of windows.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }
}

impl FromIterator<AuditWindow> for AuditBatch {
    fn from_iter<I: IntoIterator<Item = AuditWindow>>(windows: I) -> Self {
        Self { windows: windows.into_iter().collect() }
    }
}

impl fmt::Debug for AuditBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditBatch").field("windows", &self.windows.len()).finish()
    }
}
