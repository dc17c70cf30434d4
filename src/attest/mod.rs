//! Who stands by a report: a signed in-toto statement about the data and what the scan came to, and what is checked of it later.
//!
//! The statement of [`crate::export`] goes into a DSSE envelope (Dead Simple Signing Envelope, version 1.0.2) with one Ed25519
//! signature (RFC 8032). Keys are PEM files as OpenSSL writes them: PKCS#8 for the private one, SPKI for the public one (RFC 8410).

mod envelope;
mod key;
#[cfg(test)]
mod tests;
mod verify;

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::export::{Form, export};
use crate::folder::whole_file;
use crate::report::SIGNED;

use envelope::Envelope;

pub use key::{Signer, Trusted};
pub use verify::{Check, Finding, verify};

/// What a signature in hand can be known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Where the envelope lies.
    pub path: PathBuf,
    /// SHA-256 of the public key (SPKI, DER), hex.
    pub key: String,
}

/// Signs the report in `folder` as it is now; a signature that lies there is replaced.
///
/// # Errors
/// As [`export`]; [`Error::Output`] where the envelope cannot be written.
pub fn sign(folder: &Path, signer: &Signer) -> Result<Signed> {
    let mut statement = Vec::new();
    export(folder, Form::InToto, &[], &mut statement)?;
    let path = folder.join(SIGNED);
    let bytes = Envelope::seal(&statement, signer).to_json().map_err(|e| Error::output(&path, e))?;
    whole_file(&path, |mut file, shown| file.write_all(&bytes).map_err(|e| Error::output(shown, e)))?;
    Ok(Signed { path, key: signer.id()? })
}
