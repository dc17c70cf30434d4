//! Which column plays which part: from names, types and the first rows, each with its reason, unless the user says.

mod label;

use std::collections::BTreeSet;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use serde::{Deserialize, Serialize};

use super::answer::{are_transcripts, has_prompts, may_answer};
use super::batch::{doubles, list_values, picture, strings, texts};
use crate::error::{Error, Place, Result};

/// The part that a column plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What a model is to predict.
    Label,
    /// A number that a model is to predict, in place of a label.
    Target,
    /// Names the row.
    Id,
    /// Free text or chat messages.
    Text,
    /// What a model is to answer; in a chat all that an assistant wrote. Where no column is the label, answers that repeat are.
    Response,
    /// The answer of a preference set that was turned down.
    Rejected,
    /// A picture.
    Image,
    /// A vector that stands for the row.
    Embedding,
    /// Class probabilities of a model that did not see the row.
    Probabilities,
    /// A number.
    Numeric,
    /// One of a few values.
    Categorical,
    /// Who or what the row came from.
    Source,
    /// When the row was made.
    Time,
    /// Where on a network its content lies.
    Address,
    /// A hash of the content that was there.
    Digest,
    /// Not looked at.
    Ignored,
}

impl Role {
    /// The name used in files and on the terminal.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Target => "target",
            Self::Id => "id",
            Self::Text => "text",
            Self::Response => "response",
            Self::Rejected => "rejected",
            Self::Image => "image",
            Self::Embedding => "embedding",
            Self::Probabilities => "probabilities",
            Self::Numeric => "numeric",
            Self::Categorical => "categorical",
            Self::Source => "source",
            Self::Time => "time",
            Self::Address => "address",
            Self::Digest => "digest",
            Self::Ignored => "ignored",
        }
    }

    /// Whether the role is part of a row's content.
    #[must_use]
    pub fn is_content(self) -> bool {
        matches!(self, Self::Text | Self::Image | Self::Embedding | Self::Numeric | Self::Categorical)
    }
}

/// A column with its role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnRole {
    /// Column name.
    pub name: String,
    /// Arrow type, as text.
    pub data_type: String,
    /// Its part.
    pub role: Role,
    /// Why.
    pub reason: String,
    /// Length of the vectors of an embedding or probability column.
    pub width: Option<usize>,
}

/// What the user said about roles; everything else is inferred. The keys of a configuration file's `[roles]` table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Choices {
    /// The label column.
    pub label: Option<String>,
    /// The id column.
    pub id: Option<String>,
    /// Text columns.
    pub text: Vec<String>,
    /// The column of answers.
    pub response: Option<String>,
    /// The column of answers that were turned down.
    pub rejected: Option<String>,
    /// The image column.
    pub image: Option<String>,
    /// The embedding column.
    pub embedding: Option<String>,
    /// The class probability column.
    pub probs: Option<String>,
    /// The source column.
    pub source: Option<String>,
    /// The time column.
    pub time: Option<String>,
    /// The column of network addresses.
    pub address: Option<String>,
    /// The column of content hashes.
    pub digest: Option<String>,
    /// Columns to leave out.
    pub ignore: Vec<String>,
}

impl Choices {
    fn named(&self) -> Vec<(&'static str, &str, Role)> {
        let single = [
            ("--label", &self.label, Role::Label),
            ("--id", &self.id, Role::Id),
            ("--response", &self.response, Role::Response),
            ("--rejected", &self.rejected, Role::Rejected),
            ("--image", &self.image, Role::Image),
            ("--embedding", &self.embedding, Role::Embedding),
            ("--probs", &self.probs, Role::Probabilities),
            ("--source", &self.source, Role::Source),
            ("--time", &self.time, Role::Time),
            ("--address", &self.address, Role::Address),
            ("--digest", &self.digest, Role::Digest),
        ];
        let single = single.into_iter().filter_map(|(flag, value, role)| Some((flag, value.as_deref()?, role)));
        let text = self.text.iter().map(|v| ("--text", v.as_str(), Role::Text));
        let ignore = self.ignore.iter().map(|v| ("--ignore", v.as_str(), Role::Ignored));
        single.chain(text).chain(ignore).collect()
    }
}

const ID_NAMES: [&str; 8] = ["id", "uid", "uuid", "guid", "key", "index", "row_id", "__index_level_0__"];
const TIME_NAMES: [&str; 10] =
    ["time", "timestamp", "date", "datetime", "created", "created_at", "updated_at", "crawled_at", "collected_at", "fetched_at"];
const SOURCE_NAMES: [&str; 15] = [
    "source",
    "annotator",
    "annotator_id",
    "worker",
    "worker_id",
    "contributor",
    "author",
    "user",
    "user_id",
    "domain",
    "site",
    "host",
    "origin",
    "provider",
    "site_id",
];
/// Names that mean answers of an instruction or preference set, lower case.
const RESPONSE_NAMES: [&str; 14] = [
    "output",
    "response",
    "answer",
    "completion",
    "chosen",
    "assistant",
    "messages",
    "conversations",
    "conversation",
    "dialog",
    "dialogue",
    "chat",
    "reply",
    "target",
];
/// Names of the answer that a preference set turns down, lower case.
const REJECTED_NAMES: [&str; 2] = ["rejected", "rejected_response"];
/// Parts of a name that mean a hash of content.
const DIGEST_NAMES: [&str; 8] = ["sha256", "sha1", "sha512", "md5", "blake3", "hash", "digest", "checksum"];
const PROBABILITY_NAMES: [&str; 7] = ["pred_probs", "probs", "probabilities", "proba", "softmax", "scores", "prob"];

/// What the first rows of a column look like.
struct Look {
    rows: usize,
    values: Vec<String>,
    distinct: usize,
}

impl Look {
    fn of(array: &ArrayRef) -> Self {
        let values: Vec<String> = strings(array).iter().flatten().map(str::to_owned).collect();
        let distinct = values.iter().collect::<BTreeSet<_>>().len();
        Self { rows: array.len(), values, distinct }
    }

    /// Words of a value, on average.
    fn words(&self) -> f64 {
        self.values.iter().map(|value| words_of(value)).sum::<f64>() / self.values.len().max(1) as f64
    }

    /// Whether nearly all values are network addresses: a scheme and a host.
    fn addresses(&self) -> bool {
        let is_address = |v: &&String| v.split_once("://").is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty());
        !self.values.is_empty() && self.values.iter().filter(is_address).count() * 20 >= self.values.len() * 19
    }

    /// Whether all values are hexadecimal numbers of one length, 128 bits or more.
    fn digests(&self) -> bool {
        let length = self.values.first().map_or(0, String::len);
        length >= 32 && self.values.iter().all(|v| v.len() == length && v.bytes().all(|b| b.is_ascii_hexdigit()))
    }

    fn unique(&self) -> bool {
        self.values.len() > 1 && self.distinct == self.values.len()
    }

    /// Whole numbers one apart, in any order.
    fn counts_up(&self) -> bool {
        let mut numbers: Vec<i64> = self.values.iter().filter_map(|v| v.parse().ok()).collect();
        numbers.sort_unstable();
        numbers.len() == self.rows && numbers.len() > 2 && numbers.windows(2).all(|w| w[1].checked_sub(w[0]) == Some(1))
    }
}

/// Words of a text, about: those between spaces, and as many more as its letters make in scripts that are written without spaces.
fn words_of(text: &str) -> f64 {
    let beyond: f64 = text.chars().map(letter_without_spaces).sum();
    text.split_whitespace().count() as f64 + (beyond - 1.0).max(0.0)
}

/// The part of a word that a letter makes in scripts without spaces: Chinese words have about two characters, Thai ones about five.
fn letter_without_spaces(letter: char) -> f64 {
    match letter {
        '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{3134f}' => 0.5,
        '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' => 0.2,
        _ => 0.0,
    }
}

fn is_scheme(scheme: &str) -> bool {
    !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// Gives every column a role. `head` holds the first rows of the input; `whole` says that it holds all of them.
pub fn infer(arrow: &SchemaRef, head: &RecordBatch, whole: bool, choices: &Choices, source: &str) -> Result<Vec<ColumnRole>> {
    let mut roles: Vec<Option<(Role, String)>> = vec![None; arrow.fields().len()];
    for (flag, name, role) in choices.named() {
        let Some(column) = arrow.fields().iter().position(|f| f.name() == name) else {
            return Err(missing(arrow, flag, name, source));
        };
        if let Some((other, _)) = &roles[column] {
            return Err(Error::config(flag, format!("column '{name}' is already the {} column", other.name())));
        }
        roles[column] = Some((role, format!("given with {flag}")));
    }
    let looks: Vec<Look> = head.columns().iter().map(Look::of).collect();
    let has = |roles: &[Option<(Role, String)>], role| roles.iter().flatten().any(|(r, _)| *r == role);
    let lower: Vec<String> = arrow.fields().iter().map(|f| f.name().to_lowercase()).collect();
    if has(&roles, Role::Label) && has(&roles, Role::Response) {
        let why = "a set has labels or answers to look for triggers in: --label is given as well";
        return Err(Error::config("--response", why.to_owned()));
    }
    if !has(&roles, Role::Label) && !has(&roles, Role::Response) {
        label::choose(arrow, &looks, &lower, &mut roles);
    }
    label::set_others_aside(&looks, &lower, &mut roles);
    for column in 0..roles.len() {
        if roles[column].is_none() {
            let taken = |role| has(&roles, role);
            roles[column] = Some(infer_one(&lower[column], head.column(column), &looks[column], whole, &taken));
        }
    }
    if !has(&roles, Role::Label) {
        choose_response(head, &lower, &mut roles);
    }
    let width = |column: usize, role: Role| -> Option<usize> {
        if !matches!(role, Role::Embedding | Role::Probabilities) {
            return None;
        }
        let array = head.column(column);
        (0..array.len()).find_map(|row| list_values(array, row)).map(|v| v.len())
    };
    let columns: Vec<ColumnRole> = roles
        .into_iter()
        .enumerate()
        .map(|(column, role)| {
            let (role, reason) = role.unwrap_or((Role::Ignored, "nothing known".to_owned()));
            let field = arrow.field(column);
            ColumnRole { name: field.name().clone(), data_type: field.data_type().to_string(), role, reason, width: width(column, role) }
        })
        .collect();
    check_given_types(arrow, &columns, source)?;
    Ok(columns)
}

fn missing(arrow: &SchemaRef, flag: &str, name: &str, source: &str) -> Error {
    let names: Vec<&str> = arrow.fields().iter().map(|f| f.name().as_str()).collect();
    let near = names.iter().map(|n| (strsim::jaro_winkler(&n.to_lowercase(), &name.to_lowercase()), *n)).max_by(|a, b| a.0.total_cmp(&b.0));
    let help = match near {
        Some((likeness, near)) if likeness > 0.75 => format!("Did you mean '{near}'?"),
        _ => format!("The columns are: {}.", names.join(", ")),
    };
    Error::input(Place::source(source), format!("there is no column '{name}' for {flag}")).with_help(help)
}

fn is_vector(data_type: &DataType) -> bool {
    matches!(data_type, DataType::FixedSizeList(f, _) | DataType::List(f) | DataType::LargeList(f) if f.data_type().is_numeric())
}

fn is_turns(data_type: &DataType) -> bool {
    matches!(data_type, DataType::List(f) | DataType::LargeList(f)
        if matches!(f.data_type(), DataType::Struct(_) | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View))
}

fn is_encoded_image(data_type: &DataType) -> bool {
    match data_type {
        DataType::Struct(fields) => fields.iter().any(|f| f.name() == "bytes" && f.data_type().is_binary()),
        other => other.is_binary(),
    }
}

fn is_string(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => is_string(value),
        other => other.is_string(),
    }
}

fn check_given_types(arrow: &SchemaRef, columns: &[ColumnRole], source: &str) -> Result<()> {
    for (column, info) in columns.iter().enumerate() {
        let data_type = arrow.field(column).data_type();
        let (fits, wants) = match info.role {
            Role::Embedding | Role::Probabilities => (is_vector(data_type), "a list of numbers"),
            Role::Image => (is_encoded_image(data_type) || is_vector(data_type), "encoded bytes or a list of samples"),
            Role::Text => (is_string(data_type) || is_turns(data_type), "strings or chat messages"),
            Role::Response | Role::Rejected => (may_answer(data_type), "strings or chat messages"),
            Role::Address | Role::Digest => (is_string(data_type), "strings"),
            Role::Label => (!data_type.is_nested() && !data_type.is_binary(), "integers, strings, booleans or a dictionary"),
            _ => (true, ""),
        };
        if !fits {
            let place = Place::source(source).column(info.name.as_str());
            return Err(Error::input(place, format!("the {} column must hold {wants}, this one holds {data_type}", info.role.name())));
        }
    }
    Ok(())
}

/// Answers by name, where something else is left that could be their prompts. The turned-down answer of a preference set is
/// no prompt either.
fn choose_response(head: &RecordBatch, lower: &[String], roles: &mut [Option<(Role, String)>]) {
    let may = |roles: &[Option<(Role, String)>], c: usize, roles_for: &[Role]| {
        matches!(&roles[c], Some((role, reason)) if roles_for.contains(role) && !reason.starts_with("given"))
            && may_answer(head.column(c).data_type())
    };
    let given = roles.iter().position(|r| matches!(r, Some((Role::Response, _))));
    let chosen = given.or_else(|| {
        let named =
            |name: &&str| (0..lower.len()).find(|&c| lower[c] == **name && may(roles, c, &[Role::Text, Role::Categorical, Role::Ignored]));
        RESPONSE_NAMES.iter().find_map(|name| {
            named(name).filter(|&c| {
                let own = has_prompts(head.column(c).data_type()) || are_transcripts(head.column(c));
                own || (0..lower.len()).any(|other| {
                    other != c && matches!(&roles[other], Some((Role::Text, _))) && !REJECTED_NAMES.contains(&lower[other].as_str())
                })
            })
        })
    });
    let Some(chosen) = chosen else { return };
    if given.is_none() {
        roles[chosen] = Some((Role::Response, "named like answers".to_owned()));
    }
    for c in 0..roles.len() {
        if REJECTED_NAMES.contains(&lower[c].as_str()) && may(roles, c, &[Role::Text, Role::Categorical]) {
            roles[c] = Some((Role::Rejected, format!("the answer that is turned down for '{}'", lower[chosen])));
        }
    }
}

fn infer_one(name: &str, array: &ArrayRef, look: &Look, whole: bool, taken: &dyn Fn(Role) -> bool) -> (Role, String) {
    let say = |role, reason: &str| (role, reason.to_owned());
    let data_type = array.data_type();
    if is_encoded_image(data_type) {
        return match (0..array.len()).find_map(|row| picture(array, row)) {
            Some(image) if !taken(Role::Image) => (Role::Image, format!("pictures, {}×{}×{}", image.width, image.height, image.channels)),
            Some(_) => say(Role::Ignored, "another image column"),
            None => say(Role::Ignored, "binary, and no picture"),
        };
    }
    if is_vector(data_type) {
        return infer_vector(name, array, taken);
    }
    if is_turns(data_type) {
        let words = texts(array).iter().flatten().map(|t| t.split_whitespace().count()).sum::<usize>();
        return if words > 0 { say(Role::Text, "chat messages or lines") } else { say(Role::Ignored, "a list without text") };
    }
    if data_type.is_nested() {
        return (Role::Ignored, format!("type {data_type} is not read"));
    }
    if look.values.is_empty() {
        return say(Role::Ignored, "only nulls in the first rows");
    }
    if ID_NAMES.contains(&name) && look.unique() || name.ends_with("_id") && look.unique() {
        return if taken(Role::Id) { say(Role::Ignored, "another id") } else { say(Role::Id, "named like an id, all values differ") };
    }
    if TIME_NAMES.contains(&name) || data_type.is_temporal() {
        return if taken(Role::Time) { say(Role::Ignored, "another time") } else { say(Role::Time, "named or typed like a time") };
    }
    if SOURCE_NAMES.contains(&name) && !look.unique() && look.distinct > 1 {
        return if taken(Role::Source) { say(Role::Categorical, "another source") } else { say(Role::Source, "named like a source") };
    }
    if whole && look.distinct <= 1 && look.values.len() == look.rows {
        return say(Role::Ignored, "constant");
    }
    if is_string(data_type) {
        if look.addresses() && !taken(Role::Address) {
            return say(Role::Address, "network addresses");
        }
        if look.digests() && DIGEST_NAMES.iter().any(|n| name.contains(n)) && !taken(Role::Digest) {
            return say(Role::Digest, "named like a hash, hexadecimal numbers of one length");
        }
        return infer_string(look);
    }
    if *data_type == DataType::Boolean {
        return say(Role::Categorical, "true or false");
    }
    if look.unique() && look.counts_up() {
        return say(Role::Ignored, "counts up like an id");
    }
    if doubles(array).null_count() < array.len() {
        return say(Role::Numeric, "numbers");
    }
    (Role::Ignored, format!("type {data_type} is not read"))
}

fn infer_vector(name: &str, array: &ArrayRef, taken: &dyn Fn(Role) -> bool) -> (Role, String) {
    let say = |role, reason: &str| (role, reason.to_owned());
    let heads: Vec<ArrayRef> = (0..array.len().min(200)).filter_map(|row| list_values(array, row)).collect();
    let Some(first) = heads.first() else { return say(Role::Ignored, "only nulls in the first rows") };
    if *first.data_type() == DataType::UInt8 {
        return match picture(array, (0..array.len()).find(|&r| array.is_valid(r)).unwrap_or(0)) {
            Some(image) if !taken(Role::Image) => {
                (Role::Image, format!("raw samples, {}×{}×{}", image.width, image.height, image.channels))
            }
            Some(_) => say(Role::Ignored, "another image column"),
            None => say(Role::Ignored, "bytes that make no square picture"),
        };
    }
    if heads.iter().any(|v| v.len() != first.len()) {
        return say(Role::Ignored, "lists of different lengths");
    }
    let simplex = heads.iter().all(|v| {
        let v = doubles(v);
        let sum: f64 = v.iter().flatten().sum();
        v.iter().flatten().all(|p| (-1e-6..=1.0 + 1e-6).contains(&p)) && (sum - 1.0).abs() < 0.02
    });
    if simplex && first.len() > 1 && !taken(Role::Probabilities) && (PROBABILITY_NAMES.contains(&name) || first.len() <= 1000) {
        return say(Role::Probabilities, "vectors that sum to 1");
    }
    if taken(Role::Embedding) {
        return say(Role::Ignored, "another embedding");
    }
    (Role::Embedding, format!("vectors of {} numbers", first.len()))
}

fn infer_string(look: &Look) -> (Role, String) {
    let words = look.words();
    let share = look.distinct as f64 / look.values.len() as f64;
    if words >= 4.0 || (words >= 1.5 && share > 0.5 && look.distinct > 50) {
        return (Role::Text, format!("strings of {words:.0} words on average"));
    }
    if look.distinct > 20 && share > 0.9 {
        return (Role::Ignored, "nearly all values differ, like an id".to_owned());
    }
    (Role::Categorical, format!("strings, {} values in the first rows", look.distinct))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_without_spaces_have_words() {
        assert!(words_of("我昨天在公园里看到一只猫。") >= 5.0);
        assert!(words_of("กรุณาอ่านคำแนะนำก่อนใช้งานทุกครั้ง") >= 4.0);
        // Names of classes stay names.
        assert!(words_of("体育新闻") < 3.0 && words_of("正面") < 2.0);
        assert!((words_of("a plain text") - 3.0).abs() < 1e-12);
    }
}
