//! `foretaste sign` and `verify`: who stands by a report, and what still holds of it.

use std::fmt::Write;

use super::args::{Sign, Verify};
use super::{Exit, Terminal};
use crate::attest::{Check, Signer, Trusted, sign, verify};
use crate::error::Result;

/// Signs a report.
pub(super) fn sign_report(flags: &Sign, terminal: &mut Terminal<'_>) -> Result<Exit> {
    let signed = sign(&flags.report, &Signer::read(&flags.key)?)?;
    terminal.print(format!("signed by the key {} in {}\n", signed.key, signed.path.display()).as_bytes())?;
    Ok(Exit::Clean)
}

/// Says of each check what came of it.
pub(super) fn verify_report(flags: &Verify, terminal: &mut Terminal<'_>) -> Result<Exit> {
    let key = flags.key.as_deref().map(Trusted::read).transpose()?;
    let findings = verify(&flags.report, key.as_ref(), &flags.data)?;
    let mut text = String::new();
    for finding in &findings {
        let sign = match finding.check {
            Check::Holds => "ok",
            Check::Fails => "FAILS",
            Check::Open => "open",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{sign:<7}{}", finding.text);
    }
    terminal.print(text.as_bytes())?;
    Ok(if findings.iter().any(|finding| finding.check == Check::Fails) { Exit::Findings } else { Exit::Clean })
}
