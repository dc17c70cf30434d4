//! The command line's flags.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{FailOn, Settings, Size};

const EXAMPLES: &str = "\
Examples:
  foretaste scan train.parquet
  foretaste scan 'shards/*.parquet' --label intent --id id --out report
  foretaste scan - --format ipc < stream.arrows
  foretaste scan train.csv --fail-on warn --json > report.json
  foretaste scan new.parquet --reference trusted.parquet
  foretaste scan train.parquet --baseline last-report
  foretaste explain trigger.patch
  foretaste fit train.parquet --model train.ft
  producer | foretaste stage --model train.ft --drop alarm | consumer
  foretaste review foretaste-report
  foretaste decide foretaste-report --row 17 --dismiss --note 'a rare but sound row'
  foretaste quarantine foretaste-report --out cleaned
  foretaste restore cleaned --out restored
  foretaste export foretaste-report --format sarif --out foretaste.sarif
  foretaste sign foretaste-report --key key.pem
  foretaste verify foretaste-report --key key.pub.pem --data train.parquet
  foretaste evaluate foretaste-report truth.parquet

Exit status: 0 within the policy, 1 over it (see --fail-on), 2 error or incomplete scan.";

/// Tastes a training set before a model does: detects poisoned training data and names the cause.
#[derive(Debug, Parser)]
#[command(name = "foretaste", version, after_help = EXAMPLES, max_term_width = 100)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
    /// When to use colour
    #[arg(long, value_name = "WHEN", global = true, value_enum, default_value_t)]
    pub(super) color: Colour,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Scan training data and write a report
    Scan(Box<Scan>),
    /// Scan training data, and keep what was learnt as a model that judges new rows
    Fit(Box<Fit>),
    /// Judge an Arrow IPC stream on stdin by a model, and write it to stdout with what is said of each row
    Stage(Stage),
    /// List the detectors, or print the manual of one
    Explain {
        /// Code of a detector (trigger.patch) or a family (trigger)
        code: Option<String>,
    },
    /// Look through listed rows in the browser and decide
    Review(Review),
    /// Record what a reviewer decides about listed rows or causes of a report
    Decide(Decide),
    /// Take listed rows out of a copy of the scanned data
    Quarantine(Quarantine),
    /// Put the rows of a quarantine back
    Restore(Restore),
    /// Write a report in a form that other programs read: SARIF, JUnit, Markdown, CSV, CycloneDX, Croissant, in-toto
    Export(Export),
    /// Sign what a report says of its data, with an Ed25519 key
    Sign(Sign),
    /// Check the signature of a report, its files, the data that it is about and the chain of decisions
    Verify(Verify),
    /// Compare a report with the truth: recall, precision, ranking, by family and attack
    Evaluate(Evaluate),
}

#[derive(Debug, Args)]
#[command(
    after_help = "The page is served to this machine alone, under an address that nobody can guess. Decisions are saved as they are made."
)]
pub(super) struct Review {
    /// Folder of a report
    #[arg(value_name = "REPORT")]
    pub(super) report: PathBuf,
    /// The reviewer
    #[arg(long, value_name = "NAME", env = "USER")]
    pub(super) by: String,
    /// Port [default: one that is free]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(super) port: u16,
}

/// What a reviewer says; exactly one.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct RulingFlag {
    /// Poisoned or wrong: it shall go
    #[arg(long)]
    pub(super) confirm: bool,
    /// Sound: it shall stay
    #[arg(long)]
    pub(super) dismiss: bool,
    /// Right but for its label: it shall stay with this one
    #[arg(long, value_name = "LABEL")]
    pub(super) relabel: Option<String>,
    /// What was said before no longer holds
    #[arg(long)]
    pub(super) undo: bool,
    /// What another ledger says of rows that nothing is said of yet; rows where both differ are named and left as they are
    #[arg(long, value_name = "LEDGER")]
    pub(super) merge: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Decisions are kept in decisions.jsonl in the report's folder. The last word about a row holds; a row can leave its cause."
)]
pub(super) struct Decide {
    /// Folder of a report
    #[arg(value_name = "REPORT")]
    pub(super) report: PathBuf,
    /// Positions of listed rows, from 0
    #[arg(long, value_name = "N,M", value_delimiter = ',', required_unless_present_any = ["cause", "merge"])]
    pub(super) row: Vec<u64>,
    /// Fingerprints of causes: all their rows
    #[arg(long, value_name = "FINGERPRINT", value_delimiter = ',')]
    pub(super) cause: Vec<String>,
    #[command(flatten)]
    pub(super) ruling: RulingFlag,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(super) note: Option<String>,
    /// The reviewer
    #[arg(long, value_name = "NAME", env = "USER", required_unless_present = "merge")]
    pub(super) by: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The data are never changed. DIR gets kept/ and removed/ in the format of the data, and a ledger of the removed rows."
)]
pub(super) struct Quarantine {
    /// Folder of a report
    #[arg(value_name = "REPORT")]
    pub(super) report: PathBuf,
    /// A folder that is new or empty
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// Ledgers of decisions, one a reviewer [default: the report's decisions.jsonl, where there is one]
    #[arg(long, value_name = "FILE")]
    pub(super) decisions: Vec<PathBuf>,
    /// Which rows go: all listed rows that nobody dismissed, or those that a reviewer confirmed
    /// [default: confirmed where there are decisions, else flagged]
    #[arg(long, value_name = "WHICH", value_enum)]
    pub(super) policy: Option<SelectionFlag>,
    /// Who does it, for the record
    #[arg(long, value_name = "NAME", env = "USER")]
    pub(super) by: String,
}

/// Which rows a quarantine takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SelectionFlag {
    /// All listed rows that nobody dismissed
    Flagged,
    /// Rows that a reviewer confirmed
    Confirmed,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// Folder of a quarantine
    #[arg(value_name = "DIR")]
    pub(super) from: PathBuf,
    /// A folder that is new or empty
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is scanned again. Text from the data is made harmless in every form. To sign the in-toto statement: foretaste sign."
)]
pub(super) struct Export {
    /// Folder of a report
    #[arg(value_name = "REPORT")]
    pub(super) report: PathBuf,
    /// What to write
    #[arg(long, value_name = "FORM", value_enum)]
    pub(super) format: FormFlag,
    /// A file that is new or may be replaced [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

/// The forms of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FormFlag {
    /// Causes and listed rows as results of an analysis, SARIF 2.1.0
    Sarif,
    /// A test case a detector, for build servers
    Junit,
    /// A summary for a pull request
    Markdown,
    /// The listed rows
    Csv,
    /// The data as components with digests, CycloneDX 1.6
    Cyclonedx,
    /// The files of the data as a Croissant 1.0 distribution
    Croissant,
    /// The verdict as an in-toto statement about the files, version 1
    InToto,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Writes statement.dsse.json into the report's folder: an in-toto statement in a DSSE envelope. Sign last: a report that was quarantined or reviewed since no longer is what was signed."
)]
pub(super) struct Sign {
    /// Folder of a report
    #[arg(value_name = "REPORT")]
    pub(super) report: PathBuf,
    /// Private key, PEM; made by: openssl genpkey -algorithm ed25519 -out key.pem
    #[arg(long, value_name = "FILE")]
    pub(super) key: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 all that was checked holds, 1 something does not, 2 error. Without --key nothing says who signed.")]
pub(super) struct Verify {
    /// Folder of a report
    #[arg(value_name = "REPORT")]
    pub(super) report: PathBuf,
    /// Public key of the signer that you trust, PEM
    #[arg(long, value_name = "FILE")]
    pub(super) key: Option<PathBuf>,
    /// The data, in the order in which they were scanned [default: where the report says that they lie]
    #[arg(long, value_name = "INPUT", num_args = 1..)]
    pub(super) data: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Evaluate {
    /// Folder of a report; with scores.parquet (scan --scores) rankings are measured too
    #[arg(value_name = "REPORT")]
    pub(super) report: PathBuf,
    /// Which rows are bad: boolean columns `is_…`, or ids of bad rows alone; any format that a scan reads
    #[arg(value_name = "TRUTH")]
    pub(super) truth: String,
    /// Column of the truth that holds the data's ids [default: named like the data's id column, else rows go by position]
    #[arg(long, value_name = "COL")]
    pub(super) on: Option<String>,
    /// Boolean columns that mark bad rows [default: all `is_…` but `is_cover`]
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub(super) bad: Vec<String>,
    /// Column that names the attack [default: attack]
    #[arg(long, value_name = "COL")]
    pub(super) attack: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Colour {
    /// On a terminal, unless the environment says otherwise
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What `--format` takes: the formats of the input, and `json`, which is an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FormatFlag {
    /// Apache Parquet
    Parquet,
    /// Arrow IPC, file or stream
    #[value(alias = "arrow")]
    Ipc,
    /// Arrow IPC stream
    #[value(alias = "arrow-stream")]
    IpcStream,
    /// Comma-separated values
    Csv,
    /// Tab-separated values
    Tsv,
    /// JSON lines
    Jsonl,
    /// Not an input format: the same as --json
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = "Settings can also be kept in foretaste.toml; flags win over the file. See docs/configuration.md.")]
pub(super) struct Scan {
    /// Files, folders, quoted globs, addresses, or - for stdin
    #[arg(required = true, value_name = "INPUT")]
    pub(super) inputs: Vec<String>,
    /// Format of the input where names and first bytes do not tell; json means --json
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(super) format: Option<FormatFlag>,
    /// Rows that are known to be sound, with the columns of the input; may be given more than once
    #[arg(long, value_name = "INPUT")]
    reference: Vec<String>,
    /// Read settings from this file, not from ./foretaste.toml
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    #[command(flatten, next_help_heading = "Columns (inferred unless given)")]
    roles: Roles,
    #[command(flatten, next_help_heading = "Decisions")]
    decide: Decisions,
    #[command(flatten, next_help_heading = "Machine")]
    machine: Machine,
    #[command(flatten, next_help_heading = "Report")]
    pub(super) output: Output,
    #[command(flatten, next_help_heading = "Terminal")]
    pub(super) talk: Talk,
}

#[derive(Debug, Args)]
#[command(
    after_help = "A model is data: schema, roles, classes and what the detectors learnt. It holds no code. It lists what the scan of these data learnt to list, so that a model of a clean set lists nothing by itself: new data against an approved set are foretaste scan new.parquet --reference approved.parquet. A new version of a detector refuses an old model."
)]
pub(super) struct Fit {
    /// Where the model goes
    #[arg(long, short = 'o', value_name = "FILE")]
    pub(super) model: PathBuf,
    #[command(flatten)]
    pub(super) scan: Scan,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Rows get the columns foretaste_flagged, foretaste_q, foretaste_codes and foretaste_reason. The stream must have the columns of the data that the model was made of, in any order; others pass through. Each row is judged on its own: what only many new rows show together, a new scan finds."
)]
pub(super) struct Stage {
    /// A model that foretaste fit made
    #[arg(long, value_name = "FILE")]
    pub(super) model: PathBuf,
    /// Which rows do not go on
    #[arg(long, value_name = "WHICH", value_enum, default_value_t)]
    pub(super) drop: DropFlag,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<usize>,
    /// Do not say on stderr how many rows went through
    #[arg(long, short)]
    pub(super) quiet: bool,
}

/// Which rows a stage keeps back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum DropFlag {
    /// None: rows are marked
    #[default]
    None,
    /// Rows that a cause at tier alarm lists
    Alarm,
    /// All listed rows
    Flagged,
}

#[derive(Debug, Args)]
struct Roles {
    /// What a model is to predict
    #[arg(long, value_name = "COL")]
    label: Option<String>,
    /// Names the row
    #[arg(long, value_name = "COL")]
    id: Option<String>,
    /// Free text or chat messages
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    text: Vec<String>,
    /// What a model is to answer, in instruction and chat sets
    #[arg(long, value_name = "COL")]
    response: Option<String>,
    /// The answers that were turned down, in preference sets
    #[arg(long, value_name = "COL")]
    rejected: Option<String>,
    /// Pictures
    #[arg(long, value_name = "COL")]
    image: Option<String>,
    /// A vector that stands for the row
    #[arg(long, value_name = "COL")]
    embedding: Option<String>,
    /// Class probabilities of a model that did not see the row
    #[arg(long, value_name = "COL")]
    probs: Option<String>,
    /// Who or what the row came from
    #[arg(long, value_name = "COL")]
    source: Option<String>,
    /// When the row was made
    #[arg(long, value_name = "COL")]
    time: Option<String>,
    /// Where on a network its content lies
    #[arg(long, value_name = "COL")]
    address: Option<String>,
    /// A hash of the content that was there
    #[arg(long, value_name = "COL")]
    digest: Option<String>,
    /// Columns that are not looked at
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    ignore: Vec<String>,
}

#[derive(Debug, Args)]
struct Decisions {
    /// Largest expected share of wrongly listed rows, over 0 and at most 0.5 [default: 0.1]
    #[arg(long, value_name = "X")]
    fdr: Option<f64>,
    /// The mildest verdict that makes the exit status 1 [default: fail]
    #[arg(long, value_name = "VERDICT", value_enum)]
    fail_on: Option<FailOn>,
    /// An earlier report: only what it did not have counts
    #[arg(long, value_name = "REPORT")]
    baseline: Option<PathBuf>,
    /// Plant poison into a copy in memory, and say how little of it the scan would have seen
    #[arg(long)]
    power: bool,
    /// Run these detectors or families alone
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    only: Vec<String>,
    /// Leave these detectors or families out
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    skip: Vec<String>,
    /// Seed of everything random
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

#[derive(Debug, Args)]
struct Machine {
    /// Worker threads [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Memory that the run may hold [default: 2GiB]
    #[arg(long, value_name = "SIZE")]
    memory: Option<Size>,
    /// Rows in a block [default: 8192]
    #[arg(long, value_name = "N")]
    batch_rows: Option<usize>,
}

#[derive(Debug, Args)]
pub(super) struct Output {
    /// Folder of the report [default: foretaste-report]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Also write the scores of every row
    #[arg(long)]
    scores: bool,
    /// Also write figures of the run for Prometheus
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// Sign the report with this private key, PEM, as foretaste sign does
    #[arg(long, value_name = "FILE")]
    pub(super) sign: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Talk {
    /// Print report.json on stdout in place of the summary
    #[arg(long)]
    json: bool,
    /// Print neither summary nor progress
    #[arg(long, short)]
    pub(super) quiet: bool,
    /// Show no progress
    #[arg(long)]
    pub(super) no_progress: bool,
}

impl Scan {
    /// Puts the flags that were given over `settings`; a list replaces the list.
    pub(super) fn apply(&self, settings: &mut Settings) {
        let roles = &mut settings.roles;
        for (flag, setting) in [
            (&self.roles.label, &mut roles.label),
            (&self.roles.id, &mut roles.id),
            (&self.roles.response, &mut roles.response),
            (&self.roles.rejected, &mut roles.rejected),
            (&self.roles.image, &mut roles.image),
            (&self.roles.embedding, &mut roles.embedding),
            (&self.roles.probs, &mut roles.probs),
            (&self.roles.source, &mut roles.source),
            (&self.roles.time, &mut roles.time),
            (&self.roles.address, &mut roles.address),
            (&self.roles.digest, &mut roles.digest),
        ] {
            overlay_optional(flag.as_ref(), setting);
        }
        for (flag, setting) in [
            (&self.roles.text, &mut roles.text),
            (&self.roles.ignore, &mut roles.ignore),
            (&self.reference, &mut settings.reference.inputs),
            (&self.decide.only, &mut settings.detectors.only),
            (&self.decide.skip, &mut settings.detectors.skip),
        ] {
            if !flag.is_empty() {
                setting.clone_from(flag);
            }
        }
        overlay(self.decide.fdr.as_ref(), &mut settings.decide.fdr);
        overlay(self.decide.fail_on.as_ref(), &mut settings.decide.fail_on);
        overlay_optional(self.decide.baseline.as_ref(), &mut settings.policy.baseline);
        overlay_optional(self.decide.seed.as_ref(), &mut settings.run.seed);
        overlay_optional(self.machine.threads.as_ref(), &mut settings.run.threads);
        overlay(self.machine.memory.as_ref(), &mut settings.run.memory);
        overlay(self.machine.batch_rows.as_ref(), &mut settings.run.batch_rows);
        overlay(self.output.out.as_ref(), &mut settings.output.dir);
        overlay_optional(self.output.metrics.as_ref(), &mut settings.output.metrics);
        settings.output.scores |= self.output.scores;
        settings.run.power |= self.decide.power;
    }

    /// Whether stdout is to hold the report for a machine.
    pub(super) fn wants_json(&self) -> bool {
        self.talk.json || self.format == Some(FormatFlag::Json)
    }
}

fn overlay<T: Clone>(flag: Option<&T>, setting: &mut T) {
    if let Some(value) = flag {
        setting.clone_from(value);
    }
}

fn overlay_optional<T: Clone>(flag: Option<&T>, setting: &mut Option<T>) {
    if flag.is_some() {
        *setting = flag.cloned();
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn scan(flags: &[&str]) -> Scan {
        match Cli::try_parse_from(["foretaste", "scan", "train.parquet"].iter().chain(flags)).unwrap().command {
            Command::Scan(scan) => *scan,
            _ => panic!("not a scan"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_flag_changes_nothing() {
        let mut settings = Settings::default();
        settings.roles.text = vec!["a".into()];
        settings.run.seed = Some(3);
        settings.output.scores = true;
        let before = settings.clone();
        scan(&[]).apply(&mut settings);
        assert_eq!(settings, before);
    }

    #[test]
    fn every_flag_reaches_its_setting() {
        let mut given = Settings::default();
        given.roles.ignore = vec!["replaced".into()];
        let columns = "--label l --id i --text a,b --response r --rejected j --image m --embedding e --probs p --source s --time t --address u --digest h --ignore x,y";
        let rest = "--fdr 0.2 --fail-on never --power --baseline b --only trigger --skip trigger.rule --seed 9 --threads 3 --memory 1GiB --batch-rows 10 \
                    --out o --scores --metrics m";
        let flags: Vec<&str> = columns.split(' ').chain(rest.split_whitespace()).collect();
        scan(&flags).apply(&mut given);
        let expected: Settings = toml::from_str(
            "[roles]\nlabel='l'\nid='i'\ntext=['a','b']\nresponse='r'\nrejected='j'\nimage='m'\nembedding='e'\nprobs='p'\nsource='s'\ntime='t'\naddress='u'\ndigest='h'\nignore=['x','y']\n\
             [decide]\nfdr=0.2\nfail_on='never'\n[policy]\nbaseline='b'\n[detectors]\nonly=['trigger']\nskip=['trigger.rule']\n\
             [run]\nseed=9\nthreads=3\nmemory='1GiB'\nbatch_rows=10\npower=true\n[output]\ndir='o'\nscores=true\nmetrics='m'\n",
        )
        .unwrap();
        assert_eq!(given, expected);
    }

    #[test]
    fn json_is_an_output_however_it_is_asked_for() {
        assert!(scan(&["--json"]).wants_json() && scan(&["--format", "json"]).wants_json());
        assert!(!scan(&["--format", "jsonl"]).wants_json() && !scan(&[]).wants_json());
    }

    #[test]
    fn the_defaults_that_the_help_names_are_the_defaults() {
        let defaults = Settings::default();
        let mut command = Cli::command();
        let help = command.find_subcommand_mut("scan").unwrap().render_long_help().to_string();
        for value in [defaults.decide.fdr.to_string(), defaults.run.memory.to_string(), defaults.run.batch_rows.to_string()] {
            assert!(help.contains(&format!("[default: {value}]")), "{value}");
        }
        assert!(help.contains(&format!("[default: {}]", defaults.output.dir.display())));
        assert_eq!(defaults.decide.fail_on, FailOn::Fail);
    }
}
