//! Causes that there are too many of: an attack has one target and few triggers.

use std::collections::{BTreeMap, BTreeSet};

use super::verify::Trigger;
use crate::detect::trigger::MANY_LABELS;

/// Causes, and causes in the same columns, from which on they are how labels are told.
const MANY_CAUSES: usize = 8;
const MANY_OF_COLUMNS: usize = 3;
/// Causes of one label in a handful of pictures each from which on they are none.
const MANY_SMALL: usize = 3;

/// Which causes are of a kind that there are many of: an attack has one target and few triggers, and where many labels or many items have
/// causes of their own, that may be how labels are told here.
pub(super) fn usual(certain: &[&Trigger]) -> impl Fn(&Trigger) -> bool + use<> {
    let targets: BTreeSet<u32> = certain.iter().map(|trigger| trigger.target).collect();
    let mut columns: BTreeMap<Vec<u32>, usize> = BTreeMap::new();
    for trigger in certain {
        *columns.entry(trigger.columns.clone()).or_default() += 1;
    }
    let all = targets.len() >= MANY_LABELS || certain.len() >= MANY_CAUSES;
    columns.retain(|columns, causes| !columns.is_empty() && *causes >= MANY_OF_COLUMNS);
    move |trigger| all || columns.contains_key(&trigger.columns)
}

/// Labels that have many of some causes with these targets, and how many: the shore of a lake, parts of one texture come again in a handful of
/// pictures of a label.
pub(super) fn many_of_label(targets: impl Iterator<Item = u32>) -> BTreeMap<u32, usize> {
    let mut causes = BTreeMap::new();
    for target in targets {
        *causes.entry(target).or_default() += 1;
    }
    causes.retain(|_, causes| *causes >= MANY_SMALL);
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_small_causes_of_a_label_are_many_and_one_for_each_of_three_labels_are_not() {
        assert_eq!(many_of_label([4, 1, 4, 2, 4].into_iter()), BTreeMap::from([(4, 3)]));
        assert!(many_of_label([1, 2, 3, 3].into_iter()).is_empty());
    }
}
