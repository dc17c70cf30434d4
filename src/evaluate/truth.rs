//! Which rows are bad, as a file says.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::Joined;
use super::answer::Answer;
use crate::data::read::{Options, open};
use crate::error::{Error, Place, Result};

/// Which columns of a truth file say what; what is not named is found by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// Column that holds the data's ids; by default the one that is named like the data's id column.
    pub on: Option<String>,
    /// Boolean columns; a row is bad where any is true. By default all boolean columns `is_…` but `is_cover`.
    pub bad: Vec<String>,
    /// Column that names the attack; by default `attack`, if it is there.
    pub attack: Option<String>,
}

/// The bad rows of a data set.
#[derive(Debug, Clone)]
pub struct Truth {
    source: String,
    /// The data's ids; without them rows go by position.
    ids: Option<Vec<String>>,
    /// One entry a row of the truth. `None`: the file lists bad rows alone.
    bad: Option<Vec<bool>>,
    /// Index into `attacks`.
    attack: Vec<Option<u32>>,
    /// Names of the attacks.
    pub(super) attacks: Vec<String>,
}

impl Truth {
    /// Reads a truth file of any format that data may have. One with ids and no boolean column lists bad rows alone: all others are good.
    /// `id` is the name of the data's id column.
    ///
    /// # Errors
    /// [`Error::Input`] where it cannot be read, a named column is missing or has another type, or an id is null.
    pub fn read(input: &str, flags: &Flags, id: Option<&str>) -> Result<Self> {
        let opened = open(&[input.to_owned()], &Options::default())?;
        let batches = opened.scan(None)?.collect::<Result<Vec<RecordBatch>>>()?;
        let all = concat_batches(&opened.schema(), &batches).map_err(|e| Error::input(Place::source(input), e.to_string()))?;
        let named = |name: &str| -> Result<&ArrayRef> {
            let columns: Vec<&str> = all.schema_ref().fields().iter().map(|f| f.name().as_str()).collect();
            all.column_by_name(name).ok_or_else(|| {
                Error::input(Place::source(input).column(name), "there is no such column")
                    .with_help(format!("The columns are: {}.", columns.join(", ")))
            })
        };
        let on = match &flags.on {
            Some(on) => Some(named(on)?),
            None => id.and_then(|id| all.column_by_name(id)),
        };
        let missing = |row: usize| Error::input(Place::source(input).row(row as u64), "the id is null");
        let keys = on.map(|column| ids(column)?.into_iter().enumerate().map(|(row, id)| id.ok_or_else(|| missing(row))).collect());
        let ids: Option<Vec<String>> = keys.transpose()?;
        let bad = flagged(&all, flags, input, &named)?;
        if bad.is_none() && ids.is_none() {
            let help = "Name them with --bad, or the column of ids with --on for a file that lists bad rows alone.";
            return Err(Error::input(Place::source(input), "no boolean column is_… says which rows are bad").with_help(help));
        }
        let (attack, attacks) = match &flags.attack {
            Some(name) => numbered(named(name)?)?,
            None => all.column_by_name("attack").map(numbered).transpose()?.unwrap_or_else(|| (vec![None; all.num_rows()], Vec::new())),
        };
        Ok(Self { source: input.to_owned(), ids, bad, attack, attacks })
    }

    fn fail(&self, why: String, help: &str) -> Error {
        Error::input(Place::source(&self.source), why).with_help(help)
    }

    /// Finds the rows of an answer.
    pub(super) fn join(&self, answer: &Answer) -> Result<Joined> {
        match &self.ids {
            None => self.by_position(answer),
            Some(ids) => {
                let mut index: HashMap<&str, usize> = HashMap::with_capacity(ids.len());
                for (row, id) in ids.iter().enumerate() {
                    if index.insert(id, row).is_some() {
                        return Err(self.fail(format!("the id '{id}' comes twice"), "Each row of the truth needs an id of its own."));
                    }
                }
                if answer.ids().is_empty() { self.by_listed_id(answer, &index) } else { self.by_id(answer, &index) }
            }
        }
    }

    fn by_position(&self, answer: &Answer) -> Result<Joined> {
        let bad = self.bad.clone().unwrap_or_default();
        if bad.len() as u64 != answer.data_rows() {
            let why = format!("it has {} rows, the data {}", bad.len(), answer.data_rows());
            return Err(self.fail(why, "Name the column that holds the data's ids with --on."));
        }
        let listed = answer.listed().iter().map(|l| usize::try_from(l.row).ok().filter(|&row| row < bad.len())).collect();
        Ok(Joined { places: (0..bad.len()).collect(), attack: self.attack.clone(), bad, listed })
    }

    /// By the ids of all rows, which come with the scores.
    fn by_id(&self, answer: &Answer, index: &HashMap<&str, usize>) -> Result<Joined> {
        let mut joined = Joined { bad: Vec::new(), attack: Vec::new(), places: Vec::new(), listed: Vec::new() };
        let mut at = HashMap::new();
        let mut met = vec![false; index.len()];
        for (place, id) in answer.ids().iter().enumerate() {
            let row = id.as_deref().and_then(|id| index.get(id).copied());
            let bad = match (&self.bad, row) {
                (Some(bad), Some(row)) => bad[row],
                (Some(_), None) => continue,
                (None, row) => row.is_some(),
            };
            if let Some(row) = row {
                met[row] = true;
            }
            at.insert(place as u64, joined.bad.len());
            joined.bad.push(bad);
            joined.attack.push(row.and_then(|row| self.attack[row]));
            joined.places.push(place);
        }
        let absent = met.iter().filter(|m| !**m).count();
        if absent > 0 {
            let why = format!("{absent} of {} ids are not in the data", met.len());
            return Err(self.fail(why, "The truth must belong to the data that was scanned; see also --on."));
        }
        joined.listed = answer.listed().iter().map(|l| at.get(&l.row).copied()).collect();
        Ok(joined)
    }

    /// By the ids of the listed rows, the only ones that a report without scores has.
    fn by_listed_id(&self, answer: &Answer, index: &HashMap<&str, usize>) -> Result<Joined> {
        let rows = usize::try_from(answer.data_rows()).unwrap_or(usize::MAX);
        if answer.id().is_none() {
            return Err(self.fail("the scanned data has no id column".to_owned(), "Scan again with --id, or leave --on out."));
        }
        if self.bad.as_ref().is_some_and(|bad| bad.len() != rows) || index.len() > rows {
            let why = format!("it has {} rows, the data {rows}, and the report does not hold the ids of all rows", index.len());
            return Err(self.fail(why, "Scan again with --scores."));
        }
        let mut bad = self.bad.clone().unwrap_or_else(|| vec![true; index.len()]);
        // Rows that a list of bad ids does not name are good; which place they take does not matter.
        let mut next = bad.len();
        bad.resize(rows, false);
        let mut attack = self.attack.clone();
        attack.resize(rows, None);
        let mut listed = Vec::new();
        for row in answer.listed() {
            let found = row.id.as_deref().and_then(|id| index.get(id).copied());
            if found.is_none() && self.bad.is_some() {
                let id = row.id.as_deref().unwrap_or("null");
                return Err(self.fail(format!("the listed id '{id}' is not in it"), "The truth must belong to the data that was scanned."));
            }
            listed.push(found.or_else(|| {
                next += 1;
                (next <= rows).then_some(next - 1)
            }));
        }
        Ok(Joined { bad, attack, places: Vec::new(), listed })
    }
}

/// Which rows any flag marks; `None` where the file has no flags.
fn flagged<'a>(all: &RecordBatch, flags: &Flags, input: &str, named: &dyn Fn(&str) -> Result<&'a ArrayRef>) -> Result<Option<Vec<bool>>> {
    let fields = all.schema_ref().fields();
    let by_name = fields.iter().filter(|f| f.data_type() == &DataType::Boolean && f.name().starts_with("is_") && f.name() != "is_cover");
    let names: Vec<String> = if flags.bad.is_empty() { by_name.map(|f| f.name().clone()).collect() } else { flags.bad.clone() };
    let mut bad = vec![false; all.num_rows()];
    for name in &names {
        let marks = named(name)?.as_boolean_opt();
        let marks = marks.ok_or_else(|| Error::input(Place::source(input).column(name), "a boolean column is needed"))?;
        for (bad, mark) in bad.iter_mut().zip(marks) {
            *bad |= mark == Some(true);
        }
    }
    Ok((!names.is_empty()).then_some(bad))
}

/// Each row's attack by number, and their names in order of appearance.
fn numbered(column: &ArrayRef) -> Result<(Vec<Option<u32>>, Vec<String>)> {
    let mut names: Vec<String> = Vec::new();
    let mut numbers: HashMap<String, u32> = HashMap::new();
    let rows = ids(column)?.into_iter().map(|name| {
        let name = name?;
        Some(*numbers.entry(name).or_insert_with_key(|name| {
            names.push(name.clone());
            (names.len() - 1) as u32
        }))
    });
    let rows = rows.collect();
    Ok((rows, names))
}

/// The values of a column as texts; `None` for a null.
pub(super) fn ids(column: &ArrayRef) -> Result<Vec<Option<String>>> {
    let options = FormatOptions::default();
    let fail = |e: arrow::error::ArrowError| Error::input(Place::source("ids"), e.to_string());
    let formatter = ArrayFormatter::try_new(column, &options).map_err(fail)?;
    (0..column.len())
        .map(|row| if column.is_null(row) { Ok(None) } else { formatter.value(row).try_to_string().map(Some).map_err(fail) })
        .collect()
}
