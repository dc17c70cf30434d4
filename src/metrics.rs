//! Figures of a run in the text format of Prometheus, for a collector that reads files (node exporter's, or a push gateway).

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use crate::error::{Error, Result};
use crate::finding::{Tier, Verdict};
use crate::folder::whole_file;
use crate::run::{Outcome, Status};

/// Writes the figures of a run that ended at `ended`, seconds since 1970; the file appears whole or not at all.
///
/// # Errors
/// [`Error::Output`] where the file cannot be written.
pub fn write(path: &Path, outcome: &Outcome, ended: i64) -> Result<()> {
    whole_file(path, |mut file, shown| file.write_all(text(outcome, ended).as_bytes()).map_err(|e| Error::output(shown, e)))
}

/// A metric and its samples: labels in braces, or none, and the value.
struct Metric {
    name: &'static str,
    help: &'static str,
    samples: Vec<(String, f64)>,
}

impl Metric {
    fn one(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, samples: vec![(String::new(), value)] }
    }
}

/// The text of the format, version 0.0.4. All are gauges: each run writes them anew. No label holds text from the data.
fn text(outcome: &Outcome, ended: i64) -> String {
    let bytes: u64 = outcome.data.files.iter().map(|file| file.bytes).sum();
    let verdicts = [Verdict::Pass, Verdict::Warn, Verdict::Fail];
    let is = |holds: bool| f64::from(u8::from(holds));
    let by_detector = |value: fn(&crate::run::UnitOutcome) -> f64| {
        let ran = outcome.units.iter().filter(|unit| unit.status == Status::Ran);
        ran.map(|unit| (format!("{{detector=\"{}\"}}", unit.code), value(unit))).collect::<Vec<_>>()
    };
    let failed = |unit: &crate::run::UnitOutcome| is(matches!(unit.status, Status::Failed(_)));
    let causes = [Tier::Alarm, Tier::Suspect].map(|tier| {
        let count = outcome.findings.iter().filter(|finding| finding.tier == tier).count();
        (format!("{{tier=\"{}\"}}", tier.name()), count as f64)
    });
    let metrics = [
        Metric {
            name: "foretaste_verdict",
            help: "1 for what the data set comes to, 0 for the other verdicts.",
            samples: verdicts.map(|v| (format!("{{verdict=\"{}\"}}", v.name()), is(v == outcome.verdict))).to_vec(),
        },
        Metric::one("foretaste_complete", "Whether every detector that should have run did.", is(outcome.complete)),
        Metric::one("foretaste_rows", "Rows scanned.", outcome.data.rows as f64),
        Metric::one("foretaste_listed_rows", "Rows listed.", outcome.flagged_rows as f64),
        Metric::one("foretaste_data_bytes", "Bytes of the data.", bytes as f64),
        Metric { name: "foretaste_causes", help: "Causes found, by how strong the claim is.", samples: causes.to_vec() },
        Metric {
            name: "foretaste_detector_listed_rows",
            help: "Rows that a detector listed.",
            samples: by_detector(|unit| unit.flagged as f64),
        },
        Metric {
            name: "foretaste_detector_seconds",
            help: "Processor seconds of a detector, over all threads.",
            samples: by_detector(|unit| unit.seconds),
        },
        Metric {
            name: "foretaste_detector_state_bytes",
            help: "Largest size of a detector's state.",
            samples: by_detector(|unit| unit.bytes as f64),
        },
        Metric {
            name: "foretaste_detector_failed",
            help: "Whether a detector could not finish.",
            samples: outcome.units.iter().map(|unit| (format!("{{detector=\"{}\"}}", unit.code), failed(unit))).collect(),
        },
        Metric::one("foretaste_run_seconds", "Wall seconds of the run.", outcome.seconds),
        Metric::one("foretaste_run_end_timestamp_seconds", "When the run ended, seconds since 1970.", ended as f64),
    ];
    let mut out = String::new();
    for Metric { name, help, samples } in metrics {
        // Writing into a string cannot fail.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in samples {
            let _ = writeln!(out, "{name}{labels} {value}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_poisoned_set() {
        let said = text(&sample::poisoned(), 1_790_000_000);
        for line in [
            "# TYPE foretaste_verdict gauge",
            "foretaste_verdict{verdict=\"pass\"} 0",
            "foretaste_verdict{verdict=\"fail\"} 1",
            "foretaste_complete 0",
            "foretaste_rows 12000",
            "foretaste_listed_rows 152",
            "foretaste_causes{tier=\"alarm\"} 1",
            "foretaste_causes{tier=\"suspect\"} 1",
            "foretaste_detector_seconds{detector=\"trigger.patch\"} 1.25",
            "foretaste_detector_failed{detector=\"label.crossfit\"} 1",
            "foretaste_run_end_timestamp_seconds 1790000000",
        ] {
            assert!(said.lines().any(|l| l == line), "{line} is not in\n{said}");
        }
        assert!(!said.contains("foretaste_detector_seconds{detector=\"label.crossfit\"}"));
    }

    #[test]
    fn hostile_data_leave_no_trace() {
        let said = text(&sample::hostile(100), 0);
        let plain = |c: char| c == '\n' || (c.is_ascii() && !c.is_ascii_control());
        assert!(said.chars().all(plain));
        assert!(said.lines().all(|line| line.starts_with("# ") || line.starts_with("foretaste_")));
    }

    #[test]
    fn the_file_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("foretaste.prom");
        write(&path, &sample::clean(), 7).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("foretaste_run_end_timestamp_seconds 7\n"));
        assert!(write(&folder.path().join("no/such/file"), &sample::clean(), 7).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
