//! The envelope of every file of this engine: kind, version, length and SHA-256, all checked before anything is decoded.
//!
//! halo2 reads a corrupted key without complaint and panics on a truncated one, so its decoders only ever see bytes
//! that have passed here. The hash tells apart damage from health, not friend from foe: who needs to know whose key
//! it is compares [`Sealed::digest`] with the one that governance approved.

use std::{
    fs, io,
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use sha2::{Digest, Sha256};

/// Version of the envelope and of all bodies.
const VERSION: u16 = 1;
/// Largest file that is read: the proving key of a circuit of 2^16 rows takes a fifth of it.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 30;
const HEADER_BYTES: usize = 8 + 2 + 8 + 32;

/// Eight bytes that begin a file and say what it is.
pub type Magic = [u8; 8];

/// A body in its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    bytes: Vec<u8>,
    digest: [u8; 32],
}

/// Why a file was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file could not be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file could not be written.
    #[error("write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is above the size limit.
    #[error("{} is larger than {FILE_BYTES_MAX} bytes", .0.display())]
    TooLarge(PathBuf),
    /// The bytes do not begin as a file of this kind does.
    #[error("not a file of the kind {0}")]
    WrongKind(&'static str),
    /// The file is of a version that this build does not know.
    #[error("file version {0} is not supported")]
    Version(u16),
    /// The file ends too early, or bytes follow its end.
    #[error("the file should have {expected} bytes and has {actual}")]
    Length {
        /// Bytes that the header announces.
        expected: u64,
        /// Bytes there are.
        actual: u64,
    },
    /// The content is not what was written.
    #[error("the file's hash does not match its content")]
    Corrupted,
}

impl Sealed {
    /// Puts a body into its envelope.
    pub fn new(magic: &Magic, body: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
        bytes.extend_from_slice(magic);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&(body.len() as u64).to_be_bytes());
        let digest = digest(&bytes, body);
        bytes.extend_from_slice(&digest);
        bytes.extend_from_slice(body);
        Self { bytes, digest }
    }

    /// Checks an envelope. `kind` is the magic in words, for the error.
    pub fn open(magic: &Magic, kind: &'static str, bytes: Vec<u8>) -> Result<Self, FileError> {
        let actual = bytes.len() as u64;
        let Some((header, body)) = bytes.split_at_checked(HEADER_BYTES) else {
            return Err(FileError::Length { expected: HEADER_BYTES as u64, actual });
        };
        let (prefix, digest_read) = header.split_at(HEADER_BYTES - 32);
        if !prefix.starts_with(magic) {
            return Err(FileError::WrongKind(kind));
        }
        let (version, length) = prefix[magic.len()..].split_at(2);
        let version = u16::from_be_bytes(version.try_into().expect("two bytes"));
        if version != VERSION {
            return Err(FileError::Version(version));
        }
        let length = u64::from_be_bytes(length.try_into().expect("eight bytes"));
        let expected = length.saturating_add(HEADER_BYTES as u64);
        if expected != actual {
            return Err(FileError::Length { expected, actual });
        }
        let digest = digest(prefix, body);
        if digest != digest_read {
            return Err(FileError::Corrupted);
        }
        Ok(Self { bytes, digest })
    }

    /// Reads a file and checks it.
    pub fn read(magic: &Magic, kind: &'static str, path: &Path) -> Result<Self, FileError> {
        let error = |source| FileError::Read { path: path.to_owned(), source };
        let file = fs::File::open(path).map_err(error)?;
        let mut bytes = Vec::new();
        let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(error)?;
        if read as u64 > FILE_BYTES_MAX {
            return Err(FileError::TooLarge(path.to_owned()));
        }
        Self::open(magic, kind, bytes)
    }

    /// Writes the file at once: a reader sees the old file or the new one, never a part.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        static WRITES: AtomicU64 = AtomicU64::new(0);
        let number = WRITES.fetch_add(1, Ordering::Relaxed);
        let partial = path.with_extension(format!("partial-{}-{number}", std::process::id()));
        let write = || {
            if let Some(directory) = path.parent() {
                fs::create_dir_all(directory)?;
            }
            let mut file = fs::File::create(&partial)?;
            file.write_all(&self.bytes)?;
            file.sync_all()?;
            fs::rename(&partial, path)
        };
        write().map_err(|source| FileError::Write { path: path.to_owned(), source })
    }

    /// What the envelope holds.
    pub fn body(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// Envelope and body.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 over kind, version, length and body.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

impl FileError {
    /// Whether there simply is no such file.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

fn digest(prefix: &[u8], body: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(prefix).chain_update(body).finalize().into()
}
