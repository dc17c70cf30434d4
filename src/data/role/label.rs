//! Which column is the label, where nobody says.

use std::collections::BTreeSet;

use arrow::datatypes::{DataType, SchemaRef};

use super::{ID_NAMES, Look, RESPONSE_NAMES, Role, SOURCE_NAMES, TIME_NAMES, is_encoded_image, is_string, is_turns, is_vector};

/// Names that mean a label, lower case.
const NAMES: [&str; 10] = ["label", "labels", "target", "class", "y", "category", "intent", "sentiment", "ground_truth", "gold"];
/// What models often predict, lower case: a label where one column alone has such a word in its name and holds classes.
const PREDICTED: [&str; 36] = [
    "approved",
    "attack",
    "churn",
    "churned",
    "clicked",
    "converted",
    "cover",
    "default",
    "defaulted",
    "defect",
    "diagnosis",
    "digit",
    "disease",
    "emotion",
    "exited",
    "fraud",
    "grade",
    "hate",
    "income",
    "malicious",
    "malware",
    "offensive",
    "outcome",
    "polarity",
    "quality",
    "readmitted",
    "result",
    "risk",
    "spam",
    "species",
    "stance",
    "survived",
    "topic",
    "toxic",
    "toxicity",
    "verdict",
];
/// Names of columns of classes that nobody predicts, lower case.
const NOT_PREDICTED: [&str; 21] = [
    "split",
    "fold",
    "set",
    "subset",
    "partition",
    "lang",
    "language",
    "locale",
    "format",
    "version",
    "batch",
    "channel",
    "status",
    "status_code",
    "license",
    "licence",
    "mime",
    "mime_type",
    "encoding",
    "country",
    "currency",
];
/// Most classes of a column that is taken for the label without a name that says so.
const MOST_CLASSES: usize = 50;
/// The same where they are whole numbers without a gap in the last column of a table.
const MOST_NUMBERS: usize = 20;
/// Rows for each class, on average.
const ROWS_EACH: usize = 5;
/// Words from which a string is text and no class.
const TEXT_WORDS: f64 = 3.0;

/// What is known of the columns while roles are given out.
struct Columns<'a> {
    arrow: &'a SchemaRef,
    looks: &'a [Look],
    /// Names, lower case.
    names: &'a [String],
    roles: &'a [Option<(Role, String)>],
}

impl Columns<'_> {
    fn data_type(&self, column: usize) -> &DataType {
        self.arrow.field(column).data_type()
    }

    /// Whether a column has no role yet and could hold labels.
    fn is_free(&self, column: usize) -> bool {
        self.roles[column].is_none() && !self.data_type(column).is_nested() && !self.data_type(column).is_binary()
    }

    fn free(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.names.len()).filter(|&column| self.is_free(column))
    }

    /// Whether a column holds a few values, each in several rows.
    fn has_few(&self, column: usize) -> bool {
        let Look { rows, distinct, .. } = self.looks[column];
        (2..=MOST_CLASSES).contains(&distinct) && distinct * ROWS_EACH <= rows.max(1)
    }

    /// Whether it is strings or booleans.
    fn is_nominal(&self, column: usize) -> bool {
        is_string(self.data_type(column)) || *self.data_type(column) == DataType::Boolean
    }

    /// Whether its name says that it is something else.
    fn is_named_otherwise(&self, column: usize) -> bool {
        let name = self.names[column].as_str();
        [&ID_NAMES[..], &NOT_PREDICTED].iter().any(|names| names.contains(&name)) || name.ends_with("_id") || name.starts_with("unnamed")
    }

    /// Whether its name gives it another part.
    fn has_a_part(&self, column: usize) -> bool {
        let name = self.names[column].as_str();
        TIME_NAMES.contains(&name) || SOURCE_NAMES.contains(&name)
    }

    /// Whether it holds a few names of classes.
    fn holds_names(&self, column: usize) -> bool {
        self.is_nominal(column) && self.looks[column].words() < TEXT_WORDS && self.has_few(column) && !self.has_a_part(column)
    }

    /// Whether it could hold classes wherever it stands: a few strings, booleans or whole numbers.
    fn holds_classes(&self, column: usize) -> bool {
        let numbers = self.data_type(column).is_integer() && self.has_few(column) && !self.has_a_part(column);
        (self.holds_names(column) || numbers) && !self.is_named_otherwise(column)
    }

    /// Whether it is a text, a picture or a vector.
    fn is_whole_content(&self, column: usize) -> bool {
        let data_type = self.data_type(column);
        let is_text = is_string(data_type) && self.looks[column].words() >= TEXT_WORDS && !self.has_few(column);
        is_text || is_encoded_image(data_type) || is_vector(data_type) || is_turns(data_type)
    }

    /// Whether it holds the whole numbers from 0 or 1 on, without a gap, up to [`MOST_NUMBERS`] of them.
    fn counts_classes(&self, column: usize) -> bool {
        let values: BTreeSet<i64> = self.looks[column].values.iter().filter_map(|value| value.parse().ok()).collect();
        let (Some(first), Some(last)) = (values.first(), values.last()) else { return false };
        let whole = self.data_type(column).is_integer() && matches!(first, 0 | 1) && values.len() <= MOST_NUMBERS;
        whole && self.holds_classes(column) && usize::try_from(last - first).is_ok_and(|gap| gap + 1 == values.len())
    }

    /// The one free column of a kind.
    fn only(&self, is: impl Fn(usize) -> bool) -> Option<usize> {
        let mut all = self.free().filter(|&column| is(column));
        all.next().filter(|_| all.next().is_none())
    }

    /// A label whose name does not say so, with the reason.
    fn unnamed(&self) -> Option<(usize, String)> {
        let last = self.names.len().checked_sub(1)?;
        let count = self.looks[last].distinct;
        if last > 0 && self.is_free(last) && self.holds_names(last) {
            return Some((last, format!("the last column, with {count} values")));
        }
        let predicted = |column: usize| self.names[column].split('_').any(|word| word == "is" || PREDICTED.contains(&word));
        if let Some(column) = self.only(|column| predicted(column) && self.holds_classes(column)) {
            return Some((column, format!("named like what is predicted, with {} values", self.looks[column].distinct)));
        }
        // Beside answers a column of classes says what kind of question it is.
        if self.names.iter().any(|name| RESPONSE_NAMES.contains(&name.as_str())) {
            return None;
        }
        if (0..=last).any(|column| self.is_whole_content(column)) {
            let column = self.only(|column| self.holds_classes(column))?;
            return Some((column, format!("the only column of classes, with {} values", self.looks[column].distinct)));
        }
        let alone = self.only(|column| self.counts_classes(column)) == Some(last);
        (last > 0 && alone).then(|| (last, format!("the last column, {count} whole numbers without a gap")))
    }
}

/// Labels by name; failing that, by what a column holds and where it stands.
pub(super) fn choose(arrow: &SchemaRef, looks: &[Look], lower: &[String], roles: &mut [Option<(Role, String)>]) {
    let columns = Columns { arrow, looks, names: lower, roles };
    let named = NAMES.iter().find_map(|name| columns.free().find(|&column| lower[column] == **name));
    let alike: Vec<usize> = columns.free().filter(|&column| named_like_label(&lower[column])).collect();
    let chosen = match (named, alike.as_slice()) {
        (Some(column), _) | (None, &[column]) => Some((column, "named like a label".to_owned())),
        (None, []) => columns.unnamed(),
        (None, several) => {
            for &column in several {
                roles[column] = Some((Role::Ignored, "one of several columns that could be the label: choose one with --label".to_owned()));
            }
            return;
        }
    };
    if let Some((column, reason)) = chosen {
        roles[column] = Some((Role::Label, reason));
    }
}

fn named_like_label(name: &str) -> bool {
    ["label", "target", "class"].iter().any(|l| name.starts_with(&format!("{l}_")) || name.ends_with(&format!("_{l}")))
}

/// Other versions of the label must not become features: they would explain it.
pub(super) fn set_others_aside(looks: &[Look], lower: &[String], roles: &mut [Option<(Role, String)>]) {
    let Some(label) = roles.iter().position(|r| matches!(r, Some((Role::Label, _)))) else { return };
    let distinct = |c: usize| looks[c].values.iter().collect::<BTreeSet<_>>();
    for c in 0..roles.len() {
        if roles[c].is_some() {
            continue;
        }
        let stem = |name: &str| name.split('_').next().map(str::to_owned);
        let named = named_like_label(&lower[c]) && (named_like_label(&lower[label]) || stem(&lower[c]) == stem(&lower[label]));
        let same_length = looks[c].values.len() == looks[label].values.len();
        let agree = looks[c].values.iter().zip(&looks[label].values).filter(|(a, b)| a == b).count();
        let copy = same_length && looks[label].distinct > 1 && agree * 5 >= looks[c].values.len() * 3 && distinct(c) == distinct(label);
        if named || copy {
            roles[c] = Some((Role::Ignored, format!("looks like another version of the label '{}'", lower[label])));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};

    use super::super::{Choices, infer};
    use super::*;

    fn numbers(of: impl Fn(i64) -> i64) -> ArrayRef {
        Arc::new((0..60).map(of).collect::<Int64Array>())
    }

    fn reals(seed: u64) -> ArrayRef {
        Arc::new((0..60u64).map(|row| (row * 7919 + seed) as f64 / 3.0).collect::<Float64Array>())
    }

    fn words(of: impl Fn(usize) -> String) -> ArrayRef {
        Arc::new((0..60).map(|row| Some(of(row))).collect::<StringArray>())
    }

    fn label(columns: &[(&str, ArrayRef)]) -> Option<String> {
        let rows = RecordBatch::try_from_iter(columns.iter().map(|(name, column)| (*name, Arc::clone(column)))).unwrap();
        let roles = infer(&rows.schema(), &rows, false, &Choices::default(), "x").unwrap();
        roles.into_iter().find(|column| column.role == Role::Label).map(|column| column.name)
    }

    fn texts() -> ArrayRef {
        words(|row| format!("the review of item {row} is a long one"))
    }

    #[test]
    fn what_is_predicted_is_found_by_name() {
        let flag = || numbers(|row| row % 2);
        assert_eq!(label(&[("is_fraud", flag()), ("amount", reals(1)), ("age", reals(2))]).as_deref(), Some("is_fraud"));
        assert_eq!(
            label(&[("species_code", numbers(|row| row % 3 + 4)), ("amount", reals(1)), ("age", reals(2))]).as_deref(),
            Some("species_code")
        );
        assert_eq!(label(&[("churn", flag()), ("visits", numbers(|row| row % 7)), ("age", reals(2))]).as_deref(), Some("churn"));
        // Numbers are no classes, and of two such columns either could be it.
        assert_eq!(label(&[("income", reals(3)), ("age", reals(2))]), None);
        assert_eq!(label(&[("is_new", flag()), ("is_fraud", flag()), ("age", reals(2))]), None);
    }

    #[test]
    fn the_only_column_of_classes_beside_content_is_the_label() {
        let kinds = || words(|row| ["sport", "world", "business"][row % 3].to_owned());
        assert_eq!(label(&[("kind", kinds()), ("body", texts())]).as_deref(), Some("kind"));
        assert_eq!(label(&[("stars", numbers(|row| row % 5 + 1)), ("body", texts())]).as_deref(), Some("stars"));
        for name in ["split", "status", "lang"] {
            assert_eq!(label(&[(name, kinds()), ("body", texts())]), None);
        }
        assert_eq!(label(&[("kind", kinds()), ("tone", numbers(|row| row % 4)), ("body", texts()), ("words", reals(1))]), None);
        assert_eq!(label(&[("kind", kinds()), ("prompt", texts()), ("response", texts())]), None);
    }

    #[test]
    fn the_last_column_of_a_table_counts_classes() {
        let classes = || numbers(|row| row % 3);
        assert_eq!(label(&[("a", reals(1)), ("b", reals(2)), ("kind", classes())]).as_deref(), Some("kind"));
        assert_eq!(label(&[("a", reals(1)), ("kind", classes()), ("b", reals(2))]), None);
        // With a gap, beside another such column, and where most values differ.
        assert_eq!(label(&[("a", reals(1)), ("kind", numbers(|row| row % 3 * 2))]), None);
        assert_eq!(label(&[("rooms", numbers(|row| row % 4)), ("a", reals(1)), ("kind", classes())]), None);
        assert_eq!(label(&[("a", reals(1)), ("rank", numbers(|row| row))]), None);
        // Names of classes that end a table are its labels whatever their column is called.
        let ends = || words(|row| ["paid", "late"][row % 2].to_owned());
        assert_eq!(label(&[("a", reals(1)), ("status", ends())]).as_deref(), Some("status"));
        let flags: ArrayRef = Arc::new((0..60).map(|row| Some(row % 2 == 0)).collect::<BooleanArray>());
        assert_eq!(label(&[("a", reals(1)), ("flag", flags)]).as_deref(), Some("flag"));
    }
}
