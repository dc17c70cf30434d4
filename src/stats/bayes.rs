//! Naive Bayes on weighted items, with exact leave-one-out (multinomial, as Rennie et al. 2003 weigh it: rows of unit length, rare
//! items heavier). It knows every item, however many, where a linear model must choose.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::design::Csr;
use crate::error::{Error, Result};

/// Weight of every item in every class that nobody has seen there.
const UNSEEN: f64 = 0.1;

/// Sums of items by class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NaiveBayes {
    /// Items × classes.
    sums: Array2<f32>,
    /// Logarithms of the sums, with what is unseen.
    logs: Array2<f32>,
    totals: Vec<f64>,
    rows: Vec<f64>,
}

impl NaiveBayes {
    /// Sums rows by their labels; rows without one, or with one that is not below `classes`, count nothing. Fails where rows and
    /// labels differ in number.
    pub fn fit(rows: &Csr, labels: &[Option<u32>], classes: usize) -> Result<Self> {
        if rows.rows() != labels.len() {
            return Err(wrong(rows.rows(), labels.len()));
        }
        let mut sums = Array2::zeros((rows.width(), classes));
        let (mut totals, mut counts) = (vec![0.0; classes], vec![0.0; classes]);
        for (row, label) in labels.iter().enumerate() {
            let Some(label) = label.map(|label| label as usize).filter(|label| *label < classes) else { continue };
            counts[label] += 1.0;
            for (item, weight) in rows.row(row) {
                sums[(item, label)] += weight;
                totals[label] += f64::from(weight);
            }
        }
        let logs = sums.mapv(|sum: f32| (f64::from(sum) + UNSEEN).ln() as f32);
        Ok(Self { sums, logs, totals, rows: counts })
    }

    /// Logarithm of a class's share of the rows and of all its items: (share, items), `less` rows and `weight` of it taken away.
    fn class(&self, class: usize, less: f64, weight: f64) -> (f64, f64) {
        let all: f64 = self.rows.iter().sum::<f64>() - less + self.rows.len() as f64;
        let share = (((self.rows[class] - less).max(0.0) + 1.0) / all).ln();
        let items = ((self.totals[class] - weight).max(0.0) + UNSEEN * self.sums.nrows() as f64).ln();
        (share, items)
    }

    /// Logits, rows × classes, up to a constant a row.
    #[must_use]
    pub fn predict(&self, rows: &Csr) -> Array2<f32> {
        let classes: Vec<(f64, f64)> = (0..self.rows.len()).map(|class| self.class(class, 0.0, 0.0)).collect();
        let mut out = Array2::zeros((rows.rows(), classes.len()));
        for (row, mut logits) in out.outer_iter_mut().enumerate() {
            let mut length = 0.0;
            for (item, weight) in rows.row(row).filter(|(item, _)| *item < self.logs.nrows()) {
                logits.scaled_add(weight, &self.logs.row(item));
                length += f64::from(weight);
            }
            for (logit, (share, items)) in logits.iter_mut().zip(&classes) {
                *logit = (f64::from(*logit) + share - length * items) as f32;
            }
        }
        out
    }

    /// As [`predict`](Self::predict) for the rows of the fit, each from the sums without it.
    pub fn leave_one_out(&self, rows: &Csr, labels: &[Option<u32>]) -> Result<Array2<f32>> {
        if rows.rows() != labels.len() {
            return Err(wrong(rows.rows(), labels.len()));
        }
        let mut out = self.predict(rows);
        for (row, label) in labels.iter().enumerate() {
            let Some(label) = label.map(|label| label as usize).filter(|label| *label < self.rows.len()) else { continue };
            let length: f64 = rows.row(row).map(|(_, weight)| f64::from(weight)).sum();
            let (share, items) = self.class(label, 1.0, length);
            let own = rows.row(row).filter(|(item, _)| *item < self.sums.nrows());
            let own = own.map(|(item, weight)| f64::from(weight) * (f64::from((self.sums[(item, label)] - weight).max(0.0)) + UNSEEN).ln());
            // One row fewer changes the shares of the other classes by the same factor.
            let all: f64 = self.rows.iter().sum::<f64>() + self.rows.len() as f64;
            let others = (all / (all - 1.0)).ln();
            out[(row, label)] = (own.sum::<f64>() + share - others - length * items) as f32;
        }
        Ok(out)
    }
}

fn wrong(rows: usize, labels: usize) -> Error {
    Error::Detector { code: "bayes", reason: format!("{rows} rows have {labels} labels") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> (Csr, Vec<Option<u32>>) {
        let mut csr = Csr::empty(9);
        let mut labels = Vec::new();
        for i in 0..40u32 {
            let label = i % 3;
            // Items 0 to 2 speak for a class, 3 to 8 for none.
            csr.push([(label, 0.8), (3 + i % 6, 0.6)]).unwrap();
            labels.push((i % 7 != 6).then_some(label));
        }
        (csr, labels)
    }

    fn softmax(row: ndarray::ArrayView1<f32>) -> Vec<f64> {
        let odds: Vec<f64> = row.iter().map(|z| f64::from(*z).exp()).collect();
        odds.iter().map(|o| o / odds.iter().sum::<f64>()).collect()
    }

    #[test]
    fn leave_one_out_equals_refitting() {
        let (csr, labels) = rows();
        let closed = NaiveBayes::fit(&csr, &labels, 3).unwrap().leave_one_out(&csr, &labels).unwrap();
        for row in 0..40 {
            let mut rest = labels.clone();
            rest[row] = None;
            let refit = NaiveBayes::fit(&csr, &rest, 3).unwrap().predict(&csr);
            for (a, b) in softmax(closed.row(row)).iter().zip(softmax(refit.row(row))) {
                assert!((a - b).abs() < 1e-5, "{row}: {a} is not {b}");
            }
        }
    }

    #[test]
    fn items_tell_the_class() {
        let (csr, labels) = rows();
        let logits = NaiveBayes::fit(&csr, &labels, 3).unwrap().predict(&csr);
        for (i, row) in logits.outer_iter().enumerate() {
            assert!(softmax(row)[i % 3] > 0.5, "{row}");
        }
    }

    #[test]
    fn hostile_input() {
        let (csr, labels) = rows();
        assert!(NaiveBayes::fit(&csr, &labels[1..], 3).is_err());
        let model = NaiveBayes::fit(&csr, &vec![Some(77); 40], 2).unwrap();
        assert!(model.predict(&csr).iter().all(|z| z.is_finite()));
        assert!(model.leave_one_out(&csr, &vec![Some(9); 40]).unwrap().iter().all(|z| z.is_finite()));
        let mut wide = Csr::empty(100);
        wide.push([(99, 1.0)]).unwrap();
        assert!(model.predict(&wide).iter().all(|z| z.is_finite()));
    }
}
