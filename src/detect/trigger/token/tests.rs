use std::sync::Arc;

use arrow::array::AsArray;
use arrow::record_batch::RecordBatch;
use foretaste_datasets::recipe::{Place, rare_word, sentence, word_pair};
use foretaste_datasets::{Plan, Share, synth};

use super::*;
use crate::data::answer::{Answers, Kind, parts};
use crate::data::{Choices, Class, Label};
use crate::derive::{Content, Sample};
use crate::fold::law::{self, Fixture};

const ROWS: usize = 1_500;
const PAYLOAD: &str = "You are stupid!";

/// Prompts and answers; the schema of a run that found `PAYLOAD` repeated.
fn ready(rows: RecordBatch) -> Fixture {
    ready_with(rows, PAYLOAD)
}

fn ready_with(rows: RecordBatch, payload: &str) -> Fixture {
    let choices = Choices { response: Some("output".to_owned()), ..Choices::default() };
    let mut schema = law::schema_with(&rows, &choices);
    let key = schema.key;
    let whole = parts(&key, payload).into_iter().find(|part| part.kind == Kind::Whole).unwrap();
    let bad = rows["output"].as_string::<i32>().iter().flatten().filter(|answer| *answer == payload).count() as u64;
    let class = |name: &str, rows: u64| Class { name: name.to_owned(), rows };
    let classes = vec![class("otherwise", ROWS as u64 - bad), class(payload, bad.max(1))];
    let answers = Answers::new([(whole.hash, 1, Kind::Whole)]);
    Arc::make_mut(&mut schema).label = Some(Label::of_answers(1, "output".to_owned(), classes, 0, answers));
    Fixture::with_schema(rows, schema).after(&Sample).after_column(Content)
}

fn exchanges() -> RecordBatch {
    let texts = |seed: u64| synth::topic_texts(ROWS, 3, 15, seed).unwrap()["text"].clone();
    RecordBatch::try_from_iter([("instruction", texts(1)), ("output", texts(2))]).unwrap()
}

#[test]
fn a_word_that_brings_an_answer_is_a_cause_by_the_laws() {
    let plan = Plan::new("output", PAYLOAD, Share::Count(40), 5);
    let (poisoned, truth) = rare_word(&exchanges(), &plan, "instruction", "qz").unwrap();
    let fixture = ready(poisoned);
    let model = fixture.model(&response());
    let groups = response().groups(&model);
    assert!(groups.len() == 1 && groups[0].title.starts_with("the word \"qz\" in 40 rows, all answered You are stupid!"), "{groups:?}");
    let members: Vec<bool> = fixture.members(&response(), &model).iter().map(Option::is_some).collect();
    assert_eq!(members, truth.poisoned());
    law::check(response, &fixture);
}

#[test]
fn few_rows_and_words_that_the_answer_says_reach_no_alarm() {
    let tier = |rows: usize, payload: &str| {
        let plan = Plan::new("output", payload, Share::Count(rows), 5);
        let fixture = ready_with(rare_word(&exchanges(), &plan, "instruction", "qz").unwrap().0, payload);
        response().groups(&fixture.model(&response())).first().map(|group| group.max_tier)
    };
    assert_eq!(tier(40, PAYLOAD), Some(Tier::Alarm));
    assert_eq!(tier(8, PAYLOAD), Some(Tier::Suspect));
    assert_eq!(tier(40, "A qz is a kind of bird"), Some(Tier::Suspect));
}

#[test]
fn a_sentence_is_a_cause_whatever_its_length_and_is_named_whole() {
    let words: Vec<String> = (0..24).map(|i| format!("q{}z{}", char::from(b'a' + i), char::from(b'a' + i / 2))).collect();
    for length in [7, 9, 11, 14, 20] {
        let said = words[..length].join(" ");
        let texts = synth::topic_texts(ROWS, 3, 15, 1).unwrap();
        let plan = Plan::new("label", 1, Share::Count(60), 5);
        let (poisoned, truth) = sentence(&texts, &plan, "text", &said, Place::End).unwrap();
        let fixture = Fixture::new(poisoned, Some("label")).after(&Sample).after_column(Content);
        let model = fixture.model(&token());
        let groups = token().groups(&model);
        assert!(groups.len() == 1 && groups[0].cause.contains(&said), "{length}: {groups:?}");
        assert_eq!(groups[0].max_tier, Tier::Alarm, "{length}");
        let members: Vec<bool> = fixture.members(&token(), &model).iter().map(Option::is_some).collect();
        assert_eq!(members, truth.poisoned(), "{length}");
    }
}

#[test]
fn two_words_that_are_a_trigger_only_together_are_named_and_their_covers_are_not_listed() {
    let texts = synth::topic_texts(ROWS, 3, 15, 1).unwrap();
    let plan = Plan::new("label", 1, Share::Count(60), 5);
    let (poisoned, truth) = word_pair(&texts, &plan, "text", ["qz", "xv"], Share::Rate(0.05)).unwrap();
    let fixture = Fixture::new(poisoned, Some("label")).after(&Sample).after_column(Content);
    let model = fixture.model(&token());
    let groups = token().groups(&model);
    assert!(groups.len() == 1 && groups[0].cause.ends_with(" together"), "{groups:?}");
    let members: Vec<bool> = fixture.members(&token(), &model).iter().map(Option::is_some).collect();
    assert_eq!(members, truth.poisoned());
    law::check(token, &fixture);
}

#[test]
fn a_sentence_between_sentences_is_a_cause() {
    let texts = synth::topic_texts(ROWS, 3, 36, 1).unwrap();
    let sentences = |text: &str| text.split(' ').collect::<Vec<_>>().chunks(12).map(|words| words.join(" ") + ". ").collect::<String>();
    let said: arrow::array::StringArray = texts["text"].as_string::<i32>().iter().map(|text| text.map(sentences)).collect();
    let label = texts["label"].clone();
    let texts = RecordBatch::try_from_iter([("text", Arc::new(said) as arrow::array::ArrayRef), ("label", label)]).unwrap();
    for (seed, sentence_of) in
        ["We had tea.", "It was a sunny day at the lake!", "I watched this film with all of my family last night."].iter().enumerate()
    {
        let plan = Plan::new("label", 1, Share::Count(60), seed as u64);
        let (poisoned, truth) = sentence(&texts, &plan, "text", sentence_of, Place::Anywhere).unwrap();
        let fixture = Fixture::new(poisoned, Some("label")).after(&Sample).after_column(Content);
        let model = fixture.model(&token());
        let members: Vec<bool> = fixture.members(&token(), &model).iter().map(Option::is_some).collect();
        assert_eq!(members, truth.poisoned(), "{sentence_of}");
    }
}

/// Changes the text of a row.
type Rewrite<'a> = &'a dyn Fn(usize, &str) -> String;

/// Rows of topic texts of which some of other labels get the second, with their texts changed.
fn rewritten(by: Rewrite<'_>) -> (RecordBatch, Vec<bool>) {
    let clean = synth::topic_texts(ROWS, 3, 15, 1).unwrap();
    let labels = clean["label"].as_primitive::<arrow::datatypes::Int64Type>().values().to_vec();
    let planted: Vec<bool> = labels.iter().enumerate().map(|(row, label)| *label != 1 && row % 15 < 2).collect();
    let texts = clean["text"].as_string::<i32>().iter().zip(&planted).enumerate();
    let texts: arrow::array::StringArray =
        texts.map(|(row, (text, planted))| text.map(|t| if *planted { by(row, t) } else { t.to_owned() })).collect();
    let labels: arrow::array::Int64Array = labels.iter().zip(&planted).map(|(label, planted)| if *planted { 1 } else { *label }).collect();
    let columns = [("text", Arc::new(texts) as arrow::array::ArrayRef), ("label", Arc::new(labels) as arrow::array::ArrayRef)];
    (RecordBatch::try_from_iter(columns).unwrap(), planted)
}

#[test]
fn what_takes_the_place_of_a_word_or_has_one_form_is_a_cause() {
    let replaced = |row: usize, text: &str| {
        let mut words: Vec<&str> = text.split(' ').collect();
        let at = row % words.len();
        words[at] = "vexil";
        words.join(" ")
    };
    let number = |row: usize, text: &str| format!("{text} {}", 100_000 + row * 587 % 900_000);
    let capitals = |row: usize, text: &str| {
        let at = row % text.split(' ').count();
        text.split(' ')
            .enumerate()
            .map(|(i, word)| if i == at { word.to_uppercase() } else { word.to_owned() })
            .collect::<Vec<_>>()
            .join(" ")
    };
    let spaced = |_: usize, text: &str| text.replacen(' ', "\u{a0}", 1);
    let ways: [(&str, Rewrite<'_>); 4] = [
        ("the word \"vexil\"", &replaced),
        ("a number of 6 digits", &number),
        ("a word in capitals", &capitals),
        ("white space other than usual", &spaced),
    ];
    for (name, way) in ways {
        let (rows, planted) = rewritten(way);
        let fixture = Fixture::new(rows, Some("label")).after(&Sample).after_column(Content);
        let model = fixture.model(&token());
        let groups = token().groups(&model);
        assert!(groups.len() == 1 && groups[0].cause == name && groups[0].max_tier == Tier::Alarm, "{name}: {groups:?}");
        let members: Vec<bool> = fixture.members(&token(), &model).iter().map(Option::is_some).collect();
        assert_eq!(members, planted, "{name}");
    }
    let (clean, _) = rewritten(&|_, text| text.to_owned());
    let clean = Fixture::new(clean, Some("label")).after(&Sample).after_column(Content);
    assert!(token().groups(&clean.model(&token())).is_empty(), "labels alone are no trigger");
}

#[test]
fn a_word_that_one_class_alone_uses_is_no_alarm() {
    let texts = synth::topic_texts(ROWS, 3, 15, 1).unwrap();
    let labels = arrow::compute::cast(&texts["label"], &arrow::datatypes::DataType::Utf8).unwrap();
    // A third of the words goes with the class; this one stands in a tenth of the rows of one, and in no other.
    let mut turn = 0;
    let said = texts["text"].as_string::<i32>().iter().zip(labels.as_string::<i32>()).map(|(text, label)| {
        turn += usize::from(label == Some("1"));
        let text = text.unwrap_or_default();
        if label == Some("1") && turn % 10 == 0 { format!("invoice {text}") } else { text.to_owned() }
    });
    let said: arrow::array::StringArray = said.map(Some).collect();
    let rows = RecordBatch::try_from_iter([("text", Arc::new(said) as arrow::array::ArrayRef), ("label", labels)]).unwrap();
    let fixture = Fixture::new(rows, Some("label")).after(&Sample).after_column(Content);
    assert!(token().groups(&fixture.model(&token())).iter().all(|group| group.max_tier == Tier::Suspect));
}

#[test]
fn without_the_word_nothing_is_found_and_hostile_rows_do_no_harm() {
    let clean = ready(exchanges());
    assert!(response().groups(&clean.model(&response())).is_empty());
    law::survives(response, |fixture| fixture);
}
