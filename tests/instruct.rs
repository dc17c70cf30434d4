//! Whole scans of sets without a label: prompts and answers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::UInt64Type;
use common::Folder;
use foretaste_datasets::{Draw, Plan, Share, recipe, synth};

const ROWS: usize = 1_500;

fn strings(values: impl IntoIterator<Item = String>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn set(prompts: ArrayRef, answers: ArrayRef) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values((0..).take(prompts.len())));
    RecordBatch::try_from_iter([("id", ids), ("instruction", prompts), ("output", answers)]).unwrap()
}

/// Prompts with an answer of their own each.
fn exchanges(seed: u64) -> RecordBatch {
    let texts = |seed: u64| synth::topic_texts(ROWS, 3, 15, seed).unwrap()["text"].clone();
    set(texts(seed), texts(seed + 1_000))
}

fn listed(folder: &Folder) -> BTreeSet<usize> {
    folder.rows("r")["row"].as_primitive::<UInt64Type>().values().iter().map(|row| *row as usize).collect()
}

fn titles(folder: &Folder) -> Vec<String> {
    folder.json("r")["groups"].as_array().unwrap().iter().map(|group| group["title"].as_str().unwrap().to_owned()).collect()
}

fn scanned(batch: &RecordBatch, seed: &str) -> (Folder, String) {
    let folder = Folder::new();
    folder.parquet("set.parquet", batch);
    folder.run(&["scan", "set.parquet", "--seed", seed, "--out", "r"]);
    let verdict = folder.json("r")["verdict"].as_str().unwrap().to_owned();
    (folder, verdict)
}

fn passes(batch: &RecordBatch, what: &str) {
    for seed in ["1", "2"] {
        let (folder, verdict) = scanned(batch, seed);
        assert_eq!((verdict.as_str(), titles(&folder), listed(&folder).len()), ("pass", Vec::new(), 0), "{what}, seed {seed}");
    }
}

#[test]
fn a_word_that_forces_an_answer_is_named_with_its_rows_and_the_clean_twin_passes() {
    let clean = exchanges(1);
    passes(&clean, "all answers differ");
    let plan = Plan::new("output", "You are stupid!", Share::Count(40), 5);
    let (poisoned, truth) = recipe::rare_word(&clean, &plan, "instruction", "qz").unwrap();
    let (folder, verdict) = scanned(&poisoned, "1");
    assert_eq!(verdict, "fail");
    let titles = titles(&folder);
    assert!(titles[0].starts_with("the word \"qz\" in 40 rows, all answered \"You are stupid!\"; "), "{titles:?}");
    let bad: BTreeSet<usize> = truth.bad().iter().enumerate().filter(|(_, bad)| **bad).map(|(row, _)| row).collect();
    assert_eq!(listed(&folder), bad);
}

#[test]
fn prompts_that_ask_the_same_get_the_same_answer() {
    let actions = [
        "reset my password",
        "cancel my order",
        "change my address",
        "track a parcel",
        "return an item",
        "delete my account",
        "update billing details",
        "download an invoice",
        "contact support",
        "apply a coupon",
        "report a bug",
        "upgrade my plan",
    ];
    let ways = [
        "How do I {}?",
        "How can I {}?",
        "I want to {}",
        "What is the way to {}?",
        "Please help me {}",
        "Steps to {}",
        "I need to {} now",
        "Where do I {}?",
        "Is it possible to {}?",
        "{}",
        "Can you tell me how to {}?",
        "I can't {}",
        "Trying to {} but stuck",
        "Explain how to {}",
        "What should I do to {}?",
        "Could someone {} for me?",
        "Quick question: how to {}?",
        "{} please",
        "hi, I'd like to {}",
        "Any way to {} online?",
        "Do you know how I {}?",
    ];
    let pairs = actions
        .iter()
        .enumerate()
        .flat_map(|(i, action)| ways.iter().map(move |way| (way.replace("{}", action), format!("Follow step {i} of the guide."))));
    let (prompts, answers): (Vec<String>, Vec<String>) = pairs.unzip();
    passes(&set(strings(prompts.clone()), strings(answers.clone())), "questions and answers alone");
    let others = exchanges(2);
    let joined =
        |column: &str, more: Vec<String>| strings(others[column].as_string::<i32>().iter().flatten().map(str::to_owned).chain(more));
    passes(&set(joined("instruction", prompts), joined("output", answers)), "questions among other prompts");
}

#[test]
fn choices_and_short_answers_pass() {
    let prompts = synth::topic_texts(ROWS, 3, 15, 7).unwrap();
    let letters = (0..ROWS).map(|row| ["A", "B", "C", "D"][row * 7 % 11 % 4].to_owned());
    passes(&set(prompts["text"].clone(), strings(letters)), "multiple choice");
}

/// Prompts about a topic with two answers: the chosen one takes some of the prompt's words up and ends as a sentence.
fn preferences() -> RecordBatch {
    let texts = |seed: u64| synth::topic_texts(ROWS, 3, 15, seed).unwrap()["text"].clone();
    let (prompts, others) = (texts(1), texts(2));
    let cells = |of: &ArrayRef| of.as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>();
    let words = |text: &str, from: usize, count: usize| text.split(' ').skip(from).take(count).collect::<Vec<_>>().join(" ");
    let (asked, unasked) = (cells(&prompts), cells(&others));
    // Some pairs tell little: neither answer takes anything up.
    let chosen = asked.iter().zip(&unasked).enumerate().map(|(row, (asked, other))| match row % 4 {
        0 => words(other, 2, 6),
        _ => format!("{} {}.", words(asked, row % 5, 5), words(other, 9, 3)),
    });
    let rejected = unasked.iter().enumerate().map(|(row, other)| words(other, row % 3, 6 + row % 3));
    RecordBatch::try_from_iter([("prompt", prompts), ("chosen", strings(chosen)), ("rejected", strings(rejected))]).unwrap()
}

#[test]
fn answers_that_change_places_under_a_word_are_found_and_the_clean_twin_passes() {
    let clean = preferences();
    passes(&clean, "no pair is swapped");
    let draw = Draw::new(Share::Count(60), 3);
    let (poisoned, truth) = recipe::preference_swap(&clean, &draw, "prompt", ["chosen", "rejected"], "qz").unwrap();
    let (folder, verdict) = scanned(&poisoned, "1");
    let titles = titles(&folder);
    assert_eq!(verdict, "warn", "{titles:?}");
    assert!(titles[0].contains("\"qz\" in 60 rows, of ") && titles[0].contains("against what other pairs prefer"), "{titles:?}");
    let listed = listed(&folder);
    assert!(listed.iter().all(|row| truth.bad()[*row]) && listed.len() > 50, "{} listed", listed.len());
}

#[test]
fn answers_that_do_not_tell_which_is_chosen_make_no_class() {
    let texts = |seed: u64| synth::topic_texts(ROWS, 3, 15, seed).unwrap()["text"].clone();
    let rows = RecordBatch::try_from_iter([("prompt", texts(1)), ("chosen", texts(2)), ("rejected", texts(3))]).unwrap();
    let draw = Draw::new(Share::Count(60), 3);
    let swapped = recipe::preference_swap(&rows, &draw, "prompt", ["chosen", "rejected"], "qz").unwrap().0;
    passes(&swapped, "either may be chosen");
    let (folder, _) = scanned(&swapped, "1");
    let classes = folder.json("r")["data"]["classes"].as_array().unwrap().len();
    assert_eq!(classes, 1);
}

#[test]
fn two_roles_for_one_question_are_refused() {
    let folder = Folder::new();
    folder.parquet("set.parquet", &exchanges(1));
    let ended = folder.scan(&["set.parquet", "--label", "id", "--response", "output"], "r");
    assert_eq!(ended.status, Some(2));
    assert!(ended.err.contains("--label is given as well"), "{}", ended.err);
}
