//! Ed25519 keys in PEM files.

use std::path::Path;

use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePublicKey};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::data::read::sha256;
use crate::error::{Error, Place, Result};

/// Most bytes of a key's file.
const MOST: u64 = 64 << 10;

/// A private key.
pub struct Signer(SigningKey);

/// A public key that the user trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted(VerifyingKey);

fn read(path: &Path, help: &str) -> Result<String> {
    let fail = |why: String| Error::input(Place::source(path.display().to_string()), why).with_help(help);
    let size = std::fs::metadata(path).map_err(|e| fail(format!("the key cannot be read: {e}")))?.len();
    if size > MOST {
        return Err(fail(format!("has {size} bytes, which no key has")));
    }
    std::fs::read_to_string(path).map_err(|e| fail(format!("the key cannot be read: {e}")))
}

fn id(key: &VerifyingKey) -> Result<String> {
    let der = key.to_public_key_der().map_err(|e| Error::config("key", format!("it cannot be written: {e}")))?;
    Ok(sha256(der.as_bytes()))
}

impl Signer {
    /// Reads a private key: PEM, PKCS#8, not encrypted.
    ///
    /// # Errors
    /// [`Error::Input`].
    pub fn read(path: &Path) -> Result<Self> {
        let help = "Make one: openssl genpkey -algorithm ed25519 -out key.pem";
        let pem = read(path, help)?;
        let fail = || Error::input(Place::source(path.display().to_string()), "is no Ed25519 private key (PEM, PKCS#8, not encrypted)");
        Ok(Self(SigningKey::from_pkcs8_pem(&pem).map_err(|_| fail().with_help(help))?))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> Trusted {
        Trusted(self.0.verifying_key())
    }

    /// SHA-256 of the public key (SPKI, DER), hex.
    ///
    /// # Errors
    /// [`Error::Config`] where the key cannot be encoded.
    pub fn id(&self) -> Result<String> {
        id(&self.0.verifying_key())
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).to_vec()
    }
}

impl Trusted {
    /// Reads a public key: PEM, SPKI.
    ///
    /// # Errors
    /// [`Error::Input`].
    pub fn read(path: &Path) -> Result<Self> {
        let help = "Take it from the signer's key: openssl pkey -in key.pem -pubout -out key.pub.pem";
        let pem = read(path, help)?;
        let fail = || Error::input(Place::source(path.display().to_string()), "is no Ed25519 public key (PEM, SPKI)");
        Ok(Self(VerifyingKey::from_public_key_pem(&pem).map_err(|_| fail().with_help(help))?))
    }

    /// SHA-256 of the key (SPKI, DER), hex.
    ///
    /// # Errors
    /// [`Error::Config`] where the key cannot be encoded.
    pub fn id(&self) -> Result<String> {
        id(&self.0)
    }

    /// Whether the signature is this key's, by the strict rules: no key or point of small order.
    pub(super) fn made(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}
