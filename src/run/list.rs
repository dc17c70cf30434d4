//! Listed rows: who is listed by whom, why, in row order, as Arrow batches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use arrow::array::{Array, ArrayRef, Float64Array, LargeStringArray, ListBuilder, StringArray, StringBuilder, UInt32Array, UInt64Array};
use arrow::compute::{take, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use arrow::record_batch::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::data::{Batch, File, Role, Schema, strings as texts_of};
use crate::error::{Error, Place, Result};
use crate::finding::{Family, Finding, Standing, Tier};
use crate::fold::{AnyModel, Unit};
use crate::policy::{Fusion, Listing, Surprisal, chance, cubic_mean, fusion};

use super::Passenger;
use super::facts::month;
use super::feed::Feed;
use super::known::{Known, Lists, listing, models_of};
use super::outcome::{Progress, Sink};
use super::places::Places;
use super::shared::{each_block, guarded, lock};

/// The columns of `rows.parquet`; `id` is there when the data has an id column, with its type.
#[must_use]
pub fn rows_schema(id: Option<&DataType>) -> SchemaRef {
    let list = || DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
    let mut fields = vec![Field::new("row", DataType::UInt64, false), Field::new("file", DataType::Utf8, false)];
    fields.extend(id.map(|id| Field::new("id", id.clone(), true)));
    fields.extend([
        Field::new("label", DataType::Utf8, true),
        Field::new("families", list(), false),
        Field::new("codes", list(), false),
        Field::new("causes", list(), false),
        Field::new("tier", DataType::Utf8, false),
        Field::new("q", DataType::Float64, false),
        Field::new("reason", DataType::Utf8, false),
        Field::new("evidence", DataType::Utf8, false),
    ]);
    Arc::new(ArrowSchema::new(fields))
}

/// What was listed, counted.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) rows: u64,
    pub(super) by_unit: BTreeMap<usize, u64>,
    pub(super) by_family: BTreeMap<(Family, Tier), u64>,
    /// As the two above, without rows that are listed for accepted causes alone.
    pub(super) open_by_unit: BTreeMap<usize, u64>,
    pub(super) open_by_family: BTreeMap<Family, u64>,
    pub(super) failed: BTreeMap<usize, String>,
    pub(super) places: Places,
}

/// What lists the rows of a decided cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Claimed {
    tier: Tier,
    q: f64,
    fingerprint: String,
    /// Whether the cause counts: nobody accepted it.
    open: bool,
}

impl From<&Finding> for Claimed {
    fn from(finding: &Finding) -> Self {
        let open = finding.standing == Standing::Open;
        Self { tier: finding.tier, q: finding.q, fingerprint: finding.fingerprint.clone(), open }
    }
}

/// What a lister elsewhere is told.
#[derive(Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) known: Known,
    pub(super) lists: Lists,
    /// How rare scores are, by the units' codes.
    pub(super) rarity: Vec<(String, Surprisal)>,
    pub(super) files: Vec<File>,
    /// Whether the scores of all rows are wanted.
    pub(super) scores: bool,
    /// Whether the listed rows are wanted as the data has them.
    pub(super) content: bool,
}

/// One block's part.
#[derive(Default)]
struct Part {
    rows: Option<RecordBatch>,
    /// The listed rows as the data has them.
    content: Option<RecordBatch>,
    scores: Option<RecordBatch>,
    listed: Listed,
}

/// A reason to list one row.
struct Entry<'a> {
    unit: usize,
    /// Fingerprint of the cause that the row belongs to.
    cause: Option<&'a str>,
    tier: Tier,
    q: f64,
    /// Whether it counts towards the verdict.
    open: bool,
}

/// One detector's view of a block.
struct Judged {
    unit: usize,
    scores: Vec<Option<f64>>,
    members: Vec<Option<u32>>,
}

pub(super) struct Lister<'a> {
    schema: &'a Schema,
    files: Vec<(u64, &'a str)>,
    passengers: &'a [Passenger],
    listings: &'a BTreeMap<usize, Listing>,
    /// Of detectors whose family is fused by it.
    rarity: &'a BTreeMap<usize, Surprisal>,
    claims: &'a BTreeMap<usize, Vec<Option<Claimed>>>,
    scores: bool,
    content: bool,
    /// Units that may list rows, or whose scores are wanted.
    judges: Vec<usize>,
}

impl<'a> Lister<'a> {
    pub(super) fn new(
        schema: &'a Schema,
        files: &'a [File],
        passengers: &'a [Passenger],
        listings: &'a BTreeMap<usize, Listing>,
        rarity: &'a BTreeMap<usize, Surprisal>,
        claims: &'a BTreeMap<usize, Vec<Option<Claimed>>>,
        (scores, content): (bool, bool),
    ) -> Self {
        let mut first = 0;
        let files = files.iter().map(|file| {
            let start = first;
            first += file.rows;
            (start, file.name.as_str())
        });
        // A detector without a claim has no members, and mining rows again costs as much as a scan.
        let judges = if scores { listings.keys().copied().collect() } else { listing(listings, claims) };
        Self { schema, files: files.collect(), passengers, listings, rarity, claims, scores, content, judges }
    }

    /// Whether anything is listed or wanted.
    pub(super) fn has_work(&self) -> bool {
        self.scores || self.claims.values().flatten().any(Option::is_some) || self.listings.values().any(Listing::reads_scores)
    }

    /// Units that may list rows, or whose scores are wanted.
    pub(super) fn judges(&self) -> &[usize] {
        &self.judges
    }

    pub(super) fn schema(&self) -> &Schema {
        self.schema
    }

    /// What another is told to list as this one does.
    pub(super) fn told(&self, files: Vec<File>) -> Result<Told> {
        let rarity = self.rarity.iter().map(|(&i, rare)| (self.passengers[i].code().to_owned(), rare.clone()));
        let known = Known::new(self.schema, &models_of(self.passengers, &self.judges))?;
        let lists = Lists::new(self.passengers, &self.judges, self.listings, self.claims);
        Ok(Told { known, lists, rarity: rarity.collect(), files, scores: self.scores, content: self.content })
    }

    /// Tells the sink the columns, and no row.
    pub(super) fn nothing(&self, sink: &mut dyn Sink) -> Result<Listed> {
        sink.rows(&RecordBatch::new_empty(rows_schema(self.id_type().as_ref())))?;
        Ok(Listed::default())
    }

    fn id_type(&self) -> Option<DataType> {
        self.schema.first(Role::Id).map(|c| self.schema.arrow.field(c).data_type().clone())
    }

    fn file_of(&self, row: u64) -> &'a str {
        let after = self.files.partition_point(|(start, _)| *start <= row);
        self.files.get(after.saturating_sub(1)).map_or("input", |(_, name)| name)
    }

    /// Judges every row once more and hands listed rows, and scores if wanted, to the sink in row order.
    pub(super) fn run(
        &self,
        pool: &rayon::ThreadPool,
        workers: usize,
        feed: Feed<'_>,
        derive: &[(&dyn Unit, AnyModel)],
        progress: &dyn Progress,
        sink: &mut (dyn Sink + Send),
    ) -> Result<Listed> {
        let mut listed = self.nothing(sink)?;
        let waiting = Mutex::new((0u64, BTreeMap::<u64, Part>::new(), &mut listed, sink));
        each_block(pool, workers, feed, derive, progress, &|_, index, block| {
            let part = self.block(block)?;
            let mut waiting = lock(&waiting);
            let (next, parts, listed, sink) = &mut *waiting;
            parts.insert(index, part);
            while let Some(part) = parts.remove(next) {
                *next += 1;
                if let Some(rows) = &part.rows {
                    sink.rows(rows)?;
                }
                if let Some(content) = &part.content {
                    sink.content(self.schema, content)?;
                }
                if let Some(scores) = &part.scores {
                    sink.scores(scores)?;
                }
                listed.add(part.listed);
            }
            Ok(())
        })?;
        drop(waiting);
        Ok(listed)
    }

    fn judge(&self, block: &Batch, failed: &mut BTreeMap<usize, String>) -> Vec<Judged> {
        let mut judged = Vec::new();
        for &i in &self.judges {
            let Some(listing) = self.listings.get(&i) else { continue };
            let (unit, Some(model)) = (&*self.passengers[i].unit, self.passengers[i].model()) else { continue };
            // Mining a row again costs as much as a scan: a score that neither lists the row nor is written is not asked for.
            let scored = self.scores || listing.reads_scores();
            let (mut scores, mut members) = (vec![None; block.rows()], vec![None; block.rows()]);
            let result = guarded(unit.info().code, || {
                if scored {
                    unit.score(model, block, &mut scores)?;
                }
                unit.members(model, block, &mut members)
            });
            match result {
                Ok(()) => judged.push(Judged { unit: i, scores, members }),
                Err(error) => {
                    failed.insert(i, error.to_string());
                }
            }
        }
        judged
    }

    /// Scores of the rows of a block.
    pub(super) fn rank(&self, block: &Batch) -> Result<RecordBatch> {
        let mut failed = BTreeMap::new();
        let judged = self.judge(block, &mut failed);
        match failed.into_iter().next() {
            Some((unit, reason)) => Err(Error::Detector { code: self.passengers[unit].code(), reason }),
            None => self.scores(block, &judged),
        }
    }

    fn entries(&self, judged: &[Judged], row: usize) -> Vec<Entry<'_>> {
        let mut entries = Vec::new();
        for j in judged {
            let member = j.members[row].and_then(|g| self.claims.get(&j.unit)?.get(g as usize)?.as_ref());
            let own = self.listings.get(&j.unit).and_then(|l| l.q(j.scores[row]));
            let open = own.is_some() || member.is_some_and(|claim| claim.open);
            let claim = member.map(|f| (f.tier, f.q)).into_iter().chain(own).max_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
            let cause = member.map(|f| f.fingerprint.as_str());
            entries.extend(claim.map(|(tier, q)| Entry { unit: j.unit, cause, tier, q, open }));
        }
        entries.sort_by(|a, b| b.tier.cmp(&a.tier).then(a.q.total_cmp(&b.q)).then(a.unit.cmp(&b.unit)));
        entries
    }

    /// The listed rows of a block, with the columns of [`rows_schema`]; an error where a detector fails.
    pub(super) fn listed_rows(&self, block: &Batch) -> Result<Option<RecordBatch>> {
        let part = self.block(block)?;
        match part.listed.failed.iter().next() {
            Some((&unit, why)) => Err(Error::Detector { code: self.passengers[unit].code(), reason: why.clone() }),
            None => Ok(part.rows),
        }
    }

    fn block(&self, block: &Batch) -> Result<Part> {
        let mut part = Part::default();
        let judged = self.judge(block, &mut part.listed.failed);
        let listed: Vec<(usize, Vec<Entry<'_>>)> =
            (0..block.rows()).map(|row| (row, self.entries(&judged, row))).filter(|(_, entries)| !entries.is_empty()).collect();
        if !listed.is_empty() {
            part.rows = Some(self.rows(block, &listed, &mut part.listed)?);
            if self.content {
                let indices: UInt32Array = listed.iter().map(|(row, _)| *row as u32).collect();
                part.content = Some(take_record_batch(block.record(), &indices).map_err(|e| unwritable(&e))?);
            }
        }
        if self.scores {
            part.scores = Some(self.scores(block, &judged)?);
        }
        Ok(part)
    }

    fn rows(&self, block: &Batch, listed: &[(usize, Vec<Entry<'_>>)], counts: &mut Listed) -> Result<RecordBatch> {
        let indices: UInt32Array = listed.iter().map(|(row, _)| *row as u32).collect();
        let strings = || ListBuilder::new(StringBuilder::new());
        let (mut families, mut codes, mut causes) = (strings(), strings(), strings());
        let (mut tiers, mut qs, mut reasons, mut evidence) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let source = self.schema.first(Role::Source);
        let times = self.schema.first(Role::Time).map(|c| texts_of(block.record().column(c)));
        for (row, entries) in listed {
            counts.rows += 1;
            counts.places.labels.push(block.shown_label(*row).unwrap_or_else(|| "null".to_owned()));
            counts.places.files.push(self.file_of(block.row_position(*row)).to_owned());
            counts.places.sources.extend(source.map(|c| block.display(c, *row)));
            let month = |times: &LargeStringArray| month(times.is_valid(*row).then(|| times.value(*row))).to_owned();
            counts.places.months.extend(times.as_ref().map(month));
            let (mut seen, mut open) = (BTreeMap::<Family, Tier>::new(), BTreeSet::new());
            let mut details = serde_json::Map::new();
            let mut sentences = Vec::new();
            for entry in entries {
                let unit = &*self.passengers[entry.unit].unit;
                let tier = seen.entry(unit.info().family).or_insert(entry.tier);
                *tier = (*tier).max(entry.tier);
                *counts.by_unit.entry(entry.unit).or_default() += 1;
                if entry.open {
                    *counts.open_by_unit.entry(entry.unit).or_default() += 1;
                    open.insert(unit.info().family);
                }
                codes.values().append_value(unit.info().code);
                entry.cause.into_iter().for_each(|cause| causes.values().append_value(cause));
                let Some(model) = self.passengers[entry.unit].model() else { continue };
                match guarded(unit.info().code, || unit.explain(model, block, *row)) {
                    Ok(evidence) => {
                        sentences.push(evidence.reason);
                        details.insert(unit.info().code.to_owned(), serde_json::Value::Object(evidence.detail));
                    }
                    Err(error) => {
                        counts.failed.insert(entry.unit, error.to_string());
                    }
                }
            }
            for (family, tier) in &seen {
                families.values().append_value(family.name());
                *counts.by_family.entry((*family, *tier)).or_default() += 1;
            }
            for family in open {
                *counts.open_by_family.entry(family).or_default() += 1;
            }
            families.append(true);
            codes.append(true);
            causes.append(true);
            tiers.push(entries.first().map_or(Tier::Suspect, |e| e.tier).name());
            qs.push(entries.first().map_or(1.0, |e| e.q));
            reasons.push(sentences.join("; "));
            evidence.push(serde_json::Value::Object(details).to_string());
        }
        let positions: UInt64Array = listed.iter().map(|(row, _)| Some(block.row_position(*row))).collect();
        let files: StringArray = listed.iter().map(|(row, _)| Some(self.file_of(block.row_position(*row)))).collect();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(positions), Arc::new(files)];
        if let Some(id) = self.schema.first(Role::Id) {
            columns.push(take(block.record().column(id), &indices, None).map_err(|e| unwritable(&e))?);
        }
        columns.extend::<[ArrayRef; 8]>([
            Arc::new(listed.iter().map(|(row, _)| block.shown_label(*row)).collect::<StringArray>()),
            Arc::new(families.finish()),
            Arc::new(codes.finish()),
            Arc::new(causes.finish()),
            Arc::new(StringArray::from(tiers)),
            Arc::new(Float64Array::from(qs)),
            Arc::new(StringArray::from(reasons)),
            Arc::new(StringArray::from(evidence)),
        ]);
        RecordBatch::try_new(rows_schema(self.id_type().as_ref()), columns).map_err(|e| unwritable(&e))
    }

    /// A family's score of a row, as [`fusion`] says.
    fn of_family(&self, judged: &[Judged], family: Family, row: usize) -> Option<f64> {
        let scores = judged.iter().filter(|j| self.passengers[j.unit].unit.info().family == family);
        let scores = scores.filter_map(|j| Some((j.unit, j.scores[row]?)));
        match fusion(family) {
            Fusion::Largest => scores.map(|(_, score)| squash(score)).reduce(f64::max),
            Fusion::Surprisal => {
                // Alone, a detector's whole order counts.
                let from = |unit: usize| self.passengers[unit].unit.info().fused.map(|from| if self.rarity.len() > 1 { from } else { 0.0 });
                let beyond = |(unit, score)| Some((self.rarity.get(&unit)?.of(score) - from(unit)?).max(0.0));
                cubic_mean(scores.filter_map(beyond)).map(|surprisal| squash(chance(surprisal)))
            }
        }
    }

    /// Scores of every row: a column a family; a column a detector, as it scored; and the largest of the families'.
    fn scores(&self, block: &Batch, judged: &[Judged]) -> Result<RecordBatch> {
        let rows = block.rows();
        let mut fields = vec![Field::new("row", DataType::UInt64, false)];
        let positions: UInt64Array = (0..rows).map(|row| Some(block.row_position(row))).collect();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(positions)];
        if let (Some(id), Some(kind)) = (self.schema.first(Role::Id), self.id_type()) {
            fields.push(Field::new("id", kind, true));
            columns.push(Arc::clone(block.record().column(id)));
        }
        let mut push = |name: &str, values: Vec<Option<f64>>| {
            fields.push(Field::new(name, DataType::Float64, true));
            columns.push(Arc::new(Float64Array::from(values)));
        };
        let families: BTreeSet<Family> = self.listings.keys().map(|&i| self.passengers[i].unit.info().family).collect();
        for &family in &families {
            push(family.name(), (0..rows).map(|row| self.of_family(judged, family, row)).collect());
        }
        for &i in self.listings.keys() {
            let scores = judged.iter().find(|j| j.unit == i).map_or_else(|| vec![None; rows], |j| j.scores.clone());
            push(self.passengers[i].unit.info().code, scores);
        }
        let combined = (0..rows).map(|row| families.iter().filter_map(|f| self.of_family(judged, *f, row)).reduce(f64::max)).collect();
        push("combined", combined);
        RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns).map_err(|e| unwritable(&e))
    }
}

/// Brings a score of 0 or more, on any scale, to 0..1.
fn squash(score: f64) -> f64 {
    if score <= 0.0 { 0.0 } else { score / (1.0 + score) }
}

fn unwritable(error: &arrow::error::ArrowError) -> Error {
    Error::input(Place::source("listed rows"), format!("cannot be put into a table: {error}"))
}

impl Listed {
    pub(super) fn add(&mut self, other: Self) {
        self.rows += other.rows;
        sum(&mut self.by_unit, other.by_unit);
        sum(&mut self.by_family, other.by_family);
        sum(&mut self.open_by_unit, other.open_by_unit);
        sum(&mut self.open_by_family, other.open_by_family);
        self.failed.extend(other.failed);
        self.places.extend(other.places);
    }
}

/// Adds counts to counts.
fn sum<K: Ord>(into: &mut BTreeMap<K, u64>, from: BTreeMap<K, u64>) {
    for (key, rows) in from {
        *into.entry(key).or_default() += rows;
    }
}
