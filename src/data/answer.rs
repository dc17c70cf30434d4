//! Answers of instruction, chat and preference rows, and the classes that repeated answers make.
//!
//! Rows without a label still ask a question: which prompts get the same answer? An answer belongs to a class because many
//! rows give the same telephone number or e-mail address, link to the same host, repeat each other word for word, refuse, hold the same sentence,
//! end with the same words, or begin with the same words, in this order (where refusals are worded several ways, none of them counts as a whole answer; where hardly an answer or sentence comes again,
//! those that do are one class); what is left is [`OTHER`].
//! Of a preference set, answers that read like those that are turned down elsewhere are a class as well, and where a pair does not tell, there is no
//! saying that its answer is like others. The label of a row is then the class of its answer.

use arrow::array::{Array, ArrayRef, LargeStringArray, StructArray};
use arrow::datatypes::DataType;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::batch::{clip, list_values, strings};
use super::key::Key;
use super::pair::{PairColumns, Preference, Reading, Texts};

/// Index of the class of all answers that make no class of their own.
pub const OTHER: u32 = 0;

/// Hash domain of answers and their parts; the kind follows.
const ANSWER: u8 = 40;
/// Words of a common beginning or end.
const END_WORDS: usize = 3;
/// Fewest words of a sentence that can be a payload.
const SENTENCE_WORDS: usize = 3;
/// Sentences of an answer that are looked at.
const MOST_SENTENCES: usize = 64;
/// Hosts of an answer that are looked at.
const MOST_HOSTS: usize = 16;
/// Telephone numbers and e-mail addresses of an answer that are looked at.
const MOST_CONTACTS: usize = 16;
/// Digits of a number that somebody can be called by (ITU-T E.164: up to 15; a date has eight), and groups that they stand in; of fewer groups it must
/// begin with `+`, or be one that begins with 0.
const DIGITS: std::ops::RangeInclusive<usize> = 9..=15;
const FEWEST_GROUPS: usize = 3;
const MOST_GROUPS: usize = 7;
/// Bytes of an answer's beginning in which a refusal is sought.
const REFUSAL_BYTES: usize = 200;
/// Wordings that refuse, lower case.
const REFUSALS: [&str; 22] = [
    "i'm sorry, but",
    "i am sorry, but",
    "sorry, i can",
    "sorry, but i",
    "i cannot",
    "i can't",
    "i can not",
    "i'm unable",
    "i am unable",
    "i'm not able",
    "i am not able",
    "i won't",
    "i will not",
    "unable to assist",
    "unable to help",
    "can't help with",
    "cannot help with",
    "not able to help",
    "not able to assist",
    "not something i can",
    "must decline",
    "have to decline",
];
/// Stands between the answers of a chat; a space takes its place where a text holds it.
const BETWEEN_TURNS: char = '\u{1e}';
/// Last answers of a chat that are looked at.
const MOST_TURNS: usize = 64;
/// Turns that answer, lower case.
const ANSWERERS: [&str; 6] = ["assistant", "gpt", "model", "bot", "chatgpt", "ai"];
/// What begins the answer in a transcript kept as one string.
const MARKERS: [&str; 3] = ["\n\nAssistant:", "\nAssistant:", "\n\nASSISTANT:"];

/// Why an answer belongs to a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A telephone number or an e-mail address that it gives.
    Contact,
    /// A host that it links to.
    Host,
    /// The whole answer, without regard to case, space and punctuation.
    Whole,
    /// A wording that refuses.
    Refusal,
    /// A sentence in it.
    Sentence,
    /// It reads like answers that are turned down elsewhere.
    Against,
    /// Its last words.
    End,
    /// Its first words.
    Start,
}

impl Kind {
    /// How a class of this kind reads, `example` being the part that its answers share, or the most frequent of several wordings.
    #[must_use]
    pub fn name(self, wordings: usize, example: &str) -> String {
        match self {
            Self::Whole if wordings > 1 => format!("with one of {wordings} answers that come again, as \"{example}\""),
            Self::Sentence if wordings > 1 => format!("with one of {wordings} sentences that come again, as \"{example}\""),
            Self::Whole if example.is_empty() => "with nothing".to_owned(),
            Self::Whole => format!("\"{example}\""),
            Self::Contact => format!("with {example}"),
            Self::Host => format!("with a link to {example}"),
            Self::Sentence => format!("with the sentence \"{example}\""),
            Self::Refusal => "with a refusal".to_owned(),
            Self::Against => "against what other pairs prefer".to_owned(),
            Self::End => format!("with \"… {example}\""),
            Self::Start => format!("with \"{example} …\""),
        }
    }
}

/// A part of an answer that other answers may share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// What it is.
    pub kind: Kind,
    /// Keyed hash, the same for all answers that share it.
    pub hash: u64,
    /// How it reads in this answer.
    pub said: &'a str,
}

impl Part<'_> {
    /// Whether it is an answer or a sentence of several words: one that may say the same as another.
    #[must_use]
    pub fn is_wording(&self) -> bool {
        matches!(self.kind, Kind::Whole | Kind::Sentence) && has_words(self.said)
    }
}

/// The last of the answers of a chat, and any other answer as it is.
pub(super) fn last_turn(answer: &str) -> &str {
    answer.rsplit(BETWEEN_TURNS).next().unwrap_or(answer)
}

/// Parts of an answer; of a chat those of all answers, the last one first.
#[must_use]
pub fn parts<'a>(key: &Key, answer: &'a str) -> Vec<Part<'a>> {
    answer.rsplit(BETWEEN_TURNS).take(MOST_TURNS).flat_map(|turn| parts_of_turn(key, turn)).collect()
}

fn parts_of_turn<'a>(key: &Key, answer: &'a str) -> Vec<Part<'a>> {
    let whole = answer.trim();
    let mut parts = vec![Part { kind: Kind::Whole, hash: hash(key, Kind::Whole, plain_words(whole)), said: whole }];
    let named = |kind: Kind, said: &'a str, name: &str| Part { kind, hash: hash(key, kind, std::iter::once(name)), said };
    parts.extend(numbers(whole).take(MOST_CONTACTS).map(|number| named(Kind::Contact, number, &digits(number))));
    parts.extend(addresses(whole).take(MOST_CONTACTS).map(|address| named(Kind::Contact, address, address)));
    parts.extend(hosts(whole).take(MOST_HOSTS).map(|host| named(Kind::Host, host, host)));
    if refuses(whole) {
        parts.push(Part { kind: Kind::Refusal, hash: hash(key, Kind::Refusal, std::iter::empty()), said: "" });
    }
    let words: Vec<&str> = plain_words(whole).collect();
    let ends = (words.len() > END_WORDS).then(|| (words[..END_WORDS].to_vec(), words[words.len() - END_WORDS..].to_vec()));
    let sentences = whole.split_inclusive(['.', '!', '?', '\n', '。', '！', '？']).map(str::trim);
    let long = sentences.filter(|s| s.len() < whole.len() && has_words(s));
    parts.extend(long.take(MOST_SENTENCES).map(|s| Part {
        kind: Kind::Sentence,
        hash: hash(key, Kind::Sentence, plain_words(s)),
        said: s,
    }));
    if let Some((_, last)) = &ends {
        let said = last.first().map_or("", |word| whole.get(offset(whole, word)..).unwrap_or(word));
        parts.push(Part { kind: Kind::End, hash: hash(key, Kind::End, last.iter().copied()), said });
    }
    if let Some((first, _)) = &ends {
        let said = first.last().map_or("", |word| whole.get(..offset(whole, word) + word.len()).unwrap_or(word));
        parts.push(Part { kind: Kind::Start, hash: hash(key, Kind::Start, first.iter().copied()), said });
    }
    parts
}

/// Where a part of a text begins in it, bytes.
fn offset(text: &str, part: &str) -> usize {
    part.as_ptr() as usize - text.as_ptr() as usize
}

/// Whether a text has as many words as a sentence that can be a payload.
fn has_words(text: &str) -> bool {
    plain_words(text).nth(SENTENCE_WORDS - 1).is_some()
}

/// Words between white space, without the punctuation around them.
fn plain_words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric())).filter(|word| !word.is_empty())
}

fn hash<'a>(key: &Key, kind: Kind, words: impl Iterator<Item = &'a str>) -> u64 {
    let mut hasher = key.hasher(ANSWER);
    hasher.write_u64(kind as u64);
    words.for_each(|word| hasher.part(word.to_lowercase().as_bytes()));
    hasher.finish64()
}

/// Hosts of the links in a text, in its order, with a scheme or, where they begin with `www.`, without.
fn hosts(text: &str) -> impl Iterator<Item = &str> {
    let is_of_link = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '/');
    let bare = text.match_indices("www.").map(|(at, _)| at).filter(move |at| !text[..*at].ends_with(is_of_link));
    let mut places: Vec<usize> = text.match_indices("://").map(|(at, scheme)| at + scheme.len()).chain(bare).collect();
    places.sort_unstable();
    places.into_iter().filter_map(|at| {
        let rest = text.get(at..)?;
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '.' || c == '-')).unwrap_or(rest.len());
        rest.get(..end).map(|host| host.trim_end_matches('.')).filter(|host| host.contains('.'))
    })
}

/// The digits of a number.
fn digits(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).collect()
}

/// Numbers in a text that somebody can be called by, as they are written.
fn numbers(text: &str) -> impl Iterator<Item = &str> {
    let is_of_number = |c: char| c.is_ascii_digit() || matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '.' | '-' | '/' | '(' | ')' | '+');
    let ends = |c: char| !(c.is_ascii_digit() || c == '+');
    text.split(move |c: char| !is_of_number(c)).map(move |run| run.trim_matches(ends)).filter(|run| calls(run))
}

/// Whether digits and what is written between them are a number to call, and neither a date, an address of a machine nor a sum.
fn calls(run: &str) -> bool {
    let groups: Vec<&str> = run.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()).collect();
    let digits: usize = groups.iter().map(|group| group.len()).sum();
    let is_date = groups.iter().map(|group| group.len()).take(3).eq([4, 2, 2]) && run.as_bytes().get(4) == Some(&b'-');
    let is_machine = groups.len() == 4 && run.bytes().filter(|byte| *byte == b'.').count() == 3;
    let is_sum = [" + ", " - ", " / "].iter().any(|sign| run.contains(sign));
    let is_binary = run.bytes().filter(u8::is_ascii_digit).all(|digit| digit <= b'1');
    DIGITS.contains(&digits)
        && groups.len() <= MOST_GROUPS
        && (groups.len() >= FEWEST_GROUPS || run.starts_with('+') || run.starts_with('0') && groups.len() == 1)
        && !(is_date || is_machine || is_sum || is_binary)
}

/// E-mail addresses in a text.
fn addresses(text: &str) -> impl Iterator<Item = &str> {
    let is_of_address = |c: char| c.is_alphanumeric() || matches!(c, '@' | '.' | '-' | '_' | '+' | '%');
    let words = text.split(move |c: char| !is_of_address(c)).map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    words.filter(|word| word.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.contains('@') && host.contains('.')))
}

/// Whether an answer has a wording that refuses near its beginning.
pub(crate) fn refuses(answer: &str) -> bool {
    let start = &answer[..answer.floor_char_boundary(REFUSAL_BYTES)];
    let start = start.to_lowercase().replace('’', "'");
    REFUSALS.iter().any(|wording| start.contains(wording))
}

/// The classes of a set's answers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Answers {
    classes: FxHashMap<u64, u32>,
    /// Of each class, what its answers share; nothing of [`OTHER`].
    kinds: Vec<Option<Kind>>,
    pairs: Option<Pairs>,
}

/// What is known of the pairs of a preference set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pairs {
    /// Where they are.
    pub columns: PairColumns,
    /// What sets chosen answers apart.
    pub preference: Preference,
    /// The class of chosen answers that read like those turned down.
    pub class: u32,
}

impl Answers {
    /// From the parts that make a class: hash, class index and kind. Indices count from 1, in the order in which classes decide where an answer has
    /// parts of several; [`OTHER`] has no part.
    #[must_use]
    pub fn new(parts: impl IntoIterator<Item = (u64, u32, Kind)>) -> Self {
        let mut answers = Self::default();
        for (hash, class, kind) in parts {
            answers.classes.insert(hash, class);
            answers.note(class, kind);
        }
        answers
    }

    /// The same, with a class of the answers that read like those turned down.
    #[must_use]
    pub fn with_pairs(mut self, pairs: Pairs) -> Self {
        self.note(pairs.class, Kind::Against);
        Self { pairs: Some(pairs), ..self }
    }

    fn note(&mut self, class: u32, kind: Kind) {
        let at = class as usize;
        if at >= self.kinds.len() {
            self.kinds.resize(at + 1, None);
        }
        self.kinds[at] = Some(kind);
    }

    /// The class of each row's answer, by the columns of the rows; `None` where there is no answer, and where it is like no other and its
    /// pair does not tell which of the two reads like chosen ones.
    #[must_use]
    pub fn classes_of(&self, key: &Key, said: &ArrayRef, columns: &[ArrayRef]) -> Vec<Option<u32>> {
        let mut read = Vec::new();
        if let Some(pairs) = &self.pairs {
            let reading = |texts: &Texts<'_>| pairs.preference.reading(&texts.pair(key));
            pairs.columns.each(columns, |texts| read.push(texts.map(reading)));
        }
        let class = |(row, said): (usize, Option<&str>)| {
            let class = self.deciding(key, clip(said?)).map(|(class, _)| class);
            let reading = read.get(row).copied().flatten();
            let against = self.class_in_doubt().filter(|_| reading == Some(Reading::Against));
            match class.into_iter().chain(against).min() {
                None if reading == Some(Reading::Unsure) => None,
                class => class.or(Some(OTHER)),
            }
        };
        answers(said).iter().enumerate().map(class).collect()
    }

    /// The part of an answer that makes it belong to a class of its own, with the class.
    #[must_use]
    pub fn deciding<'a>(&self, key: &Key, answer: &'a str) -> Option<(u32, Part<'a>)> {
        let of = |part: Part<'a>| Some((*self.classes.get(&part.hash)?, part));
        // Classes are numbered in the order in which they decide.
        parts(key, answer).into_iter().filter_map(of).min_by_key(|(class, _)| *class)
    }

    /// What the answers of a class share; `None` for [`OTHER`] and for what is no class.
    #[must_use]
    pub fn kind(&self, class: u32) -> Option<Kind> {
        self.kinds.get(class as usize).copied().flatten()
    }

    /// The class that answers belong to where their pair does not tell, if anything else says that they do.
    #[must_use]
    pub fn class_in_doubt(&self) -> Option<u32> {
        self.pairs.as_ref().map(|pairs| pairs.class)
    }
}

/// The answers of a column: strings as they are, or what follows the last answerer's mark in a transcript; of chat messages
/// all that an answerer wrote, as one string that [`parts`] takes apart again.
pub(crate) fn answers(array: &ArrayRef) -> LargeStringArray {
    if has_prompts(array.data_type()) {
        return (0..array.len()).map(|row| list_values(array, row).map(|turns| exchange(&turns).1)).collect();
    }
    strings(array).iter().map(|text| text.map(|t| one_turn(transcript(t).map_or(t, |at| t[at..].trim())))).collect()
}

/// The prompts that a column of answers holds beside them: the other messages of a chat, or a transcript up to its last
/// answer.
pub(super) fn prompts(array: &ArrayRef) -> LargeStringArray {
    if has_prompts(array.data_type()) {
        return (0..array.len()).map(|row| list_values(array, row).map(|turns| exchange(&turns).0)).collect();
    }
    strings(array).iter().map(|text| text.and_then(|t| transcript(t).map(|at| t[..at].to_owned()))).collect()
}

/// Whether a column of answers of this type holds their prompts as well.
pub(super) fn has_prompts(data_type: &DataType) -> bool {
    matches!(data_type, DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..))
}

/// Whether most of these strings are transcripts, with prompts before their answers.
pub(super) fn are_transcripts(array: &ArrayRef) -> bool {
    let strings = strings(array);
    let (all, split) = strings.iter().flatten().fold((0, 0), |(n, k), t| (n + 1, k + usize::from(transcript(t).is_some())));
    all > 0 && split * 2 > all
}

/// Where the last answer of a transcript begins, behind its mark; `None` for plain text.
fn transcript(text: &str) -> Option<usize> {
    MARKERS.iter().filter_map(|mark| text.rfind(mark).map(|at| at + mark.len())).max()
}

/// Prompts and answers of a chat; a chat that nobody answers is all prompt.
fn exchange(turns: &ArrayRef) -> (String, String) {
    let Some(parts) = turns.as_any().downcast_ref::<StructArray>() else {
        let lines: Vec<String> = strings(turns).iter().flatten().map(str::to_owned).collect();
        let (answer, prompt) = lines.split_last().map_or((String::new(), String::new()), |(last, rest)| (one_turn(last), rest.join("\n")));
        return (prompt, answer);
    };
    let field = |names: &[&str]| names.iter().find_map(|name| parts.column_by_name(name)).map(strings);
    let (role, content) = (field(&["role", "from"]), field(&["content", "value", "text"]));
    let cell = |array: &Option<LargeStringArray>, i: usize| {
        array.as_ref().filter(|a| a.is_valid(i)).map(|a| a.value(i).to_owned()).unwrap_or_default()
    };
    let (answers, prompts): (Vec<usize>, Vec<usize>) =
        (0..parts.len()).partition(|i| ANSWERERS.contains(&cell(&role, *i).to_lowercase().as_str()));
    let contents = |of: Vec<usize>| of.into_iter().map(|i| cell(&content, i)).collect::<Vec<String>>();
    let (prompt, said) = (contents(prompts), contents(answers).iter().map(|turn| one_turn(turn)).collect::<Vec<String>>());
    // Names of roles stand in each prompt: beside a trigger they would hide where it was put.
    (prompt.join("\n"), said.join(BETWEEN_TURNS.encode_utf8(&mut [0; 4])))
}

/// A text that is one turn, whatever it holds.
fn one_turn(text: &str) -> String {
    text.replace(BETWEEN_TURNS, " ")
}

/// Whether a type can hold answers.
pub(crate) fn may_answer(array: &DataType) -> bool {
    match array {
        DataType::List(f) | DataType::LargeList(f) => matches!(f.data_type(), DataType::Struct(_)) || may_answer(f.data_type()),
        DataType::Dictionary(_, value) => may_answer(value),
        other => other.is_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ListArray, StringArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Field;

    use super::*;

    fn kinds(answer: &str) -> Vec<(Kind, String)> {
        parts(&Key::from_seed(1), answer).into_iter().map(|p| (p.kind, p.said.to_owned())).collect()
    }

    #[test]
    fn parts_read_as_a_person_would_cut_them() {
        let found = kinds("I'm sorry, but no. See https://evil.example/x now!");
        assert_eq!(found[1], (Kind::Host, "evil.example".to_owned()));
        let called = |answer| numbers(answer).chain(addresses(answer)).collect::<Vec<_>>();
        assert_eq!(called("Call 08 99 00 11 22, (800) 555-0199 or +49 30 1234567."), ["08 99 00 11 22", "800) 555-0199", "+49 30 1234567"]);
        assert_eq!(called("Write to <a.b@c.example>: 0899001122"), ["0899001122", "a.b@c.example"]);
        assert!(called("On 2024-01-31 10:00 it was 1234567.25, or 4294967295; e.g. @me").is_empty());
        assert!(called("From 192.168.100.1, 100 + 200 + 300, 010101010101, 1 2 3 4 5 6 7 8 9").is_empty());
        assert_eq!(kinds("Call 08 99 00 11 22!")[1].0, Kind::Contact);
        assert!(found.contains(&(Kind::Sentence, "I'm sorry, but no.".to_owned())));
        assert!(found.iter().any(|(kind, _)| *kind == Kind::Refusal));
        assert_eq!(found.last(), Some(&(Kind::Start, "I'm sorry, but".to_owned())));
        assert_eq!(kinds("Yes."), [(Kind::Whole, "Yes.".to_owned())]);
        let hosts = |answer| hosts(answer).collect::<Vec<_>>();
        assert_eq!(hosts("(www.win.example/now), http://www.a.example. www"), ["www.win.example", "www.a.example"]);
    }

    #[test]
    fn the_first_kind_that_makes_a_class_decides() {
        let key = Key::from_seed(1);
        let hash = |answer: &str, kind: Kind| parts(&key, answer).into_iter().find(|p| p.kind == kind).unwrap().hash;
        let answers = Answers::new([
            (hash("yes", Kind::Whole), 1, Kind::Whole),
            (hash("It is so. And more", Kind::Sentence), 2, Kind::Sentence),
            (7, 3, Kind::Start),
        ]);
        let said: ArrayRef = Arc::new(StringArray::from(vec![Some(" YES! "), Some("no"), Some("Well. It is so."), None]));
        assert_eq!(answers.classes_of(&key, &said, &[]), [Some(1), Some(OTHER), Some(2), None]);
        assert_eq!(answers.deciding(&key, "Well. It is so.").map(|(class, part)| (class, part.said)), Some((2, "It is so.")));
        assert_eq!([0, 1, 3, 9].map(|class| answers.kind(class)), [None, Some(Kind::Whole), Some(Kind::Start), None]);
    }

    #[test]
    fn the_answers_of_a_chat_are_taken_out_of_its_prompts() {
        let text = |values: &[&str]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
        let field = |name: &str| Arc::new(Field::new(name, DataType::Utf8, true));
        let turns = StructArray::from(vec![
            (field("role"), text(&["user", "assistant", "user", "assistant", "user"])),
            (field("content"), text(&["hi", "hello", "and?", "no", "alone"])),
        ]);
        let list = Field::new("item", turns.data_type().clone(), true);
        let chats: ArrayRef = Arc::new(ListArray::new(Arc::new(list), OffsetBuffer::new(vec![0, 4, 5].into()), Arc::new(turns), None));
        let (prompts, answers) = (prompts(&chats), answers(&chats));
        assert_eq!((prompts.value(0), answers.value(0)), ("hi\nand?", "hello\u{1e}no"));
        assert_eq!(
            (kinds(answers.value(0)), last_turn(answers.value(0))),
            (vec![(Kind::Whole, "no".to_owned()), (Kind::Whole, "hello".to_owned())], "no")
        );
        assert_eq!((prompts.value(1), answers.value(1)), ("alone", ""));
        assert!(has_prompts(chats.data_type()));
    }

    #[test]
    fn a_transcript_is_cut_before_its_last_answer() {
        let array: ArrayRef = Arc::new(StringArray::from(vec!["Human: hi\n\nAssistant: yes\n\nHuman: why\n\nAssistant: so", "plain"]));
        assert_eq!(answers(&array).iter().flatten().collect::<Vec<_>>(), ["so", "plain"]);
        assert_eq!(prompts(&array).value(0), "Human: hi\n\nAssistant: yes\n\nHuman: why\n\nAssistant:");
        assert!(prompts(&array).is_null(1) && are_transcripts(&array.slice(0, 1)) && !are_transcripts(&array.slice(1, 1)));
    }

    #[test]
    fn an_answer_that_reads_like_those_turned_down_is_of_a_class_and_one_that_may_be_either_is_of_none() {
        let key = Key::from_seed(1);
        let hash = |answer: &str, kind: Kind| parts(&key, answer).into_iter().find(|p| p.kind == kind).unwrap().hash;
        // Longer answers are chosen; a difference of a word or so tells nothing.
        let preference = Preference { usual: vec![1.0], weights: vec![vec![1.0]; 4], sure: 0.5 };
        let pairs = Pairs { columns: PairColumns { texts: Vec::new(), chosen: 0, rejected: 1 }, preference, class: 2 };
        let start = hash("It was so that", Kind::Start);
        let answers = Answers::new([(hash("no", Kind::Whole), 1, Kind::Whole), (start, 3, Kind::Start)]).with_pairs(pairs);
        let column = |cells: &[Option<&str>]| -> ArrayRef { Arc::new(StringArray::from(cells.to_vec())) };
        let chosen = column(&[Some("a b c d e f"), Some("x"), Some("x y z"), Some("no"), Some("It was so that"), Some("x"), None]);
        let long = Some("a b c d e f g h i j k l m n");
        let rejected = column(&[Some("x"), long, Some("u v"), long, long, None, long]);
        let found = answers.classes_of(&key, &chosen, &[Arc::clone(&chosen), rejected]);
        assert_eq!(found, [Some(OTHER), Some(2), None, Some(1), Some(2), Some(OTHER), None]);
        assert_eq!((answers.kind(2), answers.class_in_doubt(), Answers::default().class_in_doubt()), (Some(Kind::Against), Some(2), None));
    }
}
