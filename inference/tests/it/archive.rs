//! A package as one string of bytes, and everything that may be wrong with it.

use hygeia_inference::ModelPackage;
use hygeia_inference::package::{ARCHIVE_BYTES_MAX, ArchiveError};
use sha2::{Digest, Sha256};

/// What becomes of these bytes when they are asked for by their own hash.
fn read(archive: &[u8]) -> Result<ModelPackage, ArchiveError> {
    ModelPackage::from_archive(archive, Sha256::digest(archive).into())
}

#[test]
fn an_archive_hashes_to_the_content_hash_and_reads_back() {
    let model = ModelPackage::default_model();
    let archive = model.to_archive();
    assert_eq!(<[u8; 32]>::from(Sha256::digest(&archive)), model.hash());
    let again = ModelPackage::from_archive(&archive, model.hash()).unwrap();
    assert_eq!((again.hash(), again.files()), (model.hash(), model.files()));
}

#[test]
fn another_byte_anywhere_is_another_hash() {
    let model = ModelPackage::default_model();
    let archive = model.to_archive();
    for at in (0..archive.len()).step_by(archive.len() / 200) {
        let mut other = archive.clone();
        other[at] ^= 1;
        let refused = ModelPackage::from_archive(&other, model.hash()).unwrap_err();
        assert!(matches!(refused, ArchiveError::Hash { expected, .. } if expected == model.hash()), "byte {at}");
    }
}

#[test]
fn bytes_that_have_their_hash_and_are_no_package_are_refused() {
    let archive = ModelPackage::default_model().to_archive();
    let domain = b"hygeia/package/v1".len();
    let mut endless = archive.clone();
    endless[domain..domain + 8].fill(0xff);
    let mut renamed = archive.clone();
    renamed[domain + 8] ^= 1;
    let malformed = [
        vec![],
        archive[..domain].to_vec(),
        archive[..archive.len() - 1].to_vec(),
        [&archive[..], b"\0"].concat(),
        endless,
        renamed,
    ];
    for bytes in malformed {
        assert!(matches!(read(&bytes), Err(ArchiveError::Malformed)), "{} bytes", bytes.len());
    }
    // The first file begins after its name and two lengths: the network is no JSON any more.
    let mut unparsable = archive.clone();
    unparsable[domain + 8 + "network.json".len() + 8] = b'x';
    assert!(matches!(read(&unparsable), Err(ArchiveError::Package(_))));
}

#[test]
fn more_bytes_than_a_package_has_are_not_looked_at() {
    let long = vec![0; ARCHIVE_BYTES_MAX + 1];
    assert!(matches!(ModelPackage::from_archive(&long, [0; 32]), Err(ArchiveError::TooLarge { .. })));
}
