//! The look before the scans: roles from the first rows, classes from the whole label column.

use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::data::answer::may_answer;
use crate::data::pair::PairColumns;
use crate::data::{Choices, ColumnRole, Key, Label, LabelValues, MOST_CLASSES, Role, Schema, Source, infer};
use crate::error::{Error, Place, Result};

use super::answers::read_answers;
use super::look::{Counts, Values, look};
use super::outcome::Progress;
use super::remote::Far;

/// Rows that roles are inferred from.
const HEAD: usize = 10_000;

/// Reads the head and the label column.
pub(super) fn profile(source: &dyn Source, choices: &Choices, key: Key, unit_bytes: usize, progress: &dyn Progress) -> Result<Schema> {
    let name = source.files()?.first().map_or_else(|| "input".to_owned(), |f| f.name.clone());
    let arrow = source.schema();
    let (head, whole) = head(source, progress)?;
    if head.num_rows() == 0 {
        return Err(Error::input(Place::source(name), "holds no rows")
            .with_help("Check that the file is the training set and was written to its end."));
    }
    let mut columns = infer(&arrow, &head, whole, choices, &name)?;
    let label_column = columns.iter().position(|c| c.role == Role::Label);
    progress.scan(0, "reading labels", source.rows_hint());
    let mut known = whole.then(|| head.num_rows() as u64);
    let mut label = None;
    if let Some(column) = label_column {
        let (read, rows) = read_label(source, column, &mut columns, choices.label.is_some(), &name, progress)?;
        (label, known) = (read, Some(rows));
        if label.is_none() && choices.label.is_none() {
            columns = with_answers(&arrow, &head, whole, choices, &name, columns, column)?;
        }
    }
    if let Some(column) = columns.iter().position(|c| c.role == Role::Response) {
        let pairs = pairs(&columns, column);
        let (read, rows) = read_answers(source, column, &columns[column].name, pairs.as_ref(), key, progress)?;
        (label, known) = (Some(read), Some(rows));
    }
    if choices.rejected.is_some() && !columns.iter().any(|c| c.role == Role::Response) {
        let why = "answers are turned down for others, and no column holds those: name it with --response, and leave --label out";
        return Err(Error::config("--rejected", why.to_owned()));
    }
    let rows = match known {
        Some(rows) => rows,
        None => count(source, None, progress)?,
    };
    let schema = Schema { arrow, columns, label, rows, key, unit_bytes };
    if !schema.has_content() && schema.first(Role::Probabilities).is_none() {
        return Err(Error::input(Place::source(name), "no column holds content to look at")
            .with_help("Name the columns with --text, --image, --embedding or --probs, or leave fewer out with --ignore."));
    }
    Ok(schema)
}

/// Where the pairs of a preference set are, whose chosen answers this column holds.
fn pairs(columns: &[ColumnRole], chosen: usize) -> Option<PairColumns> {
    let texts = (0..columns.len()).filter(|&column| columns[column].role == Role::Text).collect();
    let rejected = columns.iter().position(|column| column.role == Role::Rejected)?;
    Some(PairColumns { texts, chosen, rejected })
}

/// Roles where the column that is named like a label turned out to hold answers, if anything is left to be their prompts.
fn with_answers(
    arrow: &SchemaRef,
    head: &RecordBatch,
    whole: bool,
    choices: &Choices,
    file: &str,
    columns: Vec<ColumnRole>,
    column: usize,
) -> Result<Vec<ColumnRole>> {
    let texts = columns.iter().any(|c| c.role == Role::Text);
    if !texts || columns.iter().any(|c| c.role == Role::Response) || !may_answer(arrow.field(column).data_type()) {
        return Ok(columns);
    }
    let choices = Choices { response: Some(columns[column].name.clone()), ..choices.clone() };
    let mut columns = infer(arrow, head, whole, &choices, file)?;
    "named like a label, and its values are answers".clone_into(&mut columns[column].reason);
    Ok(columns)
}

fn head(source: &dyn Source, progress: &dyn Progress) -> Result<(RecordBatch, bool)> {
    if let Some(spread) = source.spread() {
        return Far::new(spread, progress).head(HEAD);
    }
    let (mut batches, mut rows) = (Vec::new(), 0);
    let mut whole = true;
    for batch in source.scan(None)? {
        let batch = batch?;
        if rows >= HEAD {
            whole = batch.num_rows() == 0 && whole;
            break;
        }
        let taken = batch.num_rows().min(HEAD - rows);
        whole &= taken == batch.num_rows();
        rows += taken;
        batches.push(batch.slice(0, taken));
    }
    let head = concat_batches(&source.schema(), &batches).map_err(|e| Error::input(Place::source("input"), e.to_string()))?;
    Ok((head, whole))
}

fn count(source: &dyn Source, known: Option<u64>, progress: &dyn Progress) -> Result<u64> {
    if let Some(rows) = known.or_else(|| source.rows_hint()) {
        return Ok(rows);
    }
    let mut rows = 0;
    for batch in source.scan(None)? {
        let read = batch?.num_rows() as u64;
        progress.rows(read);
        rows += read;
    }
    Ok(rows)
}

/// Counts the values of the label column. A column that turns out to be no class label keeps its reason.
fn read_label(
    source: &dyn Source,
    column: usize,
    columns: &mut [ColumnRole],
    given: bool,
    file: &str,
    progress: &dyn Progress,
) -> Result<(Option<Label>, u64)> {
    let Counts { of: counts, rows, nulls } = look(source, &[column], &Values, progress)?;
    let info = &mut columns[column];
    if counts.is_empty() {
        let place = Place::source(file).column(info.name.as_str());
        return Err(Error::input(place, format!("all {nulls} labels are null")).with_help("Name another column with --label."));
    }
    let labelled = rows - nulls;
    let (role, what) = match LabelValues::of(source.schema().field(column).data_type(), &counts, labelled) {
        LabelValues::Classes => return Ok((Some(Label::new(column, info.name.clone(), counts, nulls)), rows)),
        LabelValues::Numbers => (Role::Target, "numbers to predict, no classes"),
        LabelValues::Names => (Role::Ignored, "a target, not a class"),
    };
    let more = if counts.len() > MOST_CLASSES { "more than " } else { "" };
    let why = format!("{more}{} values in {labelled} rows: {what}", counts.len().min(MOST_CLASSES));
    let reason = if given { format!("given with --label: {why}") } else { why };
    *info = ColumnRole { role, reason, ..info.clone() };
    Ok((None, rows))
}
