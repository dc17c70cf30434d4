//! The one place that decides: what a score, a cause and a data set come to.
//!
//! Three tiers. ALARM: a structure that clean data does not show; over a whole data set the chance of any false alarm
//! is at most [`Policy::alarm_level`], spent over families by [`share`]. SUSPECT: rows worth setting aside, at most
//! [`Policy::fdr`] of them wrongly listed. REVIEW: a ranking without a claim. There is no contamination share anywhere.

mod fusion;
mod gate;
mod listing;

pub use fusion::{Fusion, Surprisal, chance, cubic_mean, fusion};
pub use gate::{Applied, Baseline, Budget, Gate, Judgement, Listed, Rules, Spent, UsedWaiver, Waiver, WaiverState};
pub use listing::{Listing, ScoreSummary};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::finding::{Family, Finding, Group, Standing, Tier};
use crate::fold::Info;

/// Share of the data set's error that a family may spend; together they spend all of it.
#[must_use]
pub fn share(family: Family) -> f64 {
    match family {
        Family::Trigger => 0.4,
        Family::Label => 0.2,
        Family::Duplicate => 0.1,
        Family::Provenance => 0.15,
        Family::Text | Family::Outlier | Family::Drift => 0.05,
        Family::Derived => 0.0,
    }
}

/// Error rates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Largest share of wrongly listed rows among those listed, 0 to 0.5.
    pub fdr: f64,
    /// Largest chance of any false alarm over a clean data set, 0 to 0.5.
    pub alarm_level: f64,
}

impl Default for Policy {
    fn default() -> Self {
        Self { fdr: 0.10, alarm_level: 0.01 }
    }
}

impl Policy {
    /// Checks the rates.
    pub fn checked(self) -> Result<Self> {
        for (name, value) in [("fdr", self.fdr), ("alarm_level", self.alarm_level)] {
            if !(value > 0.0 && value <= 0.5) {
                return Err(Error::config(name, format!("must lie above 0 and not above 0.5, not {value}")));
            }
        }
        Ok(self)
    }

    /// Decides on a cause: corrected over the candidates of its detector, the detectors of its family and the families
    /// (weighted Bonferroni). `None` where no claim is made.
    #[must_use]
    pub fn decide(&self, info: &Info, group: Group, detectors: usize) -> Option<Finding> {
        let q = (group.corrected() * detectors.max(1) as f64 / share(info.family).max(f64::MIN_POSITIVE)).min(1.0);
        if q > self.alarm_level {
            return None;
        }
        let tier = group.max_tier.min(info.max_tier);
        let fingerprint = fingerprint(info.code, &group);
        (tier > Tier::Review).then(|| {
            let (code, family, standing) = (info.code.to_owned(), info.family, Standing::Open);
            Finding { code, family, tier, q, fingerprint, standing, group }
        })
    }
}

/// A name for a cause that does not change with row order, keys or counts.
fn fingerprint(code: &str, group: &Group) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [code, &group.cause, group.label.as_deref().unwrap_or_default()] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}
