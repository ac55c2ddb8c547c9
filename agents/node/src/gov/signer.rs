//! Who signs a step of governance: a key from a keystore, a file or the environment, or a program that keeps its key to
//! itself.
//!
//! This module never prints a key, and never sends a signature that is not of the address named.

use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::time::Duration;

use alloy::consensus::SignableTransaction;
use alloy::network::{EthereumWallet, TxSigner};
use alloy::primitives::{Address, B256, Signature};
use alloy::signers::local::PrivateKeySigner;
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::keystore::{self, KeystoreError};
use crate::chain::{self, ChainError};
use crate::cli::gov::{SIGNER_KEY, SignerArgs};

/// How long a program may take to sign: somebody may have to touch a device.
const SIGN_WITHIN: Duration = Duration::from_secs(120);
/// What is read of a program's answer, in bytes: a signature in hex has 132.
const ANSWER_BYTES_MAX: u64 = 1_024;

/// Why nobody can sign, or did not.
#[derive(Debug, Error)]
pub enum SignerError {
    /// Nobody was named.
    #[error(
        "nobody to sign: name --signer-keystore FILE, --signer-key-file FILE, or --signer-command PROGRAM with \
         --signer-address ADDRESS, or set {SIGNER_KEY}; for a dry run --signer-address alone is enough"
    )]
    Nobody,
    /// The environment's key is none. The error never holds it.
    #[error("{SIGNER_KEY} holds no private key of 32 bytes in hex")]
    Environment,
    /// The key's file cannot be used.
    #[error(transparent)]
    File(#[from] ChainError),
    /// The keystore gave no key.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// The key is another's than the address that was named.
    #[error("the key is of {found}, but --signer-address names {expected}")]
    OtherKey {
        /// Whose key it is.
        found: Address,
        /// Who was named.
        expected: Address,
    },
    /// The program could not be started or talked to.
    #[error("{} could not be run to sign", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The program took too long.
    #[error("{} did not sign within {} s", program.display(), SIGN_WITHIN.as_secs())]
    Late {
        /// The program.
        program: PathBuf,
    },
    /// The program failed, or printed something else.
    #[error("{} printed no signature (65 bytes r, s, v in hex) but ended with {status}", program.display())]
    NoSignature {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// The signature is somebody else's.
    #[error("{} signed as {found}, but --signer-address names {expected}", program.display())]
    OtherSigner {
        /// The program.
        program: PathBuf,
        /// Whose signature it is.
        found: Address,
        /// Who was named.
        expected: Address,
    },
}

/// An address, and what signs for it; nothing where only its address was given.
pub struct Signer {
    /// Who signs.
    pub address: Address,
    /// With what, in a word.
    pub means: &'static str,
    /// What signs.
    pub wallet: Option<EthereumWallet>,
}

impl Signer {
    /// The signer that the command line and the environment name.
    pub async fn open(args: &SignerArgs) -> Result<Self, SignerError> {
        match (&args.signer_command, args.signer_address) {
            (Some(program), Some(address)) => {
                let program = ProgramSigner { program: program.clone(), address };
                Ok(Self { address, means: "a program", wallet: Some(program.into()) })
            }
            (None, expected) => match (key(args).await?, expected) {
                (None, None) => Err(SignerError::Nobody),
                (None, Some(address)) => Ok(Self { address, means: "nothing at hand", wallet: None }),
                (Some((key, _)), Some(expected)) if expected != key.address() => {
                    Err(SignerError::OtherKey { found: key.address(), expected })
                }
                (Some((key, means)), _) => Ok(Self { address: key.address(), means, wallet: Some(key.into()) }),
            },
            (Some(_), None) => Err(SignerError::Nobody),
        }
    }
}

/// The key at hand, and where it is from in a word.
async fn key(args: &SignerArgs) -> Result<Option<(PrivateKeySigner, &'static str)>, SignerError> {
    if let Some(path) = &args.signer_keystore {
        return Ok(Some((keystore::open(path, args.signer_password_file.as_deref()).await?, "a keystore")));
    }
    if let Some(path) = &args.signer_key_file {
        return Ok(Some((chain::load_signer(path)?, "a key file")));
    }
    let Some(key) = SignerArgs::key_in_environment() else { return Ok(None) };
    Ok(Some((key.trim().parse().map_err(|_| SignerError::Environment)?, "a key in the environment")))
}

/// Signs transactions through a program.
struct ProgramSigner {
    program: PathBuf,
    address: Address,
}

impl ProgramSigner {
    async fn sign(&self, digest: B256) -> Result<Signature, SignerError> {
        let program = || self.program.clone();
        let (status, answer) = tokio::time::timeout(SIGN_WITHIN, self.ask(digest))
            .await
            .map_err(|_| SignerError::Late { program: program() })?
            .map_err(|source| SignerError::Run { program: program(), source })?;
        let signature = signature_in(&answer).filter(|_| status.success());
        let signature = signature.ok_or_else(|| SignerError::NoSignature { program: program(), status })?;
        match signature.recover_address_from_prehash(&digest) {
            Ok(found) if found == self.address => Ok(signature),
            Ok(found) => Err(SignerError::OtherSigner { program: program(), found, expected: self.address }),
            Err(_) => Err(SignerError::NoSignature { program: program(), status }),
        }
    }

    async fn ask(&self, digest: B256) -> std::io::Result<(std::process::ExitStatus, String)> {
        let mut command = Command::new(&self.program);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        if let Some(mut input) = child.stdin.take() {
            match input.write_all(format!("{}\n", hex::encode(digest)).as_bytes()).await {
                // It ended without reading: how it ended says more.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
                written => written?,
            }
        }
        let mut answer = String::new();
        if let Some(output) = child.stdout.take() {
            output.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await?;
        }
        Ok((child.wait().await?, answer))
    }
}

/// A chain takes only the lower of the two forms of a signature; key management services return either.
fn signature_in(answer: &str) -> Option<Signature> {
    let text = answer.trim();
    let bytes = hex::decode(text.strip_prefix("0x").unwrap_or(text)).ok()?;
    Signature::from_raw(&bytes).ok().map(Signature::normalized_s)
}

// Written out as `async_trait` writes it, which the trait was declared with.
impl TxSigner<Signature> for ProgramSigner {
    fn address(&self) -> Address {
        self.address
    }

    fn sign_transaction<'a, 'b, 'c>(
        &'a self,
        transaction: &'b mut dyn SignableTransaction<Signature>,
    ) -> Pin<Box<dyn Future<Output = alloy::signers::Result<Signature>> + Send + 'c>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        let digest = transaction.signature_hash();
        Box::pin(async move { self.sign(digest).await.map_err(alloy::signers::Error::other) })
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{U256, uint};
    use alloy::signers::SignerSync as _;

    use super::*;

    /// Order of the group of secp256k1.
    const ORDER: U256 = uint!(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141_U256);

    #[test]
    fn either_form_of_a_signature_is_taken_and_becomes_the_lower() {
        let (key, digest) = (PrivateKeySigner::random(), B256::repeat_byte(7));
        let low = key.sign_hash_sync(&digest).unwrap();
        let high = Signature::new(low.r(), ORDER - low.s(), !low.v());
        for form in [low, high] {
            let answer = format!("0x{}\n", hex::encode(form.as_bytes()));
            assert_eq!(signature_in(&answer), Some(low));
        }
        let bytes = low.as_bytes();
        for answer in
            [String::new(), hex::encode(&bytes[1..]), format!("{}00", hex::encode(bytes)), "signed".to_owned()]
        {
            assert_eq!(signature_in(&answer), None, "{answer}");
        }
    }
}
