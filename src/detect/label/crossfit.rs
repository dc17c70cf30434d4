//! `label.crossfit`: labels that the rest of the data does not expect.

use ndarray::{Array2, ArrayView1};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::judge::{Fitted, Judged, Rows};
use super::noise::{By, Moved, Way};
use crate::data::{Batch, Role, Schema};
use crate::derive::Neighbours;
use crate::detect::duplicate::{CopiesModel, Repeated};
use crate::error::{Error, Result};
use crate::finding::{Evidence, Family, Group, Tier};
use crate::fold::without_scan;
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};

/// Code of the unit whose column holds the logits.
const CONTENT: &str = "derive.content";
/// Fewest rows of a cell that may be called an attack.
const ATTACK_ROWS: f64 = 10.0;
/// Pairs of a rule that a cause names.
const PAIRS_NAMED: usize = 3;
/// Classes that a note names.
const MOST_NAMED: usize = 5;
/// Where less than this share of the wrong labels can be named, the notes say so.
const FEW_NAMED: f64 = 0.2;

/// Finds the logits of the sample's labelled rows (rows × classes) and their labels in the models given.
pub type SampleLogits = fn(&Given) -> Option<(Array2<f32>, Vec<u32>)>;
/// Finds the logits of the same rows from a model that is too simple to learn which of them have moved labels.
pub type LinearLogits = fn(&Given) -> Option<Array2<f32>>;

#[doc = include_str!("crossfit.md")]
pub struct Crossfit {
    logits: SampleLogits,
    linear: LinearLogits,
    neighbours: fn(&Given) -> Option<Neighbours>,
}

static INFO: Info = Info {
    code: "label.crossfit",
    family: Family::Label,
    summary: "labels that contradict the content, judged by a model that did not see the row",
    needs: &[Need::Classes],
    after: &[
        "derive.sample",
        CONTENT,
        CopiesModel::CODE,
        "trigger.activation",
        "trigger.patch",
        "trigger.rule",
        "trigger.set",
        "trigger.spectral",
        "trigger.style",
        "trigger.token",
    ],
    reads: &[CONTENT],
    law: Law::Exact,
    version: 6,
    claim: Claim::Posterior,
    fused: None,
    max_tier: Tier::Alarm,
    manual: include_str!("crossfit.md"),
};

/// How labels come about, as far as content tells.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CrossfitModel {
    /// Share of each class among the labels.
    priors: Vec<f64>,
    /// Names of the classes.
    names: Vec<String>,
    /// Rows of the set for each row of the fit.
    rows_each: f64,
    /// `None` where no content could be judged.
    fitted: Option<Fitted>,
    /// Contents of several labels, ascending by hash, with the label that most of their rows have and the share that have another.
    disputed: Vec<(u128, u32, f64)>,
    /// Finds the rows that a listed row is most like.
    neighbours: Option<Neighbours>,
}

/// A class that labels of all others are claimed to be moved toward.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Toward {
    /// The class.
    pub to: u32,
    /// Not corrected for the number of classes.
    pub p: f64,
    /// Rows of the fit that natural confusion does not explain.
    pub rows: u64,
}

impl CrossfitModel {
    pub(super) fn fit(data: &Schema, given: Option<&(Array2<f32>, Vec<u32>)>, linear: Option<&Array2<f32>>) -> Self {
        let priors = data.priors();
        let classes = || data.label.iter().flat_map(|label| &label.classes);
        let rows = given.and_then(|(logits, labels)| Rows::new(logits, labels, priors.len()));
        let linear = linear.zip(given).and_then(|(logits, (_, labels))| Rows::new(logits, labels, priors.len()));
        // Given probabilities are taken to know the class wherever they are sure; our own content may be sure and blind.
        let trusted = data.first(Role::Probabilities).is_some();
        let fitted = rows.and_then(|rows| Fitted::new(&rows, linear.as_ref(), &priors, trusted));
        let labelled: u64 = classes().map(|class| class.rows).sum();
        let rows_each = fitted.as_ref().map_or(1.0, |fitted| labelled as f64 / fitted.base.rows.max(1) as f64).max(1.0);
        Self {
            names: classes().map(|class| class.name.clone()).collect(),
            priors,
            rows_each,
            fitted,
            disputed: Vec::new(),
            neighbours: None,
        }
    }

    /// What is thought of one row's label, given its logits.
    fn judge(&self, logits: ArrayView1<f32>, rows: &Batch, row: usize) -> Option<Judged> {
        let logits = logits.to_vec();
        let label = rows.labels().get(row).copied().flatten()?;
        if logits.len() != self.priors.len() {
            return None;
        }
        let judged = self.fitted.as_ref()?.judge(&logits, label)?;
        let dissent = self.dissent(rows, row, label);
        Some(Judged { score: dissent * judged.score, cell: judged.cell.map(|(at, posterior)| (at, dissent * posterior)), ..judged })
    }

    /// Claims no more than labels toward some of the classes that they are claimed toward.
    pub(super) fn keep_toward(&mut self, keep: impl Fn(u32) -> bool) {
        if let Some(fitted) = &mut self.fitted {
            fitted.keep_toward(keep);
        }
    }

    /// What is claimed of labels toward one class.
    pub fn toward(&self) -> impl Iterator<Item = Toward> + '_ {
        let claims = self.fitted.iter().flat_map(|fitted| fitted.cells.iter().map(move |cell| (cell, &fitted.noise)));
        claims.filter_map(|(cell, noise)| match cell.way {
            Way::Toward(to) => Some(Toward { to, p: cell.p, rows: noise.unexplained(to) }),
            Way::Pair { .. } | Way::Shift(_) => None,
        })
    }

    /// What is left of a doubt about a label: equal rows that were labelled otherwise are why content contradicts the label that most of
    /// them have, so it is their share; 1 elsewhere.
    fn dissent(&self, rows: &Batch, row: usize, label: u32) -> f64 {
        if self.disputed.is_empty() {
            return 1.0;
        }
        let content = rows.content().get(row);
        let found = content.and_then(|content| self.disputed.binary_search_by_key(content, |disputed| disputed.0).ok());
        let found = found.and_then(|at| self.disputed.get(at)).filter(|disputed| disputed.1 == label);
        found.map_or(1.0, |disputed| disputed.2)
    }

    pub(super) fn is_fitted(&self) -> bool {
        self.fitted.is_some()
    }

    /// Says something of every row that can be judged by the logits in a column.
    pub(super) fn each<T>(&self, column: &str, rows: &Batch, out: &mut [Option<T>], say: impl Fn(&Judged) -> Option<T>) {
        let Some(logits) = rows.derived(column) else { return };
        for (row, (slot, logits)) in out.iter_mut().zip(logits.outer_iter()).enumerate() {
            *slot = self.judge(logits, rows, row).and_then(|judged| say(&judged));
        }
    }

    /// The claims that rows belong to.
    pub(super) fn members(&self, column: &str, rows: &Batch, out: &mut [Option<u32>]) {
        self.each(column, rows, out, |judged| self.fitted.as_ref()?.member(judged).map(|at| at as u32));
    }

    /// What the logits in a column say of one row: its label, the class that content says, and how it was judged. `code` is the
    /// detector that asks.
    pub(super) fn said(&self, code: &'static str, column: &str, rows: &Batch, row: usize) -> Result<(&str, &str, Judged)> {
        let wrong = |reason: String| Error::Detector { code, reason };
        let logits = rows.derived(column).ok_or_else(|| wrong(format!("the column {column} is missing")))?;
        let label = rows.labels().get(row).copied().flatten();
        let judged = (row < logits.nrows()).then(|| self.judge(logits.row(row), rows, row)).flatten();
        let (judged, label) = judged.zip(label).ok_or_else(|| wrong("a row that was not judged cannot be explained".to_owned()))?;
        Ok((self.name(label as usize), self.name(judged.says.0), judged))
    }

    /// Rows of the set for some rows of the fit.
    pub(super) fn scaled(&self, rows: u64) -> u64 {
        (rows as f64 * self.rows_each).round() as u64
    }

    /// What is claimed, as causes.
    pub(super) fn groups(&self) -> Vec<Group> {
        self.fitted.iter().flat_map(|fitted| &fitted.cells).map(|claim| self.group(claim)).collect()
    }

    fn name(&self, class: usize) -> &str {
        self.names.get(class).map_or("", String::as_str)
    }

    fn group(&self, cell: &Moved) -> Group {
        let classes = self.priors.len() as u64;
        let name = |class: u32| self.name(class as usize);
        let rows = (cell.expected * self.rows_each).round() as u64;
        let attack = cell.expected >= ATTACK_ROWS && cell.one_way() && cell.is_of_known_class() && cell.by == By::Floor;
        let mut evidence = json!({ "rate": cell.rate, "reverse_rows": (cell.reverse * self.rows_each).round() });
        let (title, cause, label, tests) = match cell.way {
            Way::Pair { from, to } => {
                let (from, to) = (name(from), name(to));
                (evidence["from"], evidence["to"]) = (json!(from), json!(to));
                let title = format!("about {rows} rows of class {from} are labelled {to}, more than confusion explains");
                (title, format!("labels moved from {from} to {to}"), Some(to), classes * classes.saturating_sub(1))
            }
            Way::Toward(to) => {
                let to = name(to);
                (evidence["from"], evidence["to"]) = (json!(null), json!(to));
                let title = format!(
                    "about {rows} rows of all other classes are labelled {to}, whatever their content; no trigger that they share was located"
                );
                (title, format!("labels moved from all classes to {to}"), Some(to), classes)
            }
            Way::Shift(by) => {
                let pairs = (0..classes as u32).map(|from| [name(from), name((from + by) % classes as u32)]);
                evidence["pairs"] = json!(pairs.clone().collect::<Vec<_>>());
                let first: Vec<String> = pairs.take(PAIRS_NAMED).map(|[from, to]| format!("{from} to {to}")).collect();
                let first = first.join(", ");
                let title = format!(
                    "about {rows} rows have the label of another class by one rule, more than confusion explains: {first} and so on"
                );
                (title, format!("labels of all classes moved: {first} …"), None, classes.saturating_sub(1))
            }
        };
        Group {
            title,
            cause,
            attack_class: "label_flip".to_owned(),
            rows,
            agreeing: rows,
            label: label.map(str::to_owned),
            background: None,
            statistic: if cell.by == By::Ranks { "sum of −ln ranks" } else { "likelihood ratio" }.to_owned(),
            value: cell.value,
            p: cell.p,
            tests,
            max_tier: if attack { Tier::Alarm } else { Tier::Suspect },
            examples: Vec::new(),
            evidence: evidence.as_object().cloned().unwrap_or_default(),
        }
    }
}

impl Crossfit {
    /// The detector, with a way to find the logits that it is fitted to.
    #[must_use]
    pub fn new(logits: SampleLogits) -> Self {
        Self { logits, linear: |_| None, neighbours: |_| None }
    }

    /// With a way to find what a simpler model says of the same rows.
    #[must_use]
    pub fn under(self, linear: LinearLogits) -> Self {
        Self { linear, ..self }
    }

    /// With a way to find the rows that a listed row is most like, which its reason then names.
    #[must_use]
    pub fn beside(self, neighbours: fn(&Given) -> Option<Neighbours>) -> Self {
        Self { neighbours, ..self }
    }
}

/// A content whose rows have several labels, with the one that more than half of them have and the share of the others.
fn disputed(repeated: &Repeated) -> Option<(u128, u32, f64)> {
    let labelled = || repeated.labels.iter().filter_map(|part| Some((part.label?, part.rows)));
    let all: u64 = labelled().map(|(_, rows)| rows).sum();
    let (label, most) = labelled().max_by_key(|(_, rows)| *rows).filter(|(_, most)| *most < all && 2 * most > all)?;
    Some((repeated.content, label, 1.0 - most as f64 / all as f64))
}

impl Fold for Crossfit {
    type Model = CrossfitModel;

    without_scan!();

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, given: &Given) -> Result<Step<(), CrossfitModel>> {
        let copies = given.model::<CopiesModel>(CopiesModel::CODE);
        let disputed = copies.iter().flat_map(|copies| copies.contents()).filter_map(disputed).collect();
        let fitted = CrossfitModel::fit(data, (self.logits)(given).as_ref(), (self.linear)(given).as_ref());
        Ok(Step::Done(CrossfitModel { neighbours: (self.neighbours)(given), disputed, ..fitted }))
    }
}

impl Detect for Crossfit {
    fn score(&self, model: &CrossfitModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        model.each(CONTENT, rows, out, |judged| Some(judged.score));
        Ok(())
    }

    fn groups(&self, model: &CrossfitModel) -> Vec<Group> {
        model.groups()
    }

    fn members(&self, model: &CrossfitModel, rows: &Batch, out: &mut [Option<u32>]) -> Result<()> {
        model.members(CONTENT, rows, out);
        Ok(())
    }

    fn explain(&self, model: &CrossfitModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let (labelled, says, judged) = model.said(INFO.code, CONTENT, rows, row)?;
        let (class, share) = judged.says;
        let detail =
            [("label", json!(labelled)), ("suggested", json!(says)), ("probability", json!(share)), ("posterior", json!(judged.score))];
        let mut reason = format!("labelled '{labelled}', content says '{says}' ({share:.2})");
        if let Some(neighbours) = &model.neighbours {
            let labels = neighbours.labels(rows, row)?;
            let alike = labels.iter().filter(|label| **label as usize == class).count();
            reason = format!("{reason}; {alike} of {} nearest rows are '{says}'", labels.len());
        }
        Ok(Evidence::new(reason, detail))
    }

    fn notes(&self, model: &CrossfitModel) -> Vec<String> {
        let Some(fitted) = &model.fitted else {
            return vec!["content could not be judged".to_owned()];
        };
        if let Some(share) = fitted.too_weak {
            return vec![format!(
                "the given probabilities contradict {:.0} % of the labels: they are too weak to judge any, or most labels are wrong",
                100.0 * share
            )];
        }
        let mut notes = self.estimates(model);
        if fitted.suspects() && !fitted.claims() {
            let most = 100.0 * fitted.base.epsilon * (1.0 - model.priors.iter().map(|p| p * p).sum::<f64>());
            notes.insert(
                0,
                format!(
                    "up to about {most:.1} % of labels may be wrong, or content is less sure than it seems; it is too weak to say which"
                ),
            );
        } else if !fitted.claims() {
            notes.insert(0, "no more labels contradict content than confusion explains".to_owned());
        }
        let unsaid = &fitted.noise.unsaid;
        if !unsaid.is_empty() {
            let named: Vec<&str> = unsaid.iter().take(MOST_NAMED).map(|class| model.name(*class as usize)).collect();
            let more = unsaid.len() - named.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            notes.push(format!("labels {}{more} are not judged: content hardly ever gives them", named.join(", ")));
        }
        notes
    }

    fn estimates(&self, model: &CrossfitModel) -> Vec<String> {
        let Some(fitted) = model.fitted.as_ref().filter(|fitted| fitted.too_weak.is_none()) else { return Vec::new() };
        let wrong = fitted.wrong;
        let weak = if fitted.named < FEW_NAMED * wrong { "; content is too weak to say which" } else { "" };
        let claimed = fitted.claims().then(|| format!("about {:.1} % of labels look wrong{weak}", 100.0 * wrong));
        let doubtful = fitted.noise.doubtful.iter().map(|&(from, to, share)| {
            let (from, to) = (model.name(from as usize), model.name(to as usize));
            format!(
                "of rows that content calls {from} about {:.1} % are labelled {to} however sure it is: moved labels, or ones that people disagree on",
                100.0 * share
            )
        });
        claimed.into_iter().chain(doubtful).collect()
    }
}

#[cfg(test)]
pub(super) mod tests;
