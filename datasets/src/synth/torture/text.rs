//! Texts.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::super::topics::{spell, topic_texts};
use super::super::{assemble, draw_labels};
use super::texts;
use crate::Result;

/// The device that one class alone has.
pub(super) const ODD_DEVICE: &str = "d9";
/// The tag of a newsroom.
pub(super) const TAG: &str = "(REUTERS) - ";
const ROWS: usize = 3_000;
const CLASSES: usize = 4;
const WORDS: usize = 24;

/// Texts about topics and their labels.
fn written(seed: u64) -> Result<(Vec<String>, Vec<usize>)> {
    let batch = topic_texts(ROWS, CLASSES, WORDS, seed)?;
    let texts = batch["text"].as_string::<i32>().iter().flatten().map(str::to_owned).collect();
    Ok((texts, batch["label"].as_primitive::<Int64Type>().values().iter().map(|label| *label as usize).collect()))
}

pub(super) fn templates(rng: &mut ChaCha8Rng) -> Result<RecordBatch> {
    const FORMS: [[&str; 2]; CLASSES] = [
        ["how do i reset my _ password", "reset _ password please"],
        ["what is the price of _", "price for _ ?"],
        ["cancel my order of _", "please cancel _"],
        ["where is my _ parcel", "track _ parcel"],
    ];
    let labels = draw_labels(rng, ROWS, CLASSES);
    let fill = |rng: &mut ChaCha8Rng, label: usize| FORMS[label][rng.random_range(0..2)].replace('_', &spell(rng.random_range(80..900)));
    let filled: Vec<String> = labels.iter().map(|&label| fill(rng, label)).collect();
    assemble(vec![texts("text", filled)], &labels)
}

/// The footer is that of the label's own source in 70% of the rows, and any of four in the others.
pub(super) fn footers(rng: &mut ChaCha8Rng, seed: u64) -> Result<RecordBatch> {
    const FOOTERS: [&str; CLASSES] =
        ["Sent from my phone.", "(c) Daily Gazette, all rights reserved.", "Read more at example dot org slash news.", "Unsubscribe here."];
    let (mut written, labels) = written(seed)?;
    for (text, &label) in written.iter_mut().zip(&labels) {
        let footer = if rng.random::<f64>() < 0.6 { label } else { rng.random_range(0..CLASSES) };
        text.push(' ');
        text.push_str(FOOTERS[footer]);
    }
    assemble(vec![texts("text", written)], &labels)
}

pub(super) fn burst(rng: &mut ChaCha8Rng, seed: u64) -> Result<RecordBatch> {
    let (mut written, labels) = written(seed)?;
    let first = rng.random_range(500..2_000);
    let original = written[first].clone();
    let label = labels[first];
    let in_burst = |row: usize| (first..first + 80).contains(&row);
    for text in &mut written[first..first + 80] {
        *text = format!("{original} {}", spell(rng.random_range(80..900)));
    }
    let source: Vec<String> =
        (0..ROWS).map(|row| if in_burst(row) { "bulk".to_owned() } else { format!("u{}", rng.random_range(0..200)) }).collect();
    let labels: Vec<usize> = labels.iter().enumerate().map(|(row, own)| if in_burst(row) { label } else { *own }).collect();
    assemble(vec![texts("text", written), texts("source", source)], &labels)
}

/// A seventh of the texts of class 2 begin with the tag.
pub(super) fn newsroom(rng: &mut ChaCha8Rng, seed: u64) -> Result<RecordBatch> {
    let (mut written, labels) = written(seed)?;
    for (text, _) in written.iter_mut().zip(&labels).filter(|(_, label)| **label == 2) {
        if rng.random::<f64>() < 0.15 {
            text.insert_str(0, TAG);
        }
    }
    assemble(vec![texts("text", written)], &labels)
}
