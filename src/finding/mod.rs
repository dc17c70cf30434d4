//! What was found: families, tiers, causes and the evidence per row.

mod reach;
mod spread;
mod wire;

pub use reach::{Attack, Power, Reach, Trial};
pub use spread::ScoreSpread;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Families of findings. The dataset-level error is spent over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Backdoor triggers.
    Trigger,
    /// Wrong labels.
    Label,
    /// Copies.
    Duplicate,
    /// Places that rows came from.
    Provenance,
    /// Hygiene of text: hidden characters, hidden instructions.
    Text,
    /// Rows that belong nowhere.
    Outlier,
    /// Differences from a trusted reference.
    Drift,
    /// Not a detector: structure that others use.
    Derived,
}

impl Family {
    /// The families that make claims, in report order.
    pub const CLAIMING: [Self; 7] = [Self::Trigger, Self::Label, Self::Duplicate, Self::Provenance, Self::Text, Self::Outlier, Self::Drift];

    /// The name used in codes, files and the report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Label => "label",
            Self::Duplicate => "duplicate",
            Self::Provenance => "provenance",
            Self::Text => "text",
            Self::Outlier => "outlier",
            Self::Drift => "drift",
            Self::Derived => "derive",
        }
    }
}

/// Whether an entry, a code or a family, names the detector or family with this code.
#[must_use]
pub fn covers(entry: &str, code: &str) -> bool {
    code.strip_prefix(entry).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// How strong a claim is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// A ranking without a claim.
    Review,
    /// Rows worth setting aside; at most the stated share of them is wrongly listed.
    Suspect,
    /// The data set is poisoned, and this is the structure.
    Alarm,
}

impl Tier {
    /// The name used in files and the report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Review => "review",
            Self::Suspect => "suspect",
            Self::Alarm => "alarm",
        }
    }

    /// The tier of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Review, Self::Suspect, Self::Alarm].into_iter().find(|tier| tier.name() == name)
    }
}

/// A cause: something that many rows share and that the rest of their content does not explain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// A sentence that names the cause, no full stop: `3×3 patch at (24,24) in 50 rows, all labelled 0`.
    pub title: String,
    /// Short stable description of the cause itself without counts, the base of its fingerprint.
    pub cause: String,
    /// Kind of finding in the taxonomies, for example `backdoor_trigger` (a key of the standards data).
    pub attack_class: String,
    /// Rows that carry it.
    pub rows: u64,
    /// Carriers that also have the shared label.
    pub agreeing: u64,
    /// The shared label, if there is one.
    pub label: Option<String>,
    /// Share of carriers that content alone would give that label, 0 to 1.
    pub background: Option<f64>,
    /// Name of the statistic.
    pub statistic: String,
    /// Its value.
    pub value: f64,
    /// p-value before any correction.
    pub p: f64,
    /// Number of candidates that were testable; `p · tests` is the corrected p-value.
    pub tests: u64,
    /// The strongest tier that this cause may reach, whatever its p-value.
    pub max_tier: Tier,
    /// Positions of up to 20 carriers.
    pub examples: Vec<u64>,
    /// What a person wants to see: trigger text, patch pixels, columns and values.
    #[serde(with = "wire")]
    pub evidence: Map<String, Value>,
}

impl Group {
    /// The p-value corrected for the number of candidates (Bonferroni), at most 1.
    #[must_use]
    pub fn corrected(&self) -> f64 {
        (self.p * self.tests.max(1) as f64).min(1.0)
    }

    /// How certain the cause is, as a score of its rows: −log10 of the corrected p-value, 0 to 300.
    #[must_use]
    pub fn strength(&self) -> f64 {
        -self.corrected().max(1e-300).log10()
    }
}

/// Why one row is listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// A sentence for a person, no full stop.
    pub reason: String,
    /// The same for machines.
    #[serde(with = "wire")]
    pub detail: Map<String, Value>,
}

impl Evidence {
    /// Evidence from a sentence and its parts.
    pub fn new(reason: impl Into<String>, detail: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        Self { reason: reason.into(), detail: detail.into_iter().map(|(k, v)| (k.to_owned(), v)).collect() }
    }
}

/// Whether a cause counts towards the verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "is")]
pub enum Standing {
    /// It does.
    #[default]
    Open,
    /// The user accepts it for a time.
    Waived {
        /// Why.
        reason: String,
        /// The last day, `YYYY-MM-DD`.
        expires: String,
    },
    /// An earlier report had it already.
    Known,
}

/// A cause with its decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Code of the detector.
    pub code: String,
    /// Its family.
    pub family: Family,
    /// How strong the claim is.
    pub tier: Tier,
    /// Corrected p-value (family-wise).
    pub q: f64,
    /// Stable across runs, row order and keys: code and cause, hashed.
    pub fingerprint: String,
    /// Whether it counts.
    pub standing: Standing,
    /// The cause.
    #[serde(flatten)]
    pub group: Group,
}

/// What a data set's scan comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing was found that foretaste claims.
    Pass,
    /// Rows are worth a look; no structure shows that the set was poisoned.
    Warn,
    /// A structure was found that clean data does not show.
    Fail,
}

impl Verdict {
    /// The name used in files and on the terminal.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}
