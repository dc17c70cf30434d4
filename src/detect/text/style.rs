//! `text.style`: texts whose build, apart from what they say, speaks for their label.

use serde_json::json;

use crate::data::{Batch, Schema};
use crate::derive::BuildModel;
use crate::error::Result;
use crate::finding::{Evidence, Family, Tier};
use crate::fold::without_scan;
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};

/// Largest score: a ranking stands behind what rules mark.
const MOST: f64 = 0.05;

#[doc = include_str!("style.md")]
pub struct Style;

static INFO: Info = Info {
    code: "text.style",
    family: Family::Text,
    summary: "texts whose beginning, punctuation and small words are those of their label and of no other",
    needs: &[Need::Text, Need::Classes],
    after: &["derive.build"],
    reads: &[],
    law: Law::Exact,
    version: 2,
    claim: Claim::Rank,
    fused: None,
    max_tier: Tier::Review,
    manual: include_str!("style.md"),
};

/// Mean evidence of a row's build for its label against all others, nats.
fn evidence(model: &BuildModel, rows: &Batch, row: usize) -> Option<f64> {
    let label = rows.labels()[row]?;
    model.evidence(&model.features(rows, row), Some(label), label)
}

impl Fold for Style {
    type Model = BuildModel;

    without_scan!();

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, _: &Schema, given: &Given) -> Result<Step<(), BuildModel>> {
        Ok(Step::Done(given.model::<BuildModel>("derive.build").cloned().unwrap_or_default()))
    }
}

impl Detect for Style {
    fn score(&self, model: &BuildModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        for (row, slot) in out.iter_mut().enumerate() {
            *slot = evidence(model, rows, row).map(|nats| MOST / (1.0 + (-nats).exp()));
        }
        Ok(())
    }

    fn explain(&self, model: &BuildModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let nats = evidence(model, rows, row).unwrap_or(0.0);
        let reason = format!("its build speaks for its label {:.1} to 1, whatever it says", nats.exp());
        Ok(Evidence::new(reason, [("nats", json!(nats))]))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;
    use arrow::record_batch::RecordBatch;
    use foretaste_datasets::synth;

    use super::*;
    use crate::derive::Build;
    use crate::fold::law::{self, Fixture};

    const ROWS: usize = 1_500;

    /// Texts of two topics; every 25th is put into the template `when …, it …` and labelled 1 if `planted`.
    fn set(planted: bool) -> Fixture {
        let clean = synth::topic_texts(ROWS, 2, 25, 6).unwrap();
        let (texts, labels) = (clean["text"].as_string::<i32>(), clean["label"].as_primitive::<Int64Type>());
        let template = |row: usize| planted && row % 25 == 4;
        let text = |row| if template(row) { format!("when {}, it is so", texts.value(row)) } else { texts.value(row).to_owned() };
        let columns: [(&str, ArrayRef); 2] = [
            ("text", Arc::new((0..ROWS).map(|row| Some(text(row))).collect::<StringArray>())),
            ("label", Arc::new((0..ROWS).map(|row| if template(row) { 1 } else { labels.value(row) }).collect::<Int64Array>())),
        ];
        Fixture::new(RecordBatch::try_from_iter(columns).unwrap(), Some("label")).after(&Build)
    }

    #[test]
    fn a_template_that_implies_a_label_ranks_first_and_nothing_is_listed() {
        let fixture = set(true);
        let model = fixture.model(&Style);
        let scores = fixture.scores(&Style, &model);
        let (bad, good): (Vec<usize>, Vec<usize>) = (0..ROWS).partition(|row| row % 25 == 4);
        let above = bad.iter().flat_map(|b| good.iter().map(|g| scores[*b] > scores[*g])).filter(|above| *above).count();
        assert!(above as f64 > 0.9 * (bad.len() * good.len()) as f64, "{above}");
        assert!(scores.iter().flatten().all(|score| (0.0..=MOST).contains(score)));
        let reason = Style.explain(&model, &fixture.cut([ROWS])[0], 4).unwrap().reason;
        assert!(reason.starts_with("its build speaks for its label"), "{reason}");
        assert!(Style.groups(&model).is_empty() && INFO.claim == Claim::Rank);
    }

    #[test]
    fn without_a_template_the_same_rows_do_not_stand_out() {
        let fixture = set(false);
        let scores = fixture.scores(&Style, &fixture.model(&Style));
        let mean = |rows: Vec<usize>| rows.iter().filter_map(|row| scores[*row]).sum::<f64>() / rows.len() as f64;
        let (some, others) = (0..ROWS).partition(|row| row % 25 == 4);
        assert!((mean(some) - mean(others)).abs() < 0.2 * MOST);
    }

    #[test]
    fn laws() {
        law::check(|| Style, &set(true));
        law::survives(|| Style, |fixture| fixture);
        let small = set(true).unit_bytes(1 << 12).after(&Build);
        assert!(small.scores(&Style, &small.model(&Style)).iter().all(Option::is_none));
    }
}
