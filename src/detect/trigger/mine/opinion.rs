//! What content makes of carriers, judged by a model that saw none of them.
//!
//! Relabelled rows are rows of other labels in all but the item: content gives them those labels as surely as it does to the rows that
//! have them. A flag that nothing else in a row knows of can be a natural sign of a label: its carriers are then as any rows are. And rows
//! of a kind that the label alone has are unknown to a model without them: it gives them no label surely.

use ndarray::{Array2, ArrayView1, Axis};

use crate::derive::{ContentModel, SampleRow, softmax};
use crate::error::Result;

/// Carriers of the reference sample that are asked about.
pub(in crate::detect::trigger) const JUDGED: usize = 512;
/// Standard errors by which content must deny carriers their label, and the most of what it gives all rows that it may give them.
const DENIED: f64 = 1.64;
const LESS: f64 = 0.8;
/// Labels of a smaller share of the rows cannot be denied much more than to all rows.
const RARE_LABEL: f64 = 0.05;
/// Carriers that are given a rare label by more are not denied it.
const AFFIRMED: f64 = 0.25;
/// Of the way from the commonest label's share to how surely other rows are given their likeliest label, the part that carriers go at least
/// where they are rows of other labels, and at most where content knows nothing of them. The first is also the part of what content gives the
/// label's other rows that it gives carriers which are like them.
const RECOGNISED: f64 = 0.7;
const UNKNOWN: f64 = 0.5;
/// The second of pictures, for each unit of that way, where that is less.
const UNKNOWN_OF_PICTURES: f64 = 0.6;
/// The least length of that way for content to know any rows, and the least that it must give a label's own rows more than all rows to know
/// those.
const KNOWS: f64 = 0.2;

/// What content makes of carriers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::detect::trigger) enum Opinion {
    /// They are rows of other labels.
    Denied,
    /// They are as any rows are.
    AsAny,
    /// They are as the other rows of the label are, of several that it knows.
    Own,
    /// They are unlike all other rows, which it knows.
    Unknown,
}

impl Opinion {
    /// What may be nature of pictures that share a pattern, as a title says it; `None` where nothing speaks for it: where content has not
    /// learnt that part of a picture it may be less sure, but not of nothing.
    pub(in crate::detect::trigger) fn doubt(self) -> Option<&'static str> {
        match self {
            Self::Denied | Self::AsAny => None,
            Self::Own => Some(", as to its other pictures: a shortcut"),
            Self::Unknown => Some(", but knows no other pictures like them: a shortcut, which a way to draw that label would be as well"),
        }
    }

    /// The opinion of rows × classes probabilities of carriers, given their keys and the label that they share.
    pub(in crate::detect::trigger) fn of(content: &ContentModel, carriers: &[u64], label: u32, judged: &Array2<f64>) -> Self {
        Self::with(content, carriers, label, judged, |_| UNKNOWN)
    }

    /// The same of pictures: what is laid over a picture makes content less sure of it, the more so the less content knows.
    pub(in crate::detect::trigger) fn of_pictures(content: &ContentModel, carriers: &[u64], label: u32, judged: &Array2<f64>) -> Self {
        Self::with(content, carriers, label, judged, |way| UNKNOWN.min(UNKNOWN_OF_PICTURES * way))
    }

    fn with(content: &ContentModel, carriers: &[u64], label: u32, judged: &Array2<f64>, unknown: impl Fn(f64) -> f64) -> Self {
        let Some((logits, labels)) = content.sample_logits(&carriers.iter().copied().collect()) else { return Self::AsAny };
        let given = logits.outer_iter().zip(labels).map(|(row, own)| (probabilities(row), own));
        let given: Vec<(Vec<f64>, u32)> = given.filter(|(p, _)| p.iter().all(|p| p.is_finite())).collect();
        let label = label as usize;
        let says = mean(judged.outer_iter().filter_map(|row| row.get(label).copied()));
        let all = mean(given.iter().filter_map(|(p, _)| p.get(label).copied()));
        let variance = mean(given.iter().filter_map(|(p, _)| Some((p.get(label)? - all).powi(2))));
        let error = (variance / carriers.len().clamp(1, JUDGED) as f64).sqrt();
        let less = (all < RARE_LABEL && says < AFFIRMED) || is_denied(says, error, all);
        if logits.ncols() < 3 {
            // What is not the one label is the other.
            return if less { Self::Denied } else { Self::AsAny };
        }
        let others = || given.iter().filter(|(_, own)| *own as usize != label);
        let surely = mean(others().map(|(p, _)| likeliest_other(p, label)));
        let mut counts = vec![0.0; logits.ncols()];
        for (_, own) in others() {
            counts[*own as usize] += 1.0;
        }
        let commonest = counts.iter().copied().fold(0.0, f64::max) / given.len().max(1) as f64;
        let way = (surely - commonest).max(0.0);
        let gone = mean(judged.outer_iter().map(|row| likeliest_other(&row.to_vec(), label))) - commonest;
        if way >= KNOWS && gone < unknown(way) * way {
            let own = mean(given.iter().filter(|(_, own)| *own as usize == label).filter_map(|(p, _)| p.get(label).copied()));
            if own >= all + KNOWS && says >= RECOGNISED * own { Self::Own } else { Self::Unknown }
        } else if less && gone >= RECOGNISED * way {
            Self::Denied
        } else {
            Self::AsAny
        }
    }
}

fn probabilities(logits: ArrayView1<f32>) -> Vec<f64> {
    softmax(&logits.iter().map(|z| f64::from(*z)).collect::<Vec<_>>())
}

fn likeliest_other(probabilities: &[f64], label: usize) -> f64 {
    probabilities.iter().enumerate().filter(|(class, _)| *class != label).map(|(_, p)| *p).fold(0.0, f64::max)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, rows) = values.fold((0.0, 0.0), |(sum, rows), value| (sum + value, rows + 1.0));
    sum / f64::max(rows, 1.0)
}

/// Whether rows are given a label clearly less than all rows are; `error` is the standard error of what they are given.
pub(super) fn is_denied(given: f64, error: f64, all: f64) -> bool {
    given + DENIED * error <= all && given <= LESS * all
}

/// Probabilities of the classes for carriers, rows × classes, from the content model without them: `keys` are those of all carriers, of
/// which up to `most` in the reference sample are asked, `raw` those outside it that are asked as well. `None` without a
/// model or a carrier to ask.
pub(in crate::detect::trigger) fn judged<'a>(
    content: &ContentModel,
    keys: &[u64],
    most: usize,
    raw: impl Iterator<Item = &'a SampleRow>,
) -> Result<Option<Array2<f64>>> {
    if !content.can_verify() {
        return Ok(None);
    }
    let inside = keys.iter().filter_map(|key| content.position(*key)).take(most).map(Ok);
    let asked: Vec<Result<usize, &SampleRow>> = inside.chain(raw.map(Err)).collect();
    if asked.is_empty() {
        return Ok(None);
    }
    let rows = content.without(keys, &asked)?;
    Ok(rows.iter().all(|q| q.is_finite()).then_some(rows))
}

/// Mean probability of each class over carriers; see [`judged`].
pub(in crate::detect) fn backgrounds<'a>(
    content: &ContentModel,
    keys: &[u64],
    most: usize,
    raw: impl Iterator<Item = &'a SampleRow>,
) -> Result<Option<Vec<f64>>> {
    Ok(judged(content, keys, most, raw)?.map(|rows| means(&rows)))
}

/// Mean probability of each class.
pub(in crate::detect::trigger) fn means(judged: &Array2<f64>) -> Vec<f64> {
    judged.mean_axis(Axis(0)).map(|means| means.to_vec()).unwrap_or_default()
}

/// Mean probability of the label over carriers; see [`judged`].
pub(in crate::detect) fn background<'a>(
    content: &ContentModel,
    keys: &[u64],
    raw: impl Iterator<Item = &'a SampleRow>,
    label: u32,
) -> Result<Option<f64>> {
    Ok(backgrounds(content, keys, JUDGED, raw)?.and_then(|means| means.get(label as usize).copied()))
}
