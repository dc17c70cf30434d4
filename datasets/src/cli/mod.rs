//! The command line.

mod plant;
mod recipe;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use foretaste_datasets::{Result, synth, write_parquet};

use plant::plant;
use recipe::Recipe;

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

/// Runs a command; what it did, as a line.
pub(crate) fn run(cli: Cli) -> Result<String> {
    match cli.command {
        Command::Plant { recipe } => plant(&recipe),
        Command::Make { set } => make(&set),
    }
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
