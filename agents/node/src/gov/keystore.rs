//! A key from a JSON file as wallets keep them: encrypted under a password, version 3 of the Web3 Secret Storage Definition.
//!
//! This module never shows a password or a key, and never starts on a file whose decryption would take the machine's memory.

use std::path::{Path, PathBuf};

use alloy::signers::local::{LocalSignerError, PrivateKeySigner};
use serde::Deserialize;
use thiserror::Error;

use crate::cli::gov::{SIGNER_PASSWORD, SignerArgs};

/// The largest file read: a keystore has some 500 bytes.
const FILE_BYTES_MAX: u64 = 65_536;
/// The most memory that scrypt may take: four times what wallets ask for.
const SCRYPT_BYTES_MAX: u64 = 1 << 30;
/// The most times scrypt may go through its memory; wallets ask for one.
const SCRYPT_PASSES_MAX: u32 = 16;
/// The most rounds of PBKDF2: ten times what is recommended today.
const PBKDF2_ROUNDS_MAX: u32 = 6_000_000;
/// Bytes of a private key, and of the key it is encrypted under.
const KEY_BYTES: usize = 32;
/// Bytes of the cipher's first counter.
const IV_BYTES: usize = 16;

/// Why a keystore gave no key. No error holds a password, or what a file holds.
#[derive(Debug, Error)]
pub enum KeystoreError {
    /// A file could not be read.
    #[error("{} could not be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Nobody said the password.
    #[error("{} is encrypted: name --signer-password-file FILE, or set {SIGNER_PASSWORD}", path.display())]
    NoPassword {
        /// The keystore.
        path: PathBuf,
    },
    /// The file is no keystore, or one that this program does not open.
    #[error("{} is not a usable keystore: {reason}", path.display())]
    Unusable {
        /// The keystore.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// The password is another.
    #[error("the password does not open {}", path.display())]
    WrongPassword {
        /// The keystore.
        path: PathBuf,
    },
    /// Decryption came to no end.
    #[error("{} was not decrypted: the program is ending", path.display())]
    Stopped {
        /// The keystore.
        path: PathBuf,
    },
}

/// Decrypts a keystore with the password from a file or the environment.
pub async fn open(path: &Path, password_file: Option<&Path>) -> Result<PrivateKeySigner, KeystoreError> {
    check(&read(path)?).map_err(|reason| KeystoreError::Unusable { path: path.to_owned(), reason })?;
    let password = password(password_file)?.ok_or_else(|| KeystoreError::NoPassword { path: path.to_owned() })?;
    let owned = path.to_owned();
    // Deriving the key is meant to take long: a second of a processor, and a quarter of a gigabyte.
    let decrypted = tokio::task::spawn_blocking(move || PrivateKeySigner::decrypt_keystore(owned, password)).await;
    let path = || path.to_owned();
    match decrypted.map_err(|_| KeystoreError::Stopped { path: path() })? {
        Ok(key) => Ok(key),
        // All else that could be wrong with it was looked at before.
        Err(LocalSignerError::EthKeystoreError(_)) => Err(KeystoreError::WrongPassword { path: path() }),
        Err(_) => Err(KeystoreError::Unusable { path: path(), reason: "what it holds is no private key" }),
    }
}

/// A password file's line end is not part of the password.
fn password(file: Option<&Path>) -> Result<Option<String>, KeystoreError> {
    let Some(path) = file else { return Ok(SignerArgs::password_in_environment()) };
    let text = read(path)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Some(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

fn read(path: &Path) -> Result<String, KeystoreError> {
    use std::io::Read as _;
    let failed = |source| KeystoreError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text)).map_err(failed)?;
    Ok(text)
}

/// As much of the file as must be right before it is decrypted: the library takes lengths and costs as they come.
#[derive(Deserialize)]
struct File {
    version: u8,
    id: String,
    crypto: Crypto,
}

#[derive(Deserialize)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParams,
    #[serde(with = "hex")]
    ciphertext: Vec<u8>,
    #[serde(flatten)]
    derivation: Derivation,
    #[serde(with = "hex")]
    mac: Vec<u8>,
}

#[derive(Deserialize)]
struct CipherParams {
    #[serde(with = "hex")]
    iv: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(tag = "kdf", content = "kdfparams", rename_all = "lowercase")]
enum Derivation {
    Scrypt { dklen: u8, n: u32, r: u32, p: u32, salt: String },
    Pbkdf2 { dklen: u8, c: u32, prf: String, salt: String },
}

fn check(text: &str) -> Result<(), &'static str> {
    let file: File = serde_json::from_str(text).map_err(|_| "it is no JSON of that kind")?;
    let crypto = file.crypto;
    let is_id = hex::decode(file.id.replace('-', "")).is_ok_and(|id| id.len() == 16);
    if file.version != 3 || !is_id {
        return Err("it is not of version 3, or has no identifier");
    }
    let lengths = (crypto.ciphertext.len(), crypto.mac.len(), crypto.cipherparams.iv.len());
    if crypto.cipher != "aes-128-ctr" || lengths != (KEY_BYTES, KEY_BYTES, IV_BYTES) {
        return Err("it holds no key of 32 bytes under aes-128-ctr");
    }
    crypto.derivation.check()
}

impl Derivation {
    fn check(&self) -> Result<(), &'static str> {
        let (dklen, salt) = match self {
            Self::Scrypt { dklen, salt, .. } | Self::Pbkdf2 { dklen, salt, .. } => (dklen, salt),
        };
        if usize::from(*dklen) != KEY_BYTES || hex::decode(salt).is_err() {
            return Err("the key it is encrypted under has not 32 bytes, or no salt");
        }
        match self {
            Self::Scrypt { n, r, p, .. } => check_scrypt(*n, *r, *p),
            Self::Pbkdf2 { c, prf, .. } if prf == "hmac-sha256" && (1..=PBKDF2_ROUNDS_MAX).contains(c) => Ok(()),
            Self::Pbkdf2 { .. } => Err("it asks for another PBKDF2 than HMAC-SHA-256, or too many rounds"),
        }
    }
}

/// RFC 7914: `n` is a power of two under 2^(16 r); scrypt fills 128 n r bytes, p times.
fn check_scrypt(n: u32, r: u32, p: u32) -> Result<(), &'static str> {
    let is_cost = n.is_power_of_two() && n > 1 && r > 0 && u64::from(n.ilog2()) < u64::from(r) * 16;
    let bytes = u64::from(n).saturating_mul(u64::from(r)).saturating_mul(128);
    if is_cost && bytes <= SCRYPT_BYTES_MAX && (1..=SCRYPT_PASSES_MAX).contains(&p) {
        return Ok(());
    }
    Err("it asks for a scrypt that is none, or that takes too much memory or time")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn file(derivation: Value) -> Value {
        let mut crypto = json!({
            "cipher": "aes-128-ctr",
            "cipherparams": { "iv": "00".repeat(IV_BYTES) },
            "ciphertext": "11".repeat(KEY_BYTES),
            "mac": "22".repeat(KEY_BYTES),
        });
        crypto.as_object_mut().unwrap().extend(derivation.as_object().unwrap().clone());
        json!({ "version": 3, "id": "6c4485f3-3cc0-4081-848e-8bf489f2c262", "crypto": crypto })
    }

    fn scrypt(n: u32, r: u32, p: u32) -> Value {
        json!({ "kdf": "scrypt", "kdfparams": { "dklen": 32, "n": n, "r": r, "p": p, "salt": "ab" } })
    }

    fn pbkdf2(c: u32, prf: &str, dklen: u8) -> Value {
        json!({ "kdf": "pbkdf2", "kdfparams": { "dklen": dklen, "c": c, "prf": prf, "salt": "ab" } })
    }

    #[test]
    fn what_wallets_write_is_taken_and_what_harms_is_not() {
        for derivation in
            [scrypt(262_144, 8, 1), scrypt(8_192, 8, 1), scrypt(2, 8, 1), pbkdf2(262_144, "hmac-sha256", 32)]
        {
            assert_eq!(check(&file(derivation).to_string()), Ok(()));
        }
        for derivation in [
            scrypt(262_143, 8, 1),
            scrypt(1, 8, 1),
            scrypt(0, 8, 1),
            scrypt(1 << 31, 8, 1),
            scrypt(1 << 20, 9, 1),
            scrypt(65_536, 1, 1),
            scrypt(8_192, 0, 1),
            scrypt(8_192, 8, 0),
            scrypt(8_192, 8, 17),
            pbkdf2(0, "hmac-sha256", 32),
            pbkdf2(u32::MAX, "hmac-sha256", 32),
            pbkdf2(262_144, "hmac-sha512", 32),
            pbkdf2(262_144, "hmac-sha256", 31),
            json!({ "kdf": "argon2", "kdfparams": {} }),
        ] {
            assert!(check(&file(derivation.clone()).to_string()).is_err(), "{derivation}");
        }
    }

    #[test]
    fn a_file_whose_lengths_the_library_would_trip_over_is_refused() {
        for (pointer, value) in [
            ("/version", json!(4)),
            ("/id", json!("6c4485f3")),
            ("/crypto/cipher", json!("aes-256-ctr")),
            ("/crypto/cipherparams/iv", json!("00")),
            ("/crypto/ciphertext", json!("11")),
            ("/crypto/mac", json!("")),
            ("/crypto/kdfparams/salt", json!("salt")),
            ("/crypto/kdfparams/dklen", json!(16)),
        ] {
            let mut file = file(scrypt(8_192, 8, 1));
            *file.pointer_mut(pointer).unwrap() = value;
            assert!(check(&file.to_string()).is_err(), "{pointer}");
        }
        assert!(check("{").is_err());
    }
}
