//! A package as one string of bytes: exactly what its content hash is taken over.
//!
//! So whoever holds the hash that governance approved knows whether an archive is the package before anything of it is
//! parsed, and a wrong byte anywhere is found. A number is eight bytes, big-endian.

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{FILE_BYTES_MAX, FILES, ModelPackage, PackageError, PackageFiles};

/// What every archive begins with.
const DOMAIN: &[u8] = b"hygeia/package/v1";
/// Largest archive: all files at their largest, and their names.
pub const ARCHIVE_BYTES_MAX: usize = FILES.len() * (FILE_BYTES_MAX + 64) + DOMAIN.len();

/// Why an archive was refused.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// More bytes than a package can have; none was looked at.
    #[error("an archive of {bytes} bytes is larger than any package")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The bytes do not have the hash asked for; nothing was parsed.
    #[error("the content hash is {}, not {}", hex::encode(found), hex::encode(expected))]
    Hash {
        /// The hash asked for.
        expected: [u8; 32],
        /// The hash of what came.
        found: [u8; 32],
    },
    /// The bytes have the hash, but are no archive: somebody approved something else.
    #[error("not an archive of a package's files")]
    Malformed,
    /// The files are no package.
    #[error(transparent)]
    Package(#[from] PackageError),
}

/// The archive of a package's files.
pub(super) fn write(files: &PackageFiles) -> Vec<u8> {
    let mut archive = DOMAIN.to_vec();
    for (name, bytes) in FILES.iter().zip(files) {
        for field in [name.as_bytes(), bytes] {
            archive.extend((field.len() as u64).to_be_bytes());
            archive.extend(field);
        }
    }
    archive
}

/// The package in an archive of this content hash.
pub(super) fn read(archive: &[u8], expected: [u8; 32]) -> Result<ModelPackage, ArchiveError> {
    if archive.len() > ARCHIVE_BYTES_MAX {
        return Err(ArchiveError::TooLarge { bytes: archive.len() });
    }
    let found: [u8; 32] = Sha256::digest(archive).into();
    if found != expected {
        return Err(ArchiveError::Hash { expected, found });
    }
    let files = files(archive).ok_or(ArchiveError::Malformed)?;
    Ok(ModelPackage::from_files(files)?)
}

fn files(archive: &[u8]) -> Option<PackageFiles> {
    let mut rest = archive.strip_prefix(DOMAIN)?;
    let mut files = PackageFiles::default();
    for (bytes, name) in files.iter_mut().zip(FILES) {
        if field(&mut rest)? != name.as_bytes() {
            return None;
        }
        *bytes = field(&mut rest)?.to_vec();
    }
    rest.is_empty().then_some(files)
}

/// Takes a field and its length off the front.
fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk()?;
    let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
    let (field, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(field)
}
