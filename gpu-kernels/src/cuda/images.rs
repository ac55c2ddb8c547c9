//! Kernels compiled for one architecture, kept on disk between starts.
//!
//! A file's name is the hash of everything that its content depends on, so nothing in the folder ever goes stale.

use std::{fs, path::PathBuf, process};

use sha2::{Digest, Sha256};

use super::{nvrtc, source::Source};
use crate::KernelError;

/// Compiles kernels, or finds them compiled.
pub(super) struct Images {
    architecture: String,
    compiler: (i32, i32),
    folder: Option<PathBuf>,
}

impl Images {
    pub fn new(architecture: String, folder: Option<PathBuf>) -> Result<Self, KernelError> {
        Ok(Self { architecture, compiler: nvrtc::version()?, folder })
    }

    /// What was compiled before.
    pub fn kept(&self, source: &Source) -> Option<Vec<u8>> {
        fs::read(self.place(source)?).ok()
    }

    /// Compiles, and keeps what comes of it. A folder that cannot be written to costs the next start its time, and no
    /// more.
    pub fn compile(&self, source: &Source) -> Result<Vec<u8>, KernelError> {
        let image = nvrtc::compile(source, &self.architecture)?;
        if let (Some(place), Some(folder)) = (self.place(source), &self.folder) {
            // Under a name of its own first: another process may be reading, or writing the same.
            let own = place.with_extension(format!("{}.part", process::id()));
            let written = fs::create_dir_all(folder).and_then(|()| fs::write(&own, &image));
            let _ = written.and_then(|()| fs::rename(&own, &place));
        }
        Ok(image)
    }

    fn place(&self, source: &Source) -> Option<PathBuf> {
        let (major, minor) = self.compiler;
        let mut hasher = Sha256::new();
        hasher.update(format!("{}\0{major}.{minor}\0", self.architecture));
        hasher.update(&source.text);
        let hash: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Some(self.folder.as_ref()?.join(format!("{}-{hash}.cubin", source.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_found_by_everything_that_it_depends_on() {
        let folder = tempfile::tempdir().unwrap();
        let images = |architecture: &str, compiler| Images {
            architecture: architecture.to_owned(),
            compiler,
            folder: Some(folder.path().to_owned()),
        };
        let (ours, source) = (images("sm_90", (13, 0)), Source::ntt());
        assert_eq!(ours.kept(&source), None);
        fs::write(ours.place(&source).unwrap(), b"code").unwrap();
        assert_eq!(ours.kept(&source), Some(b"code".to_vec()));
        assert_eq!(images("sm_80", (13, 0)).kept(&source), None);
        assert_eq!(images("sm_90", (13, 1)).kept(&source), None);
        assert_eq!(ours.kept(&Source::over_fields("ntt", "other", vec![])), None);
        assert_eq!(Images { folder: None, ..ours }.kept(&source), None);
    }
}
