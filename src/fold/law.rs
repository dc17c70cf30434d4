//! The laws of a fold, checked on rows: any split, any order of merging and any road over the wire give the same model
//! and the same judgement; no input makes a unit panic.

mod hostile;

use std::sync::Arc;

use arrow::array::Array;
use arrow::record_batch::RecordBatch;
use ndarray::Array2;

pub(crate) use hostile::{healthy, healthy_schema, hostile};

use super::{Derive, Detect, Envelope, Fold, Given, Law, Step, Wire};
use crate::data::{Batch, Choices, Key, Label, LabelValues, Role, Schema, infer, strings};
use crate::error::Result;

/// More scans than any unit of a test asks for.
const MOST_SCANS: usize = 32;
/// Names a question; the same on both ends of every road here.
const QUESTION: u64 = 7;

/// What a run would know of these rows: roles as inferred, `label` (by name, else none) with its classes.
pub(crate) fn schema(rows: &RecordBatch, label: Option<&str>) -> Arc<Schema> {
    schema_with(rows, &Choices { label: label.map(str::to_owned), ..Choices::default() })
}

/// As [`schema`], with roles that the user gave.
pub(crate) fn schema_with(rows: &RecordBatch, choices: &Choices) -> Arc<Schema> {
    let arrow = rows.schema();
    let mut columns = infer(&arrow, rows, true, choices, "test").unwrap();
    let label = columns.iter().position(|c| c.role == Role::Label);
    if choices.label.is_none() {
        // A test that names no label wants none, whatever the columns look like.
        columns.iter_mut().filter(|c| c.role == Role::Label).for_each(|c| c.role = Role::Ignored);
    }
    let label = label.filter(|_| choices.label.is_some()).and_then(|column| {
        let values = strings(rows.column(column));
        let mut counts = std::collections::BTreeMap::<String, u64>::new();
        values.iter().flatten().for_each(|value| *counts.entry(value.to_owned()).or_default() += 1);
        if LabelValues::of(rows.column(column).data_type(), &counts, rows.num_rows() as u64) == LabelValues::Numbers {
            columns[column].role = Role::Target;
            return None;
        }
        Some(Label::new(column, columns[column].name.clone(), counts, values.null_count() as u64))
    });
    Arc::new(Schema { arrow, columns, label, rows: rows.num_rows() as u64, key: Key::from_seed(1), unit_bytes: 32 << 20 })
}

/// The batches as consecutive blocks of one input.
pub(crate) fn blocks(schema: &Arc<Schema>, batches: &[RecordBatch]) -> Vec<Batch> {
    let mut first = 0;
    let block = |batch: &RecordBatch| {
        let block = Batch::new(Arc::clone(schema), batch.clone(), first);
        first += batch.num_rows() as u64;
        block
    };
    batches.iter().map(block).collect()
}

/// The model of a unit over these batches, gathered in one state.
pub(crate) fn model<F: Fold>(unit: &F, schema: &Arc<Schema>, given: &Given, batches: &[RecordBatch]) -> F::Model {
    fit(unit, schema, given, &blocks(schema, batches), &[]).unwrap()
}

/// As [`model`], over blocks that may have derived columns, and those of a reference.
fn fit<F: Fold>(unit: &F, schema: &Schema, given: &Given, blocks: &[Batch], reference: &[Batch]) -> Result<F::Model> {
    drive(unit, schema, given, |brief, of_reference| {
        let mut state = unit.open(brief);
        let blocks = if of_reference { reference } else { blocks };
        blocks.iter().try_for_each(|block| unit.observe(brief, &mut state, block))?;
        Ok((brief.clone(), state))
    })
}

/// Begins, scans until the unit is done; `scan` gathers the state for a brief, from the rows of the reference where that is
/// asked for.
fn drive<F: Fold>(
    unit: &F,
    schema: &Schema,
    given: &Given,
    mut scan: impl FnMut(&F::Brief, bool) -> Result<(F::Brief, F::State)>,
) -> Result<F::Model> {
    let mut step = unit.begin(schema, given)?;
    for _ in 0..MOST_SCANS {
        let (brief, of_reference) = match step {
            Step::Done(model) => return Ok(model),
            Step::Scan(brief) => (brief, false),
            Step::Reference(brief) => (brief, true),
        };
        let (brief, state) = scan(&brief, of_reference)?;
        step = unit.close(schema, given, brief, state)?;
    }
    panic!("{} asks for more than {MOST_SCANS} scans", unit.info().code);
}

/// A derived column of a block, by the model of its unit.
type Column = Box<dyn Fn(&Batch) -> Option<Array2<f32>>>;

/// Rows with everything that a unit may be given: roles, models of earlier units, derived columns.
pub(crate) struct Fixture {
    /// The rows.
    pub(crate) rows: RecordBatch,
    /// What a run knows of them.
    pub(crate) schema: Arc<Schema>,
    /// Models of earlier units.
    pub(crate) given: Given,
    columns: Vec<(&'static str, Column)>,
    /// Rows of a trusted reference; without them the reference has none.
    reference: Option<RecordBatch>,
}

impl Fixture {
    /// Rows with inferred roles.
    pub(crate) fn new(rows: RecordBatch, label: Option<&str>) -> Self {
        let schema = schema(&rows, label);
        Self::with_schema(rows, schema)
    }

    /// Rows of a schema that was made from other rows, or by hand.
    pub(crate) fn with_schema(rows: RecordBatch, schema: Arc<Schema>) -> Self {
        Self { rows, schema, given: Given::default(), columns: Vec::new(), reference: None }
    }

    /// With the rows of a reference, in the columns of the data.
    pub(crate) fn against(mut self, rows: RecordBatch) -> Self {
        self.reference = Some(rows);
        self
    }

    /// With another memory bound.
    pub(crate) fn unit_bytes(mut self, bytes: usize) -> Self {
        Arc::make_mut(&mut self.schema).unit_bytes = bytes;
        self
    }

    /// Runs a unit and gives its model to those that come after.
    pub(crate) fn after<F: Fold>(mut self, unit: &F) -> Self {
        let model = self.model(unit);
        self.given.insert(unit.info().code, Arc::new(model));
        self
    }

    /// As [`after`](Self::after), for a unit whose column others read.
    pub(crate) fn after_column<D: Derive + 'static>(mut self, unit: D) -> Self {
        let model = Arc::new(self.model(&unit));
        self.given.insert(unit.info().code, Arc::<D::Model>::clone(&model));
        self.columns.push((unit.info().code, Box::new(move |block| unit.column(&model, block).unwrap())));
        self
    }

    /// The rows cut at these positions, as blocks with their derived columns.
    pub(crate) fn cut(&self, sizes: impl IntoIterator<Item = usize>) -> Vec<Batch> {
        self.cut_rows(&self.rows, sizes)
    }

    fn cut_rows(&self, rows: &RecordBatch, sizes: impl IntoIterator<Item = usize>) -> Vec<Batch> {
        let (mut from, total) = (0, rows.num_rows());
        let mut batches = Vec::new();
        for size in sizes {
            let size = size.min(total - from);
            batches.push(rows.slice(from, size));
            from += size;
            if from == total {
                break;
            }
        }
        assert_eq!(from, total, "the sizes do not reach the last row");
        let blocks = blocks(&self.schema, &batches);
        for block in &blocks {
            for (code, column) in &self.columns {
                if let Some(values) = column(block) {
                    block.derive(code, values);
                }
            }
        }
        blocks
    }

    fn whole(&self) -> Vec<Batch> {
        self.cut([self.rows.num_rows()])
    }

    /// The rows of the reference in blocks of at most so many.
    fn reference(&self, largest: usize) -> Vec<Batch> {
        self.reference
            .as_ref()
            .map_or_else(Vec::new, |rows| self.cut_rows(rows, std::iter::repeat_n(largest.max(1), rows.num_rows().max(1))))
    }

    /// The unit's model, gathered in one state from one block.
    pub(crate) fn model<F: Fold>(&self, unit: &F) -> F::Model {
        fit(unit, &self.schema, &self.given, &self.whole(), &self.reference(usize::MAX)).unwrap()
    }

    /// The score of each row.
    pub(crate) fn scores<D: Detect>(&self, unit: &D, model: &D::Model) -> Vec<Option<f64>> {
        scores(unit, model, &self.whole()).unwrap()
    }

    /// The cause of each row.
    pub(crate) fn members<D: Detect>(&self, unit: &D, model: &D::Model) -> Vec<Option<u32>> {
        members(unit, model, &self.whole()).unwrap()
    }
}

fn scores<D: Detect>(unit: &D, model: &D::Model, blocks: &[Batch]) -> Result<Vec<Option<f64>>> {
    let mut all = Vec::new();
    for block in blocks {
        let mut out = vec![None; block.rows()];
        unit.score(model, block, &mut out)?;
        all.append(&mut out);
    }
    Ok(all)
}

fn members<D: Detect>(unit: &D, model: &D::Model, blocks: &[Batch]) -> Result<Vec<Option<u32>>> {
    let mut all = Vec::new();
    for block in blocks {
        let mut out = vec![None; block.rows()];
        unit.members(model, block, &mut out)?;
        all.append(&mut out);
    }
    Ok(all)
}

fn columns<D: Derive>(unit: &D, model: &D::Model, blocks: &[Batch]) -> Vec<Option<f64>> {
    let part =
        |block: &Batch| unit.column(model, block).unwrap().map(|c| c.iter().map(|v| Some(f64::from(*v)).filter(|v| !v.is_nan())).collect());
    blocks.iter().filter_map(part).collect::<Vec<Vec<_>>>().concat()
}

/// Numbers below a bound that depend on the seed alone.
fn draws(seed: u64) -> impl FnMut(usize) -> usize {
    let (key, mut at) = (Key::from_seed(seed), 0);
    move |below| {
        at += 1;
        (key.words(200, &[at]) % below.max(1) as u64) as usize
    }
}

/// One way to split the work.
struct Split {
    seed: u64,
    workers: usize,
    largest: usize,
    wired: bool,
}

/// The answers of a unit to one way of splitting, to be compared with those of another.
trait Answers<F: Fold> {
    fn of(unit: &F, model: &F::Model, fixture: &Fixture, blocks: &[Batch]) -> Self;
    fn compare(&self, other: &Self, law: Law, context: &str);
}

struct Judgement {
    scores: Vec<Option<f64>>,
    members: Vec<Option<u32>>,
    groups: usize,
}

struct Values(Vec<Option<f64>>);

fn compare_scores(found: &[Option<f64>], expected: &[Option<f64>], law: Law, context: &str) {
    let relative = match law {
        Law::Exact => 0.0,
        Law::Rounded { relative } => relative,
    };
    assert_eq!(found.len(), expected.len(), "{context}: number of scores");
    for (row, pair) in found.iter().zip(expected).enumerate() {
        let near = match pair {
            (None, None) => true,
            (Some(a), Some(b)) => a.to_bits() == b.to_bits() || (a - b).abs() <= relative * a.abs().max(b.abs()),
            _ => false,
        };
        assert!(near, "{context}, row {row}: {} is not {}", show(*pair.0), show(*pair.1));
    }
}

fn show(score: Option<f64>) -> String {
    score.map_or_else(|| "no score".to_owned(), |s| format!("{s:e}"))
}

impl<D: Detect> Answers<D> for Judgement {
    fn of(unit: &D, model: &D::Model, _: &Fixture, blocks: &[Batch]) -> Self {
        let (scores, members) = (scores(unit, model, blocks).unwrap(), members(unit, model, blocks).unwrap());
        let groups = unit.groups(model).len();
        assert!(members.iter().flatten().all(|g| (*g as usize) < groups), "a row belongs to a cause that is not there");
        assert!(scores.iter().flatten().all(|s| s.is_finite()), "a score is not finite");
        Self { scores, members, groups }
    }

    fn compare(&self, other: &Self, law: Law, context: &str) {
        compare_scores(&self.scores, &other.scores, law, context);
        assert_eq!(self.members, other.members, "{context}: members");
        assert_eq!(self.groups, other.groups, "{context}: causes");
    }
}

impl<D: Derive> Answers<D> for Values {
    fn of(unit: &D, model: &D::Model, _: &Fixture, blocks: &[Batch]) -> Self {
        Self(columns(unit, model, blocks))
    }

    fn compare(&self, other: &Self, law: Law, context: &str) {
        compare_scores(&self.0, &other.0, law, context);
    }
}

/// Sends something over the wire.
fn travel<F: Fold, T: Wire>(unit: &F, value: &T) -> T {
    let bytes = Envelope::pack(unit.info(), QUESTION, value).unwrap();
    assert!(Envelope::unpack::<T>(unit.info(), QUESTION + 1, &bytes).is_err(), "bytes of another question are refused");
    Envelope::unpack(unit.info(), QUESTION, &bytes).unwrap()
}

/// The model of a unit when its work is split among workers whose states merge in a random tree.
fn fit_split<F: Fold>(make: &impl Fn() -> F, fixture: &Fixture, blocks: &[Batch], split: &Split) -> F::Model {
    let mut draw = draws(split.seed);
    let unit = make();
    let reference = fixture.reference(split.largest);
    let model = drive(&unit, &fixture.schema, &fixture.given, |brief, of_reference| {
        let blocks = if of_reference { &reference } else { blocks };
        let brief = if split.wired { travel(&unit, brief) } else { brief.clone() };
        let worker = make();
        let mut states: Vec<F::State> = (0..split.workers).map(|_| worker.open(&brief)).collect();
        let mut order: Vec<usize> = (0..blocks.len()).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, draw(i + 1));
        }
        for i in order {
            worker.observe(&brief, &mut states[draw(split.workers)], &blocks[i])?;
        }
        if split.wired {
            states = states.iter().map(|state| travel(&unit, state)).collect();
        }
        while states.len() > 1 {
            let from = states.swap_remove(draw(states.len()));
            let into = draw(states.len());
            worker.merge(&brief, &mut states[into], from)?;
        }
        Ok((brief, states.remove(0)))
    });
    let model = model.unwrap();
    if split.wired { travel(&unit, &model) } else { model }
}

fn check_all<F: Fold, A: Answers<F>>(make: &impl Fn() -> F, fixture: &Fixture) {
    let unit = make();
    let (law, code, total) = (unit.info().law, unit.info().code, fixture.rows.num_rows());
    let whole = fixture.whole();
    let expected = fit(&unit, &fixture.schema, &fixture.given, &whole, &fixture.reference(usize::MAX)).unwrap();
    let answers = A::of(&unit, &expected, fixture, &whole);
    // One worker in order, then more workers, smaller blocks, more workers than blocks (empty states), and the wire.
    let splits = [
        Split { seed: 1, workers: 1, largest: total.div_ceil(3), wired: false },
        Split { seed: 2, workers: 3, largest: total.div_ceil(5), wired: false },
        Split { seed: 3, workers: 5, largest: total.div_ceil(40), wired: true },
        Split { seed: 4, workers: 4, largest: total, wired: false },
        Split { seed: 5, workers: 2, largest: 7, wired: true },
    ];
    for split in splits {
        let mut draw = draws(split.seed + 100);
        let mut sizes: Vec<usize> = std::iter::repeat_with(|| 1 + draw(split.largest)).take(total.max(1)).collect();
        // Blocks without rows change nothing.
        sizes.insert(0, 0);
        sizes.insert(sizes.len().min(2), 0);
        let blocks = fixture.cut(sizes);
        let context = format!("{code}, {} workers, blocks of up to {} rows, wired: {}", split.workers, split.largest, split.wired);
        let model = fit_split(make, fixture, &blocks, &split);
        if law == Law::Exact {
            let bytes = |model| postcard::to_stdvec(model).unwrap();
            assert!(bytes(&model) == bytes(&expected), "{context}: another model");
        }
        A::of(&unit, &model, fixture, &blocks).compare(&answers, law, &context);
    }
}

/// Checks the laws of a detector: one state over one block against random splits, orders and trees of merging, empty
/// states, blocks of few rows and of none, and the wire. The models must be equal in every byte where the law is
/// exact; scores, members and causes must be equal within the law. `make` builds the unit, anew for every worker.
pub(crate) fn check<D: Detect>(make: impl Fn() -> D, fixture: &Fixture) {
    check_all::<D, Judgement>(&make, fixture);
}

/// As [`check`], for a derived column.
pub(crate) fn check_derive<D: Derive>(make: impl Fn() -> D, fixture: &Fixture) {
    check_all::<D, Values>(&make, fixture);
}

/// Runs a detector over every [`hostile`] input alone and judges healthy rows by what it learnt, and the other way
/// round. Errors are allowed, panics are not, and no score may be NaN or infinite. `prepare` adds what the unit comes
/// after ([`Fixture::after`], [`Fixture::after_column`]).
pub(crate) fn survives<D: Detect>(make: impl Fn() -> D, prepare: impl Fn(Fixture) -> Fixture) {
    let fixture = |rows: RecordBatch| {
        let mut schema = healthy_schema();
        Arc::make_mut(&mut schema).rows = rows.num_rows() as u64;
        prepare(Fixture::with_schema(rows, schema))
    };
    let healthy = fixture(healthy());
    for (name, rows) in hostile() {
        let hostile = fixture(rows);
        for (learnt, judged) in [(&hostile, &hostile), (&hostile, &healthy), (&healthy, &hostile)] {
            let unit = make();
            let Ok(model) = fit(&unit, &learnt.schema, &learnt.given, &learnt.whole(), &learnt.reference(usize::MAX)) else { continue };
            let groups = unit.groups(&model);
            assert!(groups.iter().all(|g| (0.0..=1.0).contains(&g.p)), "{name}: a p-value is none");
            unit.notes(&model);
            for block in judged.whole() {
                let blocks = std::slice::from_ref(&block);
                let (Ok(scores), Ok(members)) = (scores(&unit, &model, blocks), members(&unit, &model, blocks)) else { continue };
                assert!(scores.iter().flatten().all(|s| s.is_finite()), "{name}: a score is not finite");
                assert!(members.iter().flatten().all(|g| (*g as usize) < groups.len()), "{name}: a cause that is not there");
                for row in 0..block.rows() {
                    // Only panics matter here: an error is an answer.
                    drop(unit.explain(&model, &block, row));
                }
            }
        }
    }
}

/// As [`survives`], for a derived column.
pub(crate) fn survives_derive<D: Derive>(make: impl Fn() -> D, prepare: impl Fn(Fixture) -> Fixture) {
    for (name, rows) in hostile() {
        let mut schema = healthy_schema();
        Arc::make_mut(&mut schema).rows = rows.num_rows() as u64;
        let fixture = prepare(Fixture::with_schema(rows, schema));
        let unit = make();
        let Ok(model) = fit(&unit, &fixture.schema, &fixture.given, &fixture.whole(), &fixture.reference(usize::MAX)) else { continue };
        for block in fixture.whole() {
            let Ok(Some(column)) = unit.column(&model, &block) else { continue };
            assert_eq!(column.nrows(), block.rows(), "{name}: a column of another height");
        }
    }
}

mod tests {
    use super::*;
    use crate::derive::{Sample, SampleModel};
    use crate::finding::{Family, Tier};
    use crate::fold::{Claim, Info};

    /// Counts rows by blocks, so that its column depends on how the rows were cut; its merge forgets half where asked to.
    struct Flawed {
        counts_blocks: bool,
        forgets: bool,
    }

    static FLAWED: Info = Info {
        code: "derive.flawed",
        family: Family::Derived,
        summary: "",
        needs: &[],
        after: &[],
        reads: &[],
        law: Law::Exact,
        version: 1,
        claim: Claim::Rank,
        fused: None,
        max_tier: Tier::Review,
        manual: "",
    };

    impl Fold for Flawed {
        type Brief = ();
        type State = u64;
        type Model = u64;

        fn info(&self) -> &'static Info {
            &FLAWED
        }

        fn begin(&self, _: &Schema, _: &Given) -> Result<Step<(), u64>> {
            Ok(Step::Scan(()))
        }

        fn open(&self, (): &()) -> u64 {
            0
        }

        fn observe(&self, (): &(), state: &mut u64, rows: &Batch) -> Result<()> {
            *state += if self.counts_blocks { 1 } else { rows.rows() as u64 };
            Ok(())
        }

        fn merge(&self, (): &(), into: &mut u64, from: u64) -> Result<()> {
            *into = if self.forgets { from } else { *into + from };
            Ok(())
        }

        fn close(&self, _: &Schema, _: &Given, (): (), state: u64) -> Result<Step<(), u64>> {
            Ok(Step::Done(state))
        }

        fn max_bytes(&self, _: &Schema) -> usize {
            8
        }
    }

    impl Derive for Flawed {
        fn column(&self, model: &u64, rows: &Batch) -> Result<Option<Array2<f32>>> {
            Ok(Some(Array2::from_elem((rows.rows(), 1), *model as f32)))
        }
    }

    fn fixture() -> Fixture {
        Fixture::with_schema(healthy(), healthy_schema())
    }

    #[test]
    fn sound_units_pass() {
        check_derive(|| Flawed { counts_blocks: false, forgets: false }, &fixture());
    }

    #[test]
    #[should_panic(expected = "another model")]
    fn dependence_on_the_cut_is_found() {
        check_derive(|| Flawed { counts_blocks: true, forgets: false }, &fixture());
    }

    #[test]
    #[should_panic(expected = "another model")]
    fn a_lossy_merge_is_found() {
        check_derive(|| Flawed { counts_blocks: false, forgets: true }, &fixture());
    }

    #[test]
    fn healthy_rows_have_every_role() {
        use Role::{Categorical, Embedding, Image, Numeric, Probabilities, Text};
        let roles: Vec<Role> = healthy_schema().columns.iter().map(|c| c.role).collect();
        assert_eq!(roles, [Numeric, Numeric, Categorical, Text, Image, Embedding, Probabilities, Role::Label]);
    }

    #[test]
    fn the_reference_sample_keeps_the_laws() {
        check_derive(|| Sample, &fixture());
        survives_derive(|| Sample, |fixture| fixture);
        let after = fixture().after_column(Sample);
        assert_eq!(after.given.model::<SampleModel>("derive.sample").map(|m| m.keys.len()), Some(60));
    }
}
