//! What the real binary says about itself and about wrong commands.

#![allow(clippy::expect_used)]

use std::path::Path;
use std::process::{Command, Output};

fn foretaste(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_foretaste")).args(args).current_dir(folder).output().expect("the binary runs")
}

/// Status, stdout and stderr of a command in an empty folder.
fn ends(args: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    ends_in(folder.path(), args)
}

fn ends_in(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = foretaste(folder, args);
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn help_shows_commands_examples_and_exit_status() {
    let (status, out, err) = ends(&["--help"]);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    for part in [
        "Usage: foretaste",
        "  scan ",
        "  explain ",
        "  evaluate ",
        "  export ",
        "foretaste scan train.parquet\n",
        "Exit status: 0 within the policy, 1 over it",
    ] {
        assert!(out.contains(part), "{part:?} is not in\n{out}");
    }
    assert!(!out.contains('\u{1b}'), "colour in a pipe");
}

#[test]
fn help_of_a_scan_names_every_flag() {
    let (status, out, err) = ends(&["scan", "--help"]);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    let flags = "format reference config label id text response image embedding probs source time ignore fdr fail-on only skip seed threads memory \
                 batch-rows out scores json quiet no-progress color";
    for flag in flags.split_whitespace() {
        assert!(out.contains(&format!("--{flag}")), "--{flag} is not in\n{out}");
    }
}

#[test]
fn help_of_an_export_names_every_form() {
    let (status, out, err) = ends(&["export", "--help"]);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    for part in ["sarif", "junit", "markdown", "csv", "cyclonedx", "croissant", "in-toto", "--out"] {
        assert!(out.contains(part), "{part} is not in\n{out}");
    }
    assert_eq!(ends(&["export", "report"]).0, Some(2));
}

#[test]
fn the_version_is_the_crates() {
    assert_eq!(ends(&["--version"]), (Some(0), format!("foretaste {}\n", env!("CARGO_PKG_VERSION")), String::new()));
}

#[test]
fn wrong_commands_end_with_status_2_and_say_why_on_stderr() {
    for (args, said) in [
        (&["scan", "a.csv", "--lable", "x"][..], "error: unexpected argument '--lable' found"),
        (&["scan"], "error: the following required arguments were not provided:\n  <INPUT>..."),
        (&["scna"], "error: unrecognized subcommand 'scna'"),
        (&["scan", "a.csv", "--format", "xml"], "error: invalid value 'xml' for '--format <FORMAT>'"),
        (&["scan", "a.csv", "--memory", "1G"], "'1G' is not a size: write a number with a unit, such as 512MiB, 2GiB or 4GB"),
    ] {
        let (status, out, err) = ends(args);
        assert_eq!((status, out.as_str()), (Some(2), ""), "{args:?}");
        assert!(err.contains(said), "{said:?} is not in\n{err}");
    }
    let (status, out, _) = ends(&[]);
    assert_eq!((status, out.as_str()), (Some(2), ""));
}

#[test]
fn an_input_that_does_not_exist_is_an_error_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (status, out, err) = ends_in(folder.path(), &["scan", "missing.parquet"]);
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(err.starts_with("error: missing.parquet: "), "{err}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
}

#[test]
fn an_unknown_key_of_the_configuration_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("foretaste.toml"), "[roles]\nlable = \"intent\"\n").expect("a file");
    let (status, out, err) = ends_in(folder.path(), &["scan", "missing.parquet"]);
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert_eq!(err, "error: foretaste.toml:2: unknown key 'lable'\nhelp: Did you mean 'label'?\n");
}

#[test]
fn a_value_out_of_range_is_refused_by_its_key() {
    let said = "error: decide.fdr: must be over 0 and at most 0.5, not 2\n";
    assert_eq!(ends(&["scan", "missing.parquet", "--fdr", "2"]), (Some(2), String::new(), said.to_owned()));
}

#[test]
fn an_unknown_detector_is_answered_with_a_proposal() {
    let said = "error: explain: there is no detector or family 'trigger.pach'\nhelp: Did you mean 'trigger.patch'?\n";
    assert_eq!(ends(&["explain", "trigger.pach"]), (Some(2), String::new(), said.to_owned()));
}
