//! `label.residual`: numbers to predict that the rest of the row does not expect.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::data::{Batch, Role, Schema};
use crate::derive::TargetModel;
use crate::error::{Error, Result};
use crate::finding::{Evidence, Family, Tier};
use crate::fold::without_scan;
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};
use crate::stats::misfit::{Misfit, Miss};
use crate::stats::tail::normal_sf;

/// Code of the unit whose column holds the misses.
const TARGET: &str = "derive.target";
/// Largest p-value of a claim.
const LEVEL: f64 = 0.001;
/// Share of numbers that natural strangers may make.
const TOLERATED: f64 = 0.01;
/// Least share of the variance of the target that content must explain for a claim. Where it explains less, misses have
/// several modes, which no single tail is like: of 33 clean targets, those below 0.7 often look as if numbers were wrong.
const EXPLAINED: f64 = 0.75;
/// Fewest rows for a claim.
const FEWEST: usize = 500;
/// Factor on posteriors where nothing is claimed: none can be listed at a rate below a half.
const NO_CLAIM: f64 = 0.5;

#[doc = include_str!("residual.md")]
pub struct Residual;

static INFO: Info = Info {
    code: "label.residual",
    family: Family::Label,
    summary: "numbers to predict that contradict the content, judged by a model that did not see the row",
    needs: &[Need::Number, Need::Content],
    after: &["derive.sample", TARGET],
    reads: &[TARGET],
    law: Law::Exact,
    version: 1,
    claim: Claim::Posterior,
    max_tier: Tier::Suspect,
    fused: None,
    manual: include_str!("residual.md"),
};

/// How numbers miss what content says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResidualModel {
    /// `None` where content could not be judged.
    fitted: Option<Misfit>,
    /// Share of the variance of the target, in normal scores, that content explains.
    explained: f64,
    rows: usize,
    /// What normal scores stand for: numbers at equal steps of rank.
    numbers: Vec<f32>,
}

impl ResidualModel {
    fn new(target: &TargetModel) -> Self {
        let misses = target.misses();
        let squares = |of: fn(&Miss) -> f64| misses.iter().map(|miss| of(miss).powi(2)).sum::<f64>();
        let (left, all) = (squares(|miss| miss.value - miss.expected), squares(|miss| miss.value));
        let explained = if all > 0.0 { (1.0 - left / all).clamp(0.0, 1.0) } else { 0.0 };
        Self { fitted: Misfit::fit(&misses, TOLERATED), explained, rows: misses.len(), numbers: target.numbers() }
    }

    fn claims(&self) -> bool {
        let beyond = |fitted: &Misfit| fitted.lrt > 0.0 && normal_sf(fitted.lrt.sqrt()) <= LEVEL;
        self.rows >= FEWEST && self.explained >= EXPLAINED && self.fitted.as_ref().is_some_and(beyond)
    }

    fn score(&self, miss: &Miss) -> Option<f64> {
        let fitted = self.fitted.as_ref()?;
        let posterior = if self.claims() { fitted.posterior(miss, fitted.least) } else { NO_CLAIM * fitted.posterior(miss, TOLERATED) };
        posterior.is_finite().then(|| posterior.clamp(0.0, 1.0))
    }

    /// The number that a normal score stands for.
    fn number(&self, score: f64) -> f32 {
        let last = self.numbers.len().saturating_sub(1);
        let at = ((1.0 - normal_sf(score)) * last as f64).round() as usize;
        self.numbers.get(at.min(last)).copied().unwrap_or(f32::NAN)
    }
}

impl Fold for Residual {
    type Model = ResidualModel;

    without_scan!();

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, _: &Schema, given: &Given) -> Result<Step<(), ResidualModel>> {
        let Some(target) = given.model::<TargetModel>(TARGET) else {
            return Err(Error::Detector { code: INFO.code, reason: "needs the model of the target".to_owned() });
        };
        Ok(Step::Done(ResidualModel::new(target)))
    }
}

impl Detect for Residual {
    fn score(&self, model: &ResidualModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        let Some(column) = rows.derived(TARGET) else { return Ok(()) };
        for (slot, row) in out.iter_mut().zip(column.outer_iter()) {
            *slot = TargetModel::miss(&row.to_vec()).and_then(|miss| model.score(&miss));
        }
        Ok(())
    }

    fn explain(&self, model: &ResidualModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let column = rows.derived(TARGET).filter(|column| row < column.nrows());
        let miss = column.and_then(|column| TargetModel::miss(&column.row(row).to_vec()));
        let (Some(miss), Some(at)) = (miss, rows.schema().first(Role::Target)) else {
            return Err(Error::Detector { code: INFO.code, reason: "a row that was not judged cannot be explained".to_owned() });
        };
        let (says, given) = (model.number(miss.expected), rows.display(at, row));
        let times = (miss.value - miss.expected).abs() / miss.usual;
        let reason = format!("the number is {given}, content says about {says}: {times:.1} times the usual miss");
        let detail = [("number", json!(given)), ("suggested", json!(says)), ("times_usual_miss", json!(times))];
        Ok(Evidence::new(reason, detail))
    }

    fn notes(&self, model: &ResidualModel) -> Vec<String> {
        if model.fitted.is_none() {
            return vec!["content could not be judged".to_owned()];
        }
        let explained = format!("content explains {:.0} % of the target", 100.0 * model.explained);
        if model.claims() {
            std::iter::once(explained).chain(self.estimates(model)).collect()
        } else if model.explained < EXPLAINED {
            vec![format!("{explained}: too little to say which numbers are wrong")]
        } else {
            vec![explained, "no more numbers contradict content than heavy tails explain".to_owned()]
        }
    }

    fn estimates(&self, model: &ResidualModel) -> Vec<String> {
        let fitted = model.fitted.as_ref().filter(|_| model.claims());
        fitted.map(|fitted| format!("about {:.1} % of numbers look wrong", 100.0 * fitted.share)).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array};
    use arrow::record_batch::RecordBatch;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::derive::{Sample, Target};
    use crate::fold::law::{Fixture, check, survives};
    use crate::stats::multiple::PosteriorHistogram;

    const ROWS: usize = 2_000;

    /// A smooth function of five numbers with one product, with misses that grow with the last number and have heavy tails; the target
    /// of a share of the rows is that of another row.
    fn rows(seed: u64, shuffled: f64) -> (RecordBatch, Vec<bool>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut columns = vec![Vec::new(); 5];
        let mut target = Vec::new();
        for _ in 0..ROWS {
            let x: Vec<f64> = (0..5).map(|_| rng.random()).collect();
            let heavy = (rng.random::<f64>() - 0.5).signum() * (-(1.0 - rng.random::<f64>()).ln()).powf(1.3);
            let level = 10.0 * x[0] + 6.0 * x[1] * x[2] + 10.0 * x[3] + 5.0 * x[4];
            target.push((level + 0.2 * (0.5 + x[4]) * heavy).exp2().powf(0.2));
            columns.iter_mut().zip(&x).for_each(|(column, x)| column.push(*x));
        }
        let clean = target.clone();
        let wrong: Vec<bool> = (0..ROWS).map(|_| rng.random::<f64>() < shuffled).collect();
        for row in (0..ROWS).filter(|&row| wrong[row]) {
            target[row] = clean[rng.random_range(0..ROWS)];
        }
        columns.push(target);
        let named = ["a", "b", "c", "d", "e", "price"].into_iter().zip(columns);
        let batch = RecordBatch::try_from_iter(named.map(|(name, column)| (name, Arc::new(Float64Array::from(column)) as ArrayRef)));
        (batch.unwrap(), wrong)
    }

    fn prepared(batch: RecordBatch) -> Fixture {
        Fixture::new(batch, Some("price")).after(&Sample).after_column(Target)
    }

    /// Which rows a list at 10 % holds, and the notes.
    fn listed(batch: RecordBatch) -> (Vec<bool>, Vec<String>) {
        let fixture = prepared(batch);
        let model = fixture.model(&Residual);
        let scores = fixture.scores(&Residual, &model);
        let mut histogram = PosteriorHistogram::default();
        scores.iter().flatten().for_each(|score| histogram.add(*score));
        let lowest = histogram.threshold(0.1);
        let listed = scores.iter().map(|score| lowest.is_some_and(|lowest| score.is_some_and(|score| score >= lowest)));
        (listed.collect(), Residual.notes(&model))
    }

    #[test]
    fn shuffled_numbers_are_listed_and_the_clean_twin_is_silent() {
        for seed in 0..3 {
            let (batch, wrong) = rows(seed, 0.06);
            let (found, notes) = listed(batch);
            let right = found.iter().zip(&wrong).filter(|(found, wrong)| **found && **wrong).count();
            let (planted, count) = (wrong.iter().filter(|w| **w).count(), found.iter().filter(|f| **f).count());
            assert!(right * 3 >= planted && right * 100 >= count * 85, "seed {seed}: {right} of {count}, {planted} planted, {notes:?}");
            let (found, notes) = listed(rows(seed, 0.0).0);
            assert!(!found.contains(&true), "seed {seed}: {notes:?}");
            assert_eq!(notes[1], "no more numbers contradict content than heavy tails explain");
        }
    }

    #[test]
    fn numbers_that_content_says_nothing_of_are_not_judged_wrong() {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let (batch, _) = rows(9, 0.0);
        let noise: ArrayRef = Arc::new((0..ROWS).map(|_| Some(rng.random::<f64>())).collect::<Float64Array>());
        let mut columns = batch.columns().to_vec();
        columns[5] = noise;
        let (found, notes) = listed(RecordBatch::try_new(batch.schema(), columns).unwrap());
        assert!(!found.contains(&true) && notes[0].ends_with("too little to say which numbers are wrong"), "{notes:?}");
    }

    #[test]
    fn obeys_the_laws() {
        let (batch, _) = rows(1, 0.06);
        check(|| Residual, &prepared(batch.slice(0, 1_200)));
        survives(|| Residual, |fixture| fixture.after(&Sample).after_column(Target));
    }
}
