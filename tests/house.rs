//! The house keeps its own rules: registry, manuals, README and imports agree with each other.

#![allow(clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use foretaste::detect;
use foretaste::finding::{Family, Tier};
use foretaste::fold::{Info, Need};

/// Headings of every manual, in this order.
const HEADINGS: [&str; 10] = [
    "What it finds",
    "Threat",
    "How it works",
    "State",
    "Scans and cost",
    "Null, NaN, infinity",
    "Blind spots",
    "Parameters",
    "Example",
    "References",
];

/// What each module may import beside itself; `ARCHITECTURE.md` draws it. `lib.rs` and `main.rs` import what they like, and
/// so does `engine`, which puts the parts together.
const IMPORTS: [(&str, &[&str]); 23] = [
    ("error", &[]),
    ("finding", &[]),
    ("stats", &["error"]),
    ("data", &["error"]),
    ("fold", &["error", "data", "finding"]),
    ("derive", &["error", "stats", "data", "finding", "fold"]),
    ("detect", &["error", "stats", "data", "finding", "fold", "derive"]),
    ("policy", &["error", "stats", "finding", "fold"]),
    ("run", &["error", "stats", "data", "finding", "fold", "policy"]),
    ("power", &["error", "stats", "data", "finding", "fold", "policy", "run"]),
    ("folder", &["error"]),
    ("ledger", &["error"]),
    ("report", &["error", "data", "finding", "folder", "policy", "run"]),
    ("metrics", &["error", "finding", "folder", "run"]),
    ("review", &["error", "data", "ledger"]),
    ("quarantine", &["error", "data", "folder", "ledger", "report", "review"]),
    ("serve", &["error", "ledger", "report", "review"]),
    ("export", &["error", "data", "finding", "fold", "policy", "report", "review"]),
    ("stage", &["error", "data", "finding", "policy", "run"]),
    ("attest", &["error", "data", "folder", "report", "review", "export"]),
    ("evaluate", &["error", "stats", "data", "finding", "run"]),
    ("config", &["error", "data", "finding", "policy"]),
    (
        "cli",
        &[
            "error",
            "data",
            "finding",
            "folder",
            "ledger",
            "fold",
            "policy",
            "run",
            "stage",
            "report",
            "config",
            "attest",
            "evaluate",
            "export",
            "quarantine",
            "review",
            "serve",
        ],
    ),
];

const TABLE_STARTS: &str = "<!-- detectors: written by tests/house.rs from the registry -->";
const TABLE_ENDS: &str = "<!-- end of detectors -->";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a readable file of text")
}

/// Files below a folder of the repository with one of these endings, sorted.
fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            // Packages that the browser tests installed are others' work.
            if path.is_dir() && !path.ends_with("node_modules") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| endings.iter().any(|e| ending == *e)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn named(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn all() -> Vec<&'static Info> {
    detect::all().iter().map(|unit| unit.info()).collect()
}

fn detectors() -> Vec<&'static Info> {
    all().into_iter().filter(|info| info.family != Family::Derived).collect()
}

#[test]
fn codes_are_unique_sorted_and_named_after_their_family() {
    let codes: Vec<&str> = all().iter().map(|info| info.code).collect();
    assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len(), "a code comes twice: {codes:?}");
    for info in all() {
        let (family, name) = info.code.split_once('.').expect("family.name");
        assert_eq!(family, info.family.name(), "{}", info.code);
        assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{}", info.code);
    }
    let codes: Vec<&str> = detectors().iter().map(|info| info.code).collect();
    assert!(codes.is_sorted(), "the registry lists detectors by code, not {codes:?}");
}

#[test]
fn units_need_and_read_units_that_exist() {
    let codes: BTreeSet<&str> = all().iter().map(|info| info.code).collect();
    for info in all() {
        for other in info.after.iter().chain(info.reads) {
            assert!(codes.contains(other) && *other != info.code, "{} waits for {other}", info.code);
        }
    }
}

#[test]
fn every_manual_belongs_to_a_detector_and_lies_beside_it() {
    let manuals: BTreeMap<String, String> = files("src/detect", &["md"])
        .iter()
        .map(|path| {
            let stem = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
            (format!("{}.{}", stem(path.parent().expect("a family")), stem(path)), read(path))
        })
        .collect();
    let registered: BTreeMap<String, String> = detectors().iter().map(|info| (info.code.to_owned(), info.manual.to_owned())).collect();
    assert_eq!(manuals.keys().collect::<Vec<_>>(), registered.keys().collect::<Vec<_>>());
    for (code, manual) in manuals {
        assert!(registered[&code] == manual, "{code} shows another manual than the one beside it");
    }
}

#[test]
fn manuals_have_all_headings_in_order_and_text_below_each() {
    for info in detectors() {
        let mut sections = info.manual.split("\n## ");
        assert_eq!(sections.next().map(str::trim), Some(format!("# {}", info.code).as_str()), "title of {}", info.code);
        let sections: Vec<(&str, &str)> = sections.map(|s| s.split_once('\n').unwrap_or((s, ""))).collect();
        assert_eq!(sections.iter().map(|(heading, _)| *heading).collect::<Vec<_>>(), HEADINGS, "{}", info.code);
        for (heading, text) in sections {
            assert!(!text.trim().is_empty(), "{}, '{heading}' is empty", info.code);
        }
    }
}

fn need(need: Need) -> &'static str {
    match need {
        Need::Classes => "label with two classes",
        Need::Targets => "label with two classes, or answers that repeat",
        Need::Number => "label of numbers to predict",
        Need::Answers => "answers that repeat",
        Need::Numeric => "numeric columns",
        Need::Table => "feature columns",
        Need::Text => "text",
        Need::Image => "images",
        Need::Vectors => "numeric columns or an embedding",
        Need::Probabilities => "class probabilities",
        Need::Embedding => "embedding",
        Need::Addresses => "addresses, content hashes",
        Need::Reference => "a trusted reference",
        Need::Content => "any content",
    }
}

fn claim(tier: Tier) -> &'static str {
    match tier {
        Tier::Alarm => "ALARM",
        Tier::Suspect => "SUSPECT",
        Tier::Review => "REVIEW (a ranking)",
    }
}

/// The README's table of detectors as the registry has it.
fn table() -> String {
    let line = |info: &&Info| {
        let needs: Vec<&str> = info.needs.iter().map(|n| need(*n)).collect();
        format!("| `{}` | {} | {} | {} |\n", info.code, info.summary, needs.join(", "), claim(info.max_tier))
    };
    let lines: String = detectors().iter().map(line).collect();
    format!("\n\n| Code | What it finds | Needs | Strongest claim |\n| --- | --- | --- | --- |\n{lines}\n")
}

#[test]
fn the_table_of_the_readme_is_fresh() {
    let path = root().join("README.md");
    let readme = read(&path);
    let (before, rest) = readme.split_once(TABLE_STARTS).expect("the README marks where the table starts");
    let (shown, after) = rest.split_once(TABLE_ENDS).expect("the README marks where the table ends");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, format!("{before}{TABLE_STARTS}{}{TABLE_ENDS}{after}", table())).expect("a README that can be written");
        return;
    }
    assert_eq!(shown, table(), "rewrite it with: BLESS=1 cargo test --release --test house");
}

#[test]
fn the_readme_has_two_commands_and_the_checks_run_the_second() {
    let readme = read(&root().join("README.md"));
    let start = readme.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block of commands");
    let commands: Vec<&str> = start.lines().filter(|line| line.starts_with("cargo ")).collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    assert!(commands[0].contains("scan datasets/data/"), "{}", commands[0]);
    assert!(read(&root().join(".ci/run")).contains(commands[1]), "{}", commands[1]);
}

/// Files of `src/` without those that are compiled for tests alone, each with the lines before its own tests.
fn sources() -> Vec<(PathBuf, Vec<String>)> {
    let mut for_tests: Vec<PathBuf> = Vec::new();
    let mut sources = Vec::new();
    for path in files("src", &["rs"]) {
        let folder = match path.file_stem() {
            Some(stem) if stem != "mod" && stem != "lib" => path.with_extension(""),
            _ => path.parent().expect("a folder").to_owned(),
        };
        let text = read(&path);
        let mut lines: Vec<String> = Vec::new();
        let mut iter = text.lines().peekable();
        while let Some(line) = iter.next() {
            let declared = iter.peek().filter(|_| line == "#[cfg(test)]").and_then(|next| next.split_once("mod ")).map(|(_, name)| name);
            match declared.map(|name| name.strip_suffix(';')) {
                Some(Some(name)) => for_tests.extend([folder.join(name), folder.join(name).with_extension("rs")]),
                Some(None) => break,
                None => {}
            }
            lines.push(line.to_owned());
        }
        sources.push((path, lines));
    }
    sources.retain(|(path, _)| !for_tests.iter().any(|test| path.starts_with(test)));
    sources
}

/// Modules that a line names by `crate::`, comments left out.
fn imported(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or_default();
    code.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

#[test]
fn imports_point_one_way() {
    let allowed: BTreeMap<&str, &[&str]> = IMPORTS.into_iter().collect();
    let free = ["lib", "main", "engine"];
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (path, lines) in sources() {
        let inside = path.strip_prefix(root().join("src")).expect("a source").components().next().expect("a name");
        let module = inside.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
        if free.contains(&module.as_str()) {
            continue;
        }
        let Some(allowed) = allowed.get(module.as_str()) else {
            wrong.push(format!("{}: the module '{module}' has no place in the order of imports", named(&path)));
            continue;
        };
        for (number, line) in lines.iter().enumerate() {
            for other in imported(line) {
                seen += 1;
                if other != module && !allowed.contains(&other) {
                    let other = if other.is_empty() { "several modules at once" } else { other };
                    wrong.push(format!("{}:{}: {module} may not import {other}", named(&path), number + 1));
                }
            }
        }
    }
    assert!(seen > 100, "only {seen} imports were seen");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_import_is_seen_wherever_it_stands() {
    let of = |line| imported(line).collect::<Vec<_>>();
    assert_eq!(of("use crate::data::{Batch, Schema};"), ["data"]);
    assert_eq!(of("    let all = crate::detect::all(crate::error::here());"), ["detect", "error"]);
    assert_eq!(of("use crate::{data, fold};"), [""]);
    assert_eq!(of("// as crate::run does"), [""; 0]);
}

#[test]
fn no_file_names_a_registry_or_a_path_of_one_machine() {
    // Written in parts, so that this file does not find itself.
    let hosts = [["crates", ".io"], ["pypi", ".org"], ["pythonhosted", ".org"], ["npmjs", ".com"], ["proxy.golang", ".org"]];
    let paths = [["/wor", "k/"], ["/tmp/", "wt"], ["/roo", "t/"], ["/hom", "e/"]];
    let forbidden: Vec<String> = hosts.iter().chain(&paths).map(|parts| parts.concat()).collect();
    let mut texts: Vec<PathBuf> = [".ci/run", "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
        .into_iter()
        .chain(["Cargo.toml", "clippy.toml", "pyproject.toml", "rustfmt.toml", ".gitignore"])
        .map(|name| root().join(name))
        .collect();
    for folder in ["src", "tests", "benches", "datasets", "docs", "schemas", "frames", "python", "examples", "notebooks"] {
        texts.extend(files(folder, &["rs", "md", "toml", "json", "html", "css", "py", "pyi", "ipynb", "yaml", "yml", "snap", "sh"]));
    }
    let mut wrong = Vec::new();
    for path in texts {
        for (number, line) in read(&path).lines().enumerate() {
            wrong.extend(forbidden.iter().filter(|f| line.contains(*f)).map(|f| format!("{}:{}: names {f}", named(&path), number + 1)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
