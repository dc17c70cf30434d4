//! `foretaste evaluate`: a report against the truth.

use std::fmt::Write;

use super::args::Evaluate;
use super::terminal::printable;
use super::{Exit, Terminal};
use crate::error::{Error, Result};
use crate::evaluate::{Answer, Evaluation, Flags, Measures, Truth};

/// Columns of a line of [`Measures`].
const HEADINGS: [&str; 9] = ["listed", "right", "recall", "precision", "F1", "FPR", "AUROC", "avg. prec.", "prec. at n"];

/// Prints how well the scan did.
pub(super) fn evaluate(flags: Evaluate, terminal: &mut Terminal<'_>) -> Result<Exit> {
    let answer = Answer::read(&flags.report)?;
    let columns = Flags { on: flags.on, bad: flags.bad, attack: flags.attack };
    let evaluation = Evaluation::new(&answer, &Truth::read(&flags.truth, &columns, answer.id())?)?;
    let text = if flags.json {
        let json = serde_json::to_string_pretty(&evaluation).map_err(|e| Error::output("stdout", e))?;
        format!("{json}\n")
    } else {
        table(&evaluation)
    };
    terminal.print(text.as_bytes())?;
    Ok(Exit::Clean)
}

/// One line a family, detector and attack; ends with a line break. Names of attacks are the data's.
fn table(evaluation: &Evaluation) -> String {
    let mut out =
        format!("{} rows with known truth, {} bad; the report's verdict: {}\n", evaluation.rows, evaluation.bad, evaluation.verdict.name());
    if evaluation.unknown > 0 {
        // Writing into a string cannot fail.
        let _ = writeln!(out, "{} rows of the data are not in the truth and count neither way", evaluation.unknown);
    }
    let measured = || evaluation.families.iter().chain(&evaluation.detectors).map(|(name, measures)| (printable(name), measures));
    let attacks: Vec<_> = evaluation.attacks.iter().map(|(name, attack)| (printable(name), attack)).collect();
    let names = measured().map(|(name, _)| name).chain(attacks.iter().map(|(name, _)| name.clone()));
    let width = names.map(|name| name.chars().count()).max().unwrap_or(0).max("overall".len());
    let _ = write!(out, "\n{:width$}", "");
    for heading in HEADINGS {
        let _ = write!(out, " {heading:>10}");
    }
    out.push('\n');
    line(&mut out, "overall", width, &evaluation.overall);
    for (name, measures) in measured() {
        line(&mut out, &name, width, measures);
    }
    if !attacks.is_empty() {
        let _ = writeln!(out, "\n{:width$} {:>10} {:>10} {:>10}  AUROC by family", "attack", "rows", "listed", "recall");
        for (name, attack) in attacks {
            let areas: Vec<String> = attack.auroc.iter().map(|(family, area)| format!("{family} {area:.3}")).collect();
            let _ = writeln!(out, "{name:width$} {:>10} {:>10} {:>10.3}  {}", attack.rows, attack.listed, attack.recall, areas.join(", "));
        }
    }
    out
}

fn line(out: &mut String, name: &str, width: usize, measures: &Measures) {
    let _ = write!(out, "{name:width$} {:>10} {:>10}", measures.listed, measures.right);
    let shares = [measures.recall, measures.precision, measures.f1];
    for share in shares {
        let _ = write!(out, " {:>10}", shown(share, 3));
    }
    let _ = write!(out, " {:>10}", shown(measures.false_positive_rate, 5));
    for area in [measures.auroc, measures.average_precision, measures.precision_at_n] {
        let _ = write!(out, " {:>10}", shown(area, 3));
    }
    out.push('\n');
}

/// A figure, or a dash where it has no meaning.
fn shown(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |v| format!("{v:.digits$}"))
}
