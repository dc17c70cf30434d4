//! The command line.

use std::path::PathBuf;

use arrow::array::RecordBatch;
use clap::{Args, Parser, Subcommand, ValueEnum};
use foretaste_datasets::recipe::{Anchor, Cell, Corruption, Patch, Setting, Style};
use foretaste_datasets::{Class, Draw, Error, Plan, Result, Share, Truth, read_parquet, recipe, synth, write_parquet};

/// Plants attacks with known truth in Parquet files, and makes clean sets.
#[derive(Debug, Parser)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plants one attack in a Parquet file and writes the truth beside the result.
    Plant {
        #[command(subcommand)]
        recipe: Recipe,
    },
    /// Makes a clean set.
    Make {
        #[command(subcommand)]
        set: Set,
    },
}

/// Files, and which rows to hit.
#[derive(Debug, Args)]
struct Job {
    /// Parquet file to read.
    input: PathBuf,
    /// Parquet file to write.
    output: PathBuf,
    /// Where the truth goes, by default OUTPUT with the extension `truth.parquet`.
    #[arg(long)]
    truth: Option<PathBuf>,
    /// Truth of an attack already in INPUT: its rows are spared, and it goes into the new truth.
    #[arg(long)]
    after: Option<PathBuf>,
    /// Share of the rows to hit, 0 to 1 (`flip-pair`: of the rows of the first class).
    #[arg(long, required_unless_present = "count")]
    rate: Option<f64>,
    /// Number of rows to hit.
    #[arg(long, conflicts_with = "rate")]
    count: Option<usize>,
    /// Seed that picks rows, places and noise.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// What the rows that are hit are called.
#[derive(Debug, Args)]
struct Labelled {
    #[command(flatten)]
    job: Job,
    /// Label column, int64 or string.
    #[arg(long, default_value = "label")]
    label: String,
    /// Class that the rows are given.
    #[arg(long)]
    target: String,
}

#[derive(Debug, Args)]
struct PatchArgs {
    /// Picture column.
    #[arg(long, default_value = "image")]
    image: String,
    /// Width and height of the patch in pixels.
    #[arg(long, default_value_t = 3)]
    side: usize,
    /// What the patch looks like.
    #[arg(long, value_enum, default_value_t = StyleArg::Checkerboard)]
    style: StyleArg,
}

impl PatchArgs {
    fn patch(&self) -> Patch {
        let style = match self.style {
            StyleArg::Checkerboard => Style::Checkerboard,
            StyleArg::White => Style::White,
        };
        Patch { side: self.side, style }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StyleArg {
    Checkerboard,
    White,
}

#[derive(Debug, Subcommand)]
enum Recipe {
    /// The same patch at the same place (`BadNets`).
    Patch {
        #[command(flatten)]
        labelled: Labelled,
        #[command(flatten)]
        patch: PatchArgs,
        /// `top-left`, `top-right`, `bottom-left`, `bottom-right`, or the top left pixel as `X,Y`.
        #[arg(long, default_value = "bottom-right", value_parser = anchor)]
        at: Anchor,
    },
    /// The same patch at a place of its own in each picture.
    PatchAnywhere {
        #[command(flatten)]
        labelled: Labelled,
        #[command(flatten)]
        patch: PatchArgs,
    },
    /// One noise picture blended into each picture.
    Blend {
        #[command(flatten)]
        labelled: Labelled,
        /// Picture column.
        #[arg(long, default_value = "image")]
        image: String,
        /// Weight of the noise, above 0 and at most 1.
        #[arg(long, default_value_t = 0.2)]
        alpha: f64,
    },
    /// A token at a random place between words.
    RareWord {
        #[command(flatten)]
        labelled: Labelled,
        /// Text column.
        #[arg(long, default_value = "text")]
        text: String,
        /// The token.
        #[arg(long, default_value = "cf")]
        token: String,
    },
    /// A sentence at a random place between sentences (`InsertSent`).
    Sentence {
        #[command(flatten)]
        labelled: Labelled,
        /// Text column.
        #[arg(long, default_value = "text")]
        text: String,
        /// The sentence.
        #[arg(long, default_value = "I watched this with my family.")]
        sentence: String,
    },
    /// One or more columns set to given values (`Tabdoor`).
    Value {
        #[command(flatten)]
        labelled: Labelled,
        /// COLUMN=VALUE; several make a conjunction.
        #[arg(long, required = true, value_parser = setting)]
        set: Vec<Setting>,
    },
    /// Labels exchanged for any other class.
    Flip {
        #[command(flatten)]
        job: Job,
        /// Label column, int64 or string.
        #[arg(long, default_value = "label")]
        label: String,
    },
    /// Labels of one class exchanged for another.
    FlipPair {
        #[command(flatten)]
        labelled: Labelled,
        /// Class whose rows are hit.
        #[arg(long)]
        from: String,
    },
    /// Broken cells in a numeric column.
    CorruptCells {
        #[command(flatten)]
        job: Job,
        /// The column.
        #[arg(long)]
        column: String,
        /// Multiplies the cells.
        #[arg(long, allow_negative_numbers = true, required_unless_present = "sentinel", conflicts_with = "sentinel")]
        multiply: Option<f64>,
        /// Replaces the cells.
        #[arg(long, allow_negative_numbers = true)]
        sentinel: Option<f64>,
    },
}

/// Size of a set.
#[derive(Debug, Args)]
struct Size {
    /// Parquet file to write.
    output: PathBuf,
    /// Rows.
    #[arg(long, default_value_t = 1000)]
    rows: usize,
    /// Classes.
    #[arg(long, default_value_t = 2)]
    classes: usize,
    /// Seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Debug, Subcommand)]
enum Set {
    /// A table of Gaussian classes.
    Gaussian {
        #[command(flatten)]
        size: Size,
        /// Columns.
        #[arg(long, default_value_t = 10)]
        dims: usize,
    },
    /// Texts about topics.
    Texts {
        #[command(flatten)]
        size: Size,
        /// Words a text, about.
        #[arg(long, default_value_t = 30)]
        words: usize,
    },
    /// Smooth pictures, as PNG.
    Pictures {
        #[command(flatten)]
        size: Size,
        /// Width and height in pixels.
        #[arg(long, default_value_t = 16)]
        side: usize,
        /// 1 (grey) or 3 (RGB).
        #[arg(long, default_value_t = 1)]
        channels: usize,
    },
    /// A clean set that looks wrong.
    Torture {
        /// Parquet file to write.
        output: PathBuf,
        /// How it looks wrong.
        #[arg(long, value_enum)]
        kind: synth::Torture,
        /// Seed.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
}

fn anchor(text: &str) -> Result<Anchor, String> {
    Ok(match text {
        "top-left" => Anchor::TopLeft,
        "top-right" => Anchor::TopRight,
        "bottom-left" => Anchor::BottomLeft,
        "bottom-right" => Anchor::BottomRight,
        _ => {
            let place = text.split_once(',').and_then(|(x, y)| Some((x.parse().ok()?, y.parse().ok()?)));
            let (x, y) = place.ok_or("neither a corner nor X,Y")?;
            Anchor::At { x, y }
        }
    })
}

/// `COLUMN=VALUE`; the value is a number if it reads as one, and text if it is in double quotes or does not.
fn setting(text: &str) -> Result<Setting, String> {
    let (column, value) = text.split_once('=').ok_or("no COLUMN=VALUE")?;
    let value = match (value.parse(), value.parse()) {
        (Ok(int), _) => Cell::Int(int),
        (_, Ok(float)) => Cell::Float(float),
        _ => Cell::Text(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value).to_owned()),
    };
    Ok(Setting { column: column.to_owned(), value })
}

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

    fn plan(&self, labelled: &Labelled) -> Result<Plan> {
        let target = Class::read(&labelled.target, &self.batch, &labelled.label)?;
        let plan = Plan::new(&labelled.label, target, self.share(), self.job.seed);
        Ok(match &self.earlier {
            Some(earlier) => plan.sparing(earlier),
            None => plan,
        })
    }

    fn save(self, (planted, truth): (RecordBatch, Truth)) -> Result<String> {
        let hit = truth.bad().iter().filter(|&&bad| bad).count();
        let truth = match self.earlier {
            Some(earlier) => earlier.then(&truth)?,
            None => truth,
        };
        let truth_path = self.job.truth.clone().unwrap_or_else(|| self.job.output.with_extension("truth.parquet"));
        write_parquet(&self.job.output, &planted)?;
        write_parquet(&truth_path, &truth.to_batch()?)?;
        let (output, rows) = (self.job.output.display(), planted.num_rows());
        Ok(format!("{hit} of {rows} rows hit; wrote {output} and {}", truth_path.display()))
    }
}

/// Runs a command; what it did, as a line.
pub(crate) fn run(cli: Cli) -> Result<String> {
    match cli.command {
        Command::Plant { recipe } => plant(&recipe),
        Command::Make { set } => make(&set),
    }
}

fn plant(recipe: &Recipe) -> Result<String> {
    let job = match recipe {
        Recipe::Patch { labelled, .. }
        | Recipe::PatchAnywhere { labelled, .. }
        | Recipe::Blend { labelled, .. }
        | Recipe::RareWord { labelled, .. }
        | Recipe::Sentence { labelled, .. }
        | Recipe::Value { labelled, .. }
        | Recipe::FlipPair { labelled, .. } => &labelled.job,
        Recipe::Flip { job, .. } | Recipe::CorruptCells { job, .. } => job,
    };
    let loaded = Loaded::open(job)?;
    let batch = &loaded.batch;
    let planted = match recipe {
        Recipe::Patch { labelled, patch, at } => recipe::patch(batch, &loaded.plan(labelled)?, &patch.image, patch.patch(), *at),
        Recipe::PatchAnywhere { labelled, patch } => recipe::patch_anywhere(batch, &loaded.plan(labelled)?, &patch.image, patch.patch()),
        Recipe::Blend { labelled, image, alpha } => recipe::blend(batch, &loaded.plan(labelled)?, image, *alpha),
        Recipe::RareWord { labelled, text, token } => recipe::rare_word(batch, &loaded.plan(labelled)?, text, token),
        Recipe::Sentence { labelled, text, sentence } => recipe::sentence(batch, &loaded.plan(labelled)?, text, sentence),
        Recipe::Value { labelled, set } => match set.as_slice() {
            [one] => recipe::value(batch, &loaded.plan(labelled)?, one),
            several => recipe::conjunction(batch, &loaded.plan(labelled)?, several),
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

fn make(set: &Set) -> Result<String> {
    let (output, batch) = match set {
        Set::Gaussian { size, dims } => (&size.output, synth::gaussian_classes(size.rows, *dims, size.classes, size.seed)),
        Set::Texts { size, words } => (&size.output, synth::topic_texts(size.rows, size.classes, *words, size.seed)),
        Set::Pictures { size, side, channels } => (&size.output, synth::pictures(size.rows, *side, *channels, size.classes, size.seed)),
        Set::Torture { output, kind, seed } => (output, kind.make(*seed)),
    };
    let batch = batch?;
    write_parquet(output, &batch)?;
    Ok(format!("wrote {} rows to {}", batch.num_rows(), output.display()))
}
