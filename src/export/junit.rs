//! JUnit XML, as build servers read it: a test case a detector, and one a budget of the policy.

use std::io::{self, Write};

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::text::{sentence, word};
use super::{Material, broken};
use crate::error::Result;
use crate::finding::Verdict;
use crate::policy::Spent;
use crate::report::json::Detector;
use crate::report::words::{Gist, standing};

/// How a test case ended.
enum Ended {
    Passed,
    Skipped(String),
    /// The first line, and all that it says.
    Failed(String, String),
    Broken(String),
}

struct Case {
    class: String,
    name: String,
    seconds: f64,
    ended: Ended,
    /// What it saw besides.
    said: Vec<String>,
}

/// Writes the suite.
pub(super) fn write(material: &Material<'_>, out: &mut dyn Write) -> Result<()> {
    let report = &material.report;
    let detectors = material.detectors().map(|(detector, _)| of_detector(material, detector));
    let cases: Vec<Case> = detectors.chain(report.policy.budgets.iter().map(of_budget)).collect();
    let mut writer = Writer::new_with_indent(out, b' ', 2);
    suite(material, &cases, &mut writer).map_err(|e| broken(&e))?;
    writer.into_inner().write_all(b"\n").map_err(|e| broken(&e))
}

fn of_detector(material: &Material<'_>, detector: &Detector) -> Case {
    let causes = || material.report.groups.iter().filter(|group| group.code == detector.code);
    let failing: Vec<String> =
        causes().filter(|group| material.comes_to(group) == Some(Verdict::Fail)).map(|group| sentence(&group.title)).collect();
    let why = || sentence(detector.why.as_deref().unwrap_or_default());
    let ended = match detector.status.as_str() {
        "skipped" => Ended::Skipped(why()),
        "ran" => match &failing[..] {
            [] => Ended::Passed,
            [first, ..] => Ended::Failed(first.clone(), failing.join("\n")),
        },
        _ => Ended::Broken(why()),
    };
    let others = causes().filter(|group| material.comes_to(group) != Some(Verdict::Fail)).map(|group| {
        let accepted = standing(&group.standing).map(|why| format!(" ({})", sentence(&why))).unwrap_or_default();
        format!("{}: {}{accepted}", group.tier.name(), sentence(&group.title))
    });
    let notes = detector.notes.iter().map(|note| sentence(note));
    Case {
        class: format!("foretaste.{}", detector.family.name()),
        name: word(&detector.code),
        seconds: detector.seconds.unwrap_or(0.0).max(0.0),
        said: others.chain(notes).collect(),
        ended,
    }
}

fn of_budget(spent: &Spent) -> Case {
    let said = format!("{} rows listed, {} tolerated", spent.listed, spent.allowed);
    let over = spent.listed > spent.allowed && spent.over == Verdict::Fail;
    Case {
        class: "foretaste.budget".to_owned(),
        name: word(&spent.of),
        seconds: 0.0,
        ended: if over { Ended::Failed(said.clone(), said.clone()) } else { Ended::Passed },
        said: if over { Vec::new() } else { vec![said] },
    }
}

fn suite(material: &Material<'_>, cases: &[Case], writer: &mut Writer<&mut dyn Write>) -> io::Result<()> {
    let report = &material.report;
    let at = |wanted: fn(&Ended) -> bool| cases.iter().filter(|case| wanted(&case.ended)).count().to_string();
    let tests = cases.len().to_string();
    let counts = [
        ("tests", tests),
        ("failures", at(|ended| matches!(ended, Ended::Failed(..)))),
        ("errors", at(|ended| matches!(ended, Ended::Broken(_)))),
        ("skipped", at(|ended| matches!(ended, Ended::Skipped(_)))),
        ("time", format!("{:.3}", report.seconds.unwrap_or(0.0).max(0.0))),
    ];
    let counts = || counts.iter().map(|(key, value)| (*key, value.as_str()));
    let properties = [
        ("verdict", Gist::from(report).verdict()),
        ("rows", report.data.rows.to_string()),
        ("listed", report.flagged_rows.to_string()),
        ("version", word(&report.tool.version)),
        ("settings_digest", word(&report.settings_digest)),
    ];
    let created = word(report.created.trim_end_matches('Z'));
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    writer.create_element("testsuites").with_attribute(("name", "foretaste")).with_attributes(counts()).write_inner_content(|writer| {
        let suite = writer.create_element("testsuite").with_attribute(("name", "foretaste")).with_attributes(counts());
        suite.with_attribute(("timestamp", created.as_str())).write_inner_content(|writer| {
            writer.create_element("properties").write_inner_content(|writer| {
                for (name, value) in &properties {
                    writer.create_element("property").with_attributes([("name", *name), ("value", value.as_str())]).write_empty()?;
                }
                Ok(())
            })?;
            cases.iter().try_for_each(|case| test_case(case, writer))
        })?;
        Ok(())
    })?;
    Ok(())
}

fn test_case(case: &Case, writer: &mut Writer<&mut dyn Write>) -> io::Result<()> {
    let seconds = format!("{:.3}", case.seconds);
    let element = writer.create_element("testcase");
    let element = element.with_attributes([("classname", case.class.as_str()), ("name", case.name.as_str()), ("time", seconds.as_str())]);
    if matches!(case.ended, Ended::Passed) && case.said.is_empty() {
        return element.write_empty().map(|_| ());
    }
    element.write_inner_content(|writer| {
        match &case.ended {
            Ended::Passed => {}
            Ended::Skipped(why) => {
                writer.create_element("skipped").with_attribute(("message", why.as_str())).write_empty()?;
            }
            Ended::Failed(first, all) => {
                let failure = writer.create_element("failure").with_attributes([("message", first.as_str()), ("type", "finding")]);
                failure.write_text_content(BytesText::new(all))?;
            }
            Ended::Broken(why) => {
                writer.create_element("error").with_attributes([("message", why.as_str()), ("type", "incomplete")]).write_empty()?;
            }
        }
        if !case.said.is_empty() {
            writer.create_element("system-out").write_text_content(BytesText::new(&case.said.join("\n")))?;
        }
        Ok(())
    })?;
    Ok(())
}
