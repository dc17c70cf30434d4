//! Bytes on the road: briefs, states and models as they travel between workers.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Info;
use crate::error::{Error, Result};

/// What can travel.
pub trait Wire: Serialize + DeserializeOwned + Send + Sync + 'static {}
impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Wire for T {}

/// First bytes of every envelope.
const MAGIC: [u8; 4] = *b"FTST";

/// A payload with the question that it answers: reading refuses another unit, another version of it, or another
/// question.
#[derive(Debug, Serialize, Deserialize)]
pub struct Envelope {
    magic: [u8; 4],
    code: String,
    version: u32,
    question: u64,
    payload: Vec<u8>,
}

impl Envelope {
    /// Packs a payload. `question` identifies the scan: data schema, key, scan number and brief.
    pub fn pack<T: Wire>(info: &Info, question: u64, payload: &T) -> Result<Vec<u8>> {
        let wrong = |e: postcard::Error| Error::Wire { code: info.code.to_owned(), reason: format!("cannot be written: {e}") };
        let payload = postcard::to_stdvec(payload).map_err(wrong)?;
        let envelope = Self { magic: MAGIC, code: info.code.to_owned(), version: info.version, question, payload };
        postcard::to_stdvec(&envelope).map_err(wrong)
    }

    /// Unpacks a payload and checks that it answers this question.
    pub fn unpack<T: Wire>(info: &Info, question: u64, bytes: &[u8]) -> Result<T> {
        let wrong = |reason: String| Error::Wire { code: info.code.to_owned(), reason };
        let envelope: Self = postcard::from_bytes(bytes).map_err(|e| wrong(format!("not an envelope: {e}")))?;
        if envelope.magic != MAGIC {
            return Err(wrong("not an envelope: wrong first bytes".to_owned()));
        }
        if envelope.code != info.code {
            return Err(wrong(format!("the bytes belong to {}", envelope.code)));
        }
        if envelope.version != info.version {
            return Err(wrong(format!("the bytes have version {}, this build reads version {}", envelope.version, info.version)));
        }
        if envelope.question != question {
            return Err(wrong("the bytes answer another question (other data, key, parameters or scan)".to_owned()));
        }
        postcard::from_bytes(&envelope.payload).map_err(|e| wrong(format!("damaged payload: {e}")))
    }
}
