use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;

use tempfile::TempDir;

use super::*;
use crate::config::FailOn;
use crate::error::{Error, Place};
use crate::finding::{Family, Tier, Verdict};
use crate::fold::{Claim, Law, Need};
use crate::policy::Applied;
use crate::run::DataFacts;

const fn info(code: &'static str, family: Family, summary: &'static str, manual: &'static str) -> Info {
    Info {
        code,
        family,
        summary,
        needs: &[Need::Classes],
        after: &[],
        reads: &[],
        law: Law::Exact,
        version: 1,
        claim: Claim::Group,
        fused: None,
        max_tier: Tier::Alarm,
        manual,
    }
}

static PATCH: Info = info("trigger.patch", Family::Trigger, "Small patches that decide the label.", "# trigger.patch\n\nA manual.\n\n");
static CONFLICT: Info = info("label.conflict", Family::Label, "Equal rows with different labels.", "# label.conflict\n");

/// Ends as it is told, and remembers what it was asked.
struct Double {
    ends: Result<(Verdict, bool), &'static str>,
    folder: TempDir,
    asked: Mutex<Option<Request>>,
}

impl Double {
    fn new(ends: Result<(Verdict, bool), &'static str>) -> Self {
        Self { ends, folder: tempfile::tempdir().unwrap(), asked: Mutex::new(None) }
    }

    fn run(&self, args: &[&str]) -> (Exit, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let args = ["foretaste"].iter().chain(args).map(OsString::from);
        let exit = run(args, self.folder.path(), self, &mut Terminal::plain(&mut out, &mut err));
        (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    fn asked(&self) -> Request {
        self.asked.lock().unwrap().clone().expect("no scan")
    }
}

impl Engine for Double {
    fn scan(&self, request: &Request, progress: &dyn Progress) -> Result<(Outcome, PathBuf)> {
        progress.scan(1, "counting", Some(3));
        *self.asked.lock().unwrap() = Some(request.clone());
        let (verdict, complete) =
            self.ends.map_err(|reason| Error::input(Place::source("train.parquet"), reason).with_help("Look at it."))?;
        fs::write(self.folder.path().join("report.json"), "{\"verdict\":1}\n").unwrap();
        let data = DataFacts {
            files: Vec::new(),
            rows: 3,
            columns: Vec::new(),
            nulls: BTreeMap::new(),
            label: None,
            classes: Vec::new(),
            unreadable: BTreeMap::new(),
            reference: Vec::new(),
        };
        let outcome = Outcome {
            verdict,
            reasons: Vec::new(),
            estimates: Vec::new(),
            complete,
            data,
            units: Vec::new(),
            findings: Vec::new(),
            families: BTreeMap::new(),
            flagged_rows: 0,
            breakdown: Vec::new(),
            policy: Applied::default(),
            power: None,
            seconds: 0.0,
        };
        Ok((outcome, self.folder.path().to_path_buf()))
    }

    fn model(&self, path: &Path) -> Result<Frozen> {
        Err(Error::output(path, "no model here"))
    }

    fn detectors(&self) -> Vec<&'static Info> {
        vec![&PATCH, &CONFLICT]
    }

    fn summary(&self, outcome: &Outcome, _: &Path, colour: bool, width: usize) -> String {
        format!("{} colour={colour} width={width}\n", outcome.verdict.name())
    }
}

#[test]
fn the_exit_status_follows_verdict_policy_and_completeness() {
    for (verdict, complete, policy, exit) in [
        (Verdict::Pass, true, "fail", Exit::Clean),
        (Verdict::Warn, true, "fail", Exit::Clean),
        (Verdict::Warn, true, "warn", Exit::Findings),
        (Verdict::Fail, true, "fail", Exit::Findings),
        (Verdict::Fail, true, "never", Exit::Clean),
        (Verdict::Pass, false, "never", Exit::Broken),
        (Verdict::Fail, false, "fail", Exit::Broken),
    ] {
        let (ended, out, err) = Double::new(Ok((verdict, complete))).run(&["scan", "train.parquet", "--fail-on", policy]);
        assert_eq!((ended, out, err.as_str()), (exit, format!("{} colour=false width=100\n", verdict.name()), ""));
    }
}

#[test]
fn errors_go_to_stderr_with_what_to_do_next() {
    let (exit, out, err) = Double::new(Err("there are no rows")).run(&["scan", "train.parquet", "--json"]);
    assert_eq!((exit, out.as_str(), err.as_str()), (Exit::Broken, "", "error: train.parquet: there are no rows\nhelp: Look at it.\n"));
}

#[test]
fn json_prints_the_report_and_quiet_nothing() {
    let engine = Double::new(Ok((Verdict::Pass, true)));
    for flags in [&["scan", "a.csv", "--json"][..], &["scan", "a.csv", "--format", "json"], &["scan", "a.csv", "--json", "--quiet"]] {
        assert_eq!(engine.run(flags), (Exit::Clean, "{\"verdict\":1}\n".to_owned(), String::new()));
        assert_eq!(engine.asked().format, None);
    }
    assert_eq!(engine.run(&["scan", "a.csv", "-q"]), (Exit::Clean, String::new(), String::new()));
    let (_, out, _) = engine.run(&["scan", "a.csv", "--color", "always"]);
    assert_eq!(out, "pass colour=true width=100\n");
}

#[test]
fn a_scan_gets_inputs_format_and_settings() {
    let engine = Double::new(Ok((Verdict::Pass, true)));
    fs::write(engine.folder.path().join("foretaste.toml"), "[decide]\nfdr = 0.05\nfail_on = 'warn'\n").unwrap();
    let (exit, _, err) = engine.run(&["scan", "-", "b.arrows", "--format", "ipc-stream", "--fdr", "0.2", "--quiet"]);
    assert_eq!(exit, Exit::Clean);
    assert_eq!(err, format!("note: settings from {}\n", engine.folder.path().join("foretaste.toml").display()));
    let mut settings = Settings::default();
    settings.decide.fdr = 0.2;
    settings.decide.fail_on = FailOn::Warn;
    assert_eq!(
        engine.asked(),
        Request { inputs: vec!["-".into(), "b.arrows".into()], format: Some(Format::ArrowStream), settings, model: None }
    );
    let (_, _, err) = engine.run(&["scan", "-", "--config", "/dev/null"]);
    assert_eq!((err.as_str(), engine.asked().settings), ("", Settings::default()));
}

#[test]
fn bad_settings_never_reach_the_engine() {
    let engine = Double::new(Ok((Verdict::Pass, true)));
    for (flags, said) in [
        (["--fdr", "0.7"], "error: decide.fdr: must be over 0 and at most 0.5, not 0.7\n"),
        (["--skip", "tigger"], "error: detectors.skip: there is no detector or family 'tigger'\nhelp: Did you mean 'trigger'?\n"),
        (["--skip", "trigger,label"], "error: detectors: 'only' and 'skip' together leave no detector to run\n"),
        (["--config", "/nowhere/x.toml"], "error: /nowhere/x.toml: there is no such file\n"),
    ] {
        let (exit, out, err) = engine.run(&[&["scan", "a.csv"][..], &flags].concat());
        assert_eq!((exit, out.as_str(), err.as_str()), (Exit::Broken, "", said));
    }
    let (exit, _, err) = engine.run(&["scan", "a.csv", "--memory", "1G"]);
    assert_eq!(exit, Exit::Broken);
    assert!(err.contains("'1G' is not a size: write a number with a unit, such as 512MiB, 2GiB or 4GB"), "{err}");
    assert!(engine.asked.lock().unwrap().is_none());
}

#[test]
fn explain_lists_detectors_and_prints_manuals() {
    let engine = Double::new(Err("unused"));
    let patch = "trigger.patch   Small patches that decide the label.\n";
    let all = format!("{patch}label.conflict  Equal rows with different labels.\n");
    assert_eq!(engine.run(&["explain"]), (Exit::Clean, all, String::new()));
    assert_eq!(engine.run(&["explain", "trigger"]).1, patch.replace("   ", "  "));
    assert_eq!(engine.run(&["explain", "trigger.patch"]).1, "# trigger.patch\n\nA manual.\n");
    let said = "error: explain: there is no detector or family 'trigger.pach'\nhelp: Did you mean 'trigger.patch'?\n";
    assert_eq!(engine.run(&["explain", "trigger.pach"]), (Exit::Broken, String::new(), said.to_owned()));
}
