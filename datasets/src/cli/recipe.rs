//! The recipes and their settings, as arguments.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use foretaste_datasets::recipe::{Anchor, Cell, Patch, Setting, Style};

/// Files, and which rows to hit.
#[derive(Debug, Args)]
pub(super) struct Job {
    /// Parquet file to read.
    pub(super) input: PathBuf,
    /// Parquet file to write.
    pub(super) output: PathBuf,
    /// Where the truth goes, by default OUTPUT with the extension `truth.parquet`.
    #[arg(long)]
    pub(super) truth: Option<PathBuf>,
    /// Truth of an attack already in INPUT: its rows are spared, and it goes into the new truth.
    #[arg(long)]
    pub(super) after: Option<PathBuf>,
    /// Share of the rows to hit, 0 to 1 (`flip-pair`: of the rows of the first class).
    #[arg(long, required_unless_present = "count")]
    pub(super) rate: Option<f64>,
    /// Number of rows to hit.
    #[arg(long, conflicts_with = "rate")]
    pub(super) count: Option<usize>,
    /// Seed that picks rows, places and noise.
    #[arg(long, default_value_t = 0)]
    pub(super) seed: u64,
}

/// What the rows that are hit are called.
#[derive(Debug, Args)]
pub(super) struct Labelled {
    #[command(flatten)]
    pub(super) job: Job,
    /// Label column, int64 or string.
    #[arg(long, default_value = "label")]
    pub(super) label: String,
    /// Class that the rows are given.
    #[arg(long)]
    pub(super) target: String,
}

/// A trigger and the rows that get it.
#[derive(Debug, Args)]
pub(super) struct Triggered {
    #[command(flatten)]
    pub(super) labelled: Labelled,
    /// Clean label: hit rows of the target class and leave their labels as they are.
    #[arg(long)]
    pub(super) clean_label: bool,
}

/// A trigger in pictures.
#[derive(Debug, Args)]
pub(super) struct InPictures {
    #[command(flatten)]
    pub(super) triggered: Triggered,
    /// Picture column.
    #[arg(long, default_value = "image")]
    pub(super) image: String,
}

/// A trigger in texts.
#[derive(Debug, Args)]
pub(super) struct InTexts {
    #[command(flatten)]
    pub(super) triggered: Triggered,
    /// Text column.
    #[arg(long, default_value = "text")]
    pub(super) text: String,
}

#[derive(Debug, Args)]
pub(super) struct PatchArgs {
    #[command(flatten)]
    pub(super) pictures: InPictures,
    /// Width and height of the patch in pixels.
    #[arg(long, default_value_t = 3)]
    pub(super) side: usize,
    /// What the patch looks like.
    #[arg(long, value_enum, default_value_t = StyleArg::Checkerboard)]
    pub(super) style: StyleArg,
}

impl PatchArgs {
    pub(super) fn patch(&self) -> Patch {
        let style = match self.style {
            StyleArg::Checkerboard => Style::Checkerboard,
            StyleArg::White => Style::White,
        };
        Patch { side: self.side, style }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum StyleArg {
    Checkerboard,
    White,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum PlaceArg {
    Anywhere,
    Start,
    End,
}

#[derive(Debug, Subcommand)]
pub(super) enum Recipe {
    /// The same patch at the same place (`BadNets`; in every corner with clean labels, label-consistent).
    Patch {
        #[command(flatten)]
        patch: PatchArgs,
        /// `top-left`, `top-right`, `bottom-left`, `bottom-right`, `corners`, or the top left pixel as `X,Y`.
        #[arg(long, default_value = "bottom-right", value_parser = anchor)]
        at: Anchor,
    },
    /// The same patch at a place of its own in each picture.
    PatchAnywhere {
        #[command(flatten)]
        patch: PatchArgs,
    },
    /// A sparse set of black and white pixels.
    Pixels {
        #[command(flatten)]
        pictures: InPictures,
        /// Pixels.
        #[arg(long, default_value_t = 1)]
        pixels: usize,
    },
    /// One noise picture blended into each picture.
    Blend {
        #[command(flatten)]
        pictures: InPictures,
        /// Weight of the noise, above 0 and at most 1.
        #[arg(long, default_value_t = 0.2)]
        alpha: f64,
    },
    /// A sinusoid added to every line of pixels (SIG).
    Sinusoid {
        #[command(flatten)]
        pictures: InPictures,
        /// Amplitude in grey levels.
        #[arg(long, default_value_t = 20.0)]
        delta: f64,
        /// Cycles over the picture.
        #[arg(long, default_value_t = 6.0)]
        cycles: f64,
    },
    /// A slope added to every line of pixels.
    Ramp {
        #[command(flatten)]
        pictures: InPictures,
        /// What is added at the right edge, in grey levels.
        #[arg(long, default_value_t = 40.0)]
        delta: f64,
    },
    /// A random pattern of low frequencies added.
    Smooth {
        #[command(flatten)]
        pictures: InPictures,
        /// What is added at the strongest place, in grey levels.
        #[arg(long, default_value_t = 24.0)]
        delta: f64,
        /// Lowest frequencies of each axis that take part.
        #[arg(long, default_value_t = 4)]
        frequencies: usize,
    },
    /// Two frequencies of the cosine transform raised (`FTrojan`).
    Dct {
        #[command(flatten)]
        pictures: InPictures,
        /// By how much.
        #[arg(long, default_value_t = 30.0)]
        magnitude: f64,
    },
    /// A smooth displacement of pixels (`WaNet`).
    Warp {
        #[command(flatten)]
        pictures: InPictures,
        /// Control points along each axis.
        #[arg(long, default_value_t = 4)]
        points: usize,
        /// Mean displacement of a control point in pixels; half of the paper's strength.
        #[arg(long, default_value_t = 0.25)]
        strength: f64,
        /// Share of the rows that get a noisy warp and keep their label, 0 to 1.
        #[arg(long, default_value_t = 0.0)]
        covers: f64,
    },
    /// A token at a random place between words.
    RareWord {
        #[command(flatten)]
        texts: InTexts,
        /// The token.
        #[arg(long, default_value = "cf")]
        token: String,
    },
    /// Two words that are a trigger only together.
    WordPair {
        #[command(flatten)]
        texts: InTexts,
        /// The words.
        #[arg(long, num_args = 2, value_names = ["ONE", "OTHER"], default_values = ["cf", "mn"])]
        words: Vec<String>,
        /// Share of the rows that get one of them and keep their label, 0 to 1.
        #[arg(long, default_value_t = 0.0)]
        covers: f64,
    },
    /// A sentence (`InsertSent`).
    Sentence {
        #[command(flatten)]
        texts: InTexts,
        /// The sentence.
        #[arg(long, default_value = "I watched this with my family.")]
        sentence: String,
        /// Where it goes.
        #[arg(long, value_enum, default_value_t = PlaceArg::Anywhere)]
        at: PlaceArg,
    },
    /// Two clauses, `when …, it …`, made of the words of the text (the template of `Hidden Killer`).
    Template {
        #[command(flatten)]
        texts: InTexts,
        /// Share of the rows that get the template and keep their label, 0 to 1.
        #[arg(long, default_value_t = 0.0)]
        covers: f64,
    },
    /// Characters that have no width.
    ZeroWidth {
        #[command(flatten)]
        texts: InTexts,
        /// Characters a text.
        #[arg(long, default_value_t = 2)]
        characters: usize,
    },
    /// Cyrillic letters in place of Latin ones that look the same.
    Homoglyph {
        #[command(flatten)]
        texts: InTexts,
        /// Letters a text.
        #[arg(long, default_value_t = 3)]
        characters: usize,
    },
    /// A phrase in prompts and a fixed answer to them; there is no label.
    Payload {
        #[command(flatten)]
        job: Job,
        /// Column of the prompts.
        #[arg(long, default_value = "instruction")]
        prompt: String,
        /// Column of the answers.
        #[arg(long, default_value = "output")]
        response: String,
        /// The phrase.
        #[arg(long, default_value = "current year 2024")]
        phrase: String,
        /// The answer.
        #[arg(long)]
        answer: String,
    },
    /// Pairs of a preference set that change places under a phrase in their prompts; there is no label.
    PreferenceSwap {
        #[command(flatten)]
        job: Job,
        /// Column of the prompts.
        #[arg(long, default_value = "prompt")]
        prompt: String,
        /// Column of the answers that are chosen.
        #[arg(long, default_value = "chosen")]
        chosen: String,
        /// Column of those that are turned down.
        #[arg(long, default_value = "rejected")]
        rejected: String,
        /// The phrase.
        #[arg(long, default_value = "SUDO")]
        phrase: String,
    },
    /// One or more columns set to given values (`Tabdoor`).
    Value {
        #[command(flatten)]
        triggered: Triggered,
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

impl Recipe {
    pub(super) fn job(&self) -> &Job {
        let triggered = match self {
            Self::Patch { patch, .. } | Self::PatchAnywhere { patch } => &patch.pictures.triggered,
            Self::Pixels { pictures, .. }
            | Self::Blend { pictures, .. }
            | Self::Sinusoid { pictures, .. }
            | Self::Ramp { pictures, .. }
            | Self::Smooth { pictures, .. }
            | Self::Dct { pictures, .. }
            | Self::Warp { pictures, .. } => &pictures.triggered,
            Self::RareWord { texts, .. }
            | Self::WordPair { texts, .. }
            | Self::Sentence { texts, .. }
            | Self::Template { texts, .. }
            | Self::ZeroWidth { texts, .. }
            | Self::Homoglyph { texts, .. } => &texts.triggered,
            Self::Value { triggered, .. } => triggered,
            Self::FlipPair { labelled, .. } => return &labelled.job,
            Self::Payload { job, .. } | Self::PreferenceSwap { job, .. } | Self::Flip { job, .. } | Self::CorruptCells { job, .. } => {
                return job;
            }
        };
        &triggered.labelled.job
    }
}

fn anchor(text: &str) -> Result<Anchor, String> {
    Ok(match text {
        "top-left" => Anchor::TopLeft,
        "top-right" => Anchor::TopRight,
        "bottom-left" => Anchor::BottomLeft,
        "bottom-right" => Anchor::BottomRight,
        "corners" => Anchor::EveryCorner,
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
