//! The DSSE envelope: a payload in base64 beside signatures over its type and bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::key::{Signer, Trusted};

/// Media type of in-toto statements.
const TYPE: &str = "application/vnd.in-toto+json";

/// An envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Signature {
    /// Says which key to try; nothing is believed because of it.
    #[serde(default)]
    keyid: String,
    sig: String,
}

/// What is signed: the pre-authentication encoding, which no other pair of type and payload has.
fn encoded(payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {TYPE} {} ", TYPE.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

impl Envelope {
    pub(super) fn seal(payload: &[u8], signer: &Signer) -> Self {
        let sig = STANDARD.encode(signer.sign(&encoded(payload)));
        let signature = Signature { keyid: signer.id().unwrap_or_default(), sig };
        Self { payload: STANDARD.encode(payload), payload_type: TYPE.to_owned(), signatures: vec![signature] }
    }

    /// The payload, or why there is none.
    pub(super) fn payload(&self) -> Result<Vec<u8>, String> {
        if self.payload_type != TYPE {
            return Err(format!("is no statement: its type is not {TYPE}"));
        }
        STANDARD.decode(&self.payload).map_err(|e| format!("its payload is not base64: {e}"))
    }

    /// Whether the key made one of the signatures over the payload.
    pub(super) fn is_signed_by(&self, payload: &[u8], key: &Trusted) -> bool {
        let message = encoded(payload);
        let mut signatures = self.signatures.iter().filter_map(|signature| STANDARD.decode(&signature.sig).ok());
        signatures.any(|signature| key.made(&message, &signature))
    }

    /// The keys that the signatures say they are of.
    pub(super) fn keys(&self) -> Vec<&str> {
        self.signatures.iter().map(|signature| signature.keyid.as_str()).collect()
    }

    pub(super) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}
