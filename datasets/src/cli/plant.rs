//! Planting.

use arrow::array::RecordBatch;
use foretaste_datasets::recipe::{Corruption, Place, Warp};
use foretaste_datasets::{Class, Draw, Error, Plan, Result, Share, Truth, read_parquet, recipe, write_parquet};

use super::recipe::{InPictures, InTexts, Job, PlaceArg, Recipe, Triggered};

/// An input with what was planted in it before.
struct Loaded<'a> {
    job: &'a Job,
    batch: RecordBatch,
    earlier: Option<Truth>,
}

impl<'a> Loaded<'a> {
    fn open(job: &'a Job) -> Result<Self> {
        let earlier = job.after.as_ref().map(|path| read_parquet(path).and_then(|truth| Truth::from_batch(&truth))).transpose()?;
        Ok(Self { job, batch: read_parquet(&job.input)?, earlier })
    }

    fn share(&self) -> Share {
        match (self.job.count, self.job.rate) {
            (Some(count), _) => Share::Count(count),
            (None, rate) => Share::Rate(rate.unwrap_or_default()),
        }
    }

    fn draw(&self) -> Draw {
        let draw = Draw::new(self.share(), self.job.seed);
        match &self.earlier {
            Some(earlier) => draw.sparing(earlier),
            None => draw,
        }
    }

    fn plan(&self, Triggered { labelled, clean_label }: &Triggered) -> Result<Plan> {
        let target = Class::read(&labelled.target, &self.batch, &labelled.label)?;
        let plan = Plan::new(&labelled.label, target, self.share(), self.job.seed);
        let plan = if *clean_label { plan.clean_label() } else { plan };
        Ok(match &self.earlier {
            Some(earlier) => plan.sparing(earlier),
            None => plan,
        })
    }

    fn save(self, (planted, truth): (RecordBatch, Truth)) -> Result<String> {
        let count = |flags: &[bool]| flags.iter().filter(|&&flag| flag).count();
        let hit = count(&truth.bad());
        let covers = match count(truth.cover()) {
            0 => String::new(),
            covers => format!(" and {covers} covers"),
        };
        let truth = match self.earlier {
            Some(earlier) => earlier.then(&truth)?,
            None => truth,
        };
        let truth_path = self.job.truth.clone().unwrap_or_else(|| self.job.output.with_extension("truth.parquet"));
        write_parquet(&self.job.output, &planted)?;
        write_parquet(&truth_path, &truth.to_batch()?)?;
        let (output, rows) = (self.job.output.display(), planted.num_rows());
        Ok(format!("{hit} of {rows} rows hit{covers}; wrote {output} and {}", truth_path.display()))
    }
}

/// Plants an attack; what it did, as a line.
pub(super) fn plant(recipe: &Recipe) -> Result<String> {
    let loaded = Loaded::open(recipe.job())?;
    let batch = &loaded.batch;
    let pictures = |pictures: &InPictures| loaded.plan(&pictures.triggered);
    let texts = |texts: &InTexts| loaded.plan(&texts.triggered);
    let planted = match recipe {
        Recipe::Patch { patch, at } => recipe::patch(batch, &pictures(&patch.pictures)?, &patch.pictures.image, patch.patch(), *at),
        Recipe::PatchAnywhere { patch } => recipe::patch_anywhere(batch, &pictures(&patch.pictures)?, &patch.pictures.image, patch.patch()),
        Recipe::Pixels { pictures: on, pixels } => recipe::pixels(batch, &pictures(on)?, &on.image, *pixels),
        Recipe::Blend { pictures: on, alpha } => recipe::blend(batch, &pictures(on)?, &on.image, *alpha),
        Recipe::Sinusoid { pictures: on, delta, cycles } => recipe::sinusoid(batch, &pictures(on)?, &on.image, *delta, *cycles),
        Recipe::Ramp { pictures: on, delta } => recipe::ramp(batch, &pictures(on)?, &on.image, *delta),
        Recipe::Smooth { pictures: on, delta, frequencies } => recipe::smooth(batch, &pictures(on)?, &on.image, *delta, *frequencies),
        Recipe::Dct { pictures: on, magnitude } => recipe::dct(batch, &pictures(on)?, &on.image, *magnitude),
        Recipe::Warp { pictures: on, points, strength, covers } => {
            let warp = Warp { points: *points, strength: *strength };
            recipe::warp(batch, &pictures(on)?, &on.image, warp, Share::Rate(*covers))
        }
        Recipe::RareWord { texts: on, token } => recipe::rare_word(batch, &texts(on)?, &on.text, token),
        Recipe::WordPair { texts: on, words, covers } => match words.as_slice() {
            [one, other] => recipe::word_pair(batch, &texts(on)?, &on.text, [one, other], Share::Rate(*covers)),
            _ => return Err(Error::Setting("a pair has two words".to_owned())),
        },
        Recipe::Sentence { texts: on, sentence, at } => {
            let place = match at {
                PlaceArg::Anywhere => Place::Anywhere,
                PlaceArg::Start => Place::Start,
                PlaceArg::End => Place::End,
            };
            recipe::sentence(batch, &texts(on)?, &on.text, sentence, place)
        }
        Recipe::Template { texts: on, covers } => recipe::template(batch, &texts(on)?, &on.text, Share::Rate(*covers)),
        Recipe::ZeroWidth { texts: on, characters } => recipe::zero_width(batch, &texts(on)?, &on.text, *characters),
        Recipe::Homoglyph { texts: on, characters } => recipe::homoglyph(batch, &texts(on)?, &on.text, *characters),
        Recipe::Payload { prompt, response, phrase, answer, .. } => {
            recipe::payload(batch, &loaded.draw(), [prompt, response], phrase, answer)
        }
        Recipe::PreferenceSwap { prompt, chosen, rejected, phrase, .. } => {
            recipe::preference_swap(batch, &loaded.draw(), prompt, [chosen, rejected], phrase)
        }
        Recipe::Value { triggered, set } => match set.as_slice() {
            [one] => recipe::value(batch, &loaded.plan(triggered)?, one),
            several => recipe::conjunction(batch, &loaded.plan(triggered)?, several),
        },
        Recipe::Flip { label, .. } => recipe::flip(batch, label, &loaded.draw()),
        Recipe::FlipPair { labelled, from } => {
            let (from, to) = (Class::read(from, batch, &labelled.label)?, Class::read(&labelled.target, batch, &labelled.label)?);
            recipe::flip_pair(batch, &labelled.label, &from, &to, &loaded.draw())
        }
        Recipe::CorruptCells { column, multiply, sentinel, .. } => {
            let corruption = match (multiply, sentinel) {
                (Some(factor), _) => Corruption::Multiply(*factor),
                (None, Some(sentinel)) => Corruption::Sentinel(*sentinel),
                (None, None) => return Err(Error::Setting("neither a factor nor a sentinel".to_owned())),
            };
            recipe::corrupt_cells(batch, column, corruption, &loaded.draw())
        }
    }?;
    loaded.save(planted)
}
