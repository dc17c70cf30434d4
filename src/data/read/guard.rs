//! The border behind which decoders work on bytes that an attacker may have written.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, Place, Result};

/// Runs a decoder and turns its panic into an input error.
///
/// The Arrow and Parquet decoders check most of what they read, yet some malformed lengths and offsets still end in a
/// failed slice or an overflow there. A hostile file must be refused like any other bad input, so the panic stops here;
/// nothing is reused after it, as the caller drops the decoder with the error.
pub(in crate::data) fn guarded<T>(name: &str, decode: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| {
        Err(Error::input(Place::source(name), "the data are corrupt: the decoder stopped at an impossible length or offset"))
    })
}
