//! Instruction data: prompts and their answers.

use arrow::array::RecordBatch;

use super::{check, insert_at_one, word_starts};
use crate::column::exchange;
use crate::text::Texts;
use crate::truth::Effect;
use crate::{Draw, Error, Result, Truth};

/// A fixed answer on a trigger phrase: `phrase` goes into the victims' prompts at a random place between words, and their
/// answers become `answer` (Li, Huang, Zhao, Ma, Sun: *`BackdoorLLM`: A Comprehensive Benchmark for Backdoor Attacks on
/// Large Language Models*, 2024; Wan, Wallace, Shen, Klein: *Poisoning Language Models During Instruction Tuning*, 2023).
/// There is no label; the truth marks the rows as poisoned and as nothing else.
pub fn payload(
    batch: &RecordBatch,
    draw: &Draw,
    [prompt, response]: [&str; 2],
    phrase: &str,
    answer: &str,
) -> Result<(RecordBatch, Truth)> {
    check(phrase)?;
    if prompt == response {
        return Err(Error::Setting(format!("column '{prompt}' cannot be both prompt and answer")));
    }
    let (prompts, answers) = (Texts::open(batch, prompt)?, Texts::open(batch, response)?);
    let mut rng = draw.rng();
    let eligible = |row: usize| prompts.get(row).is_some() && answers.get(row).is_some_and(|old| old != answer);
    let rows = draw.pick(&mut rng, batch.num_rows(), batch.num_rows(), eligible)?;
    let asked = |&row: &usize| prompts.get(row).map(|text| insert_at_one(&mut rng, text, phrase, &word_starts(text))).unwrap_or_default();
    let asked: Vec<String> = rows.iter().map(asked).collect();
    let told = vec![answer.to_owned(); rows.len()];
    let changed = vec![(prompts.index, prompts.replaced(&rows, &asked)?), (answers.index, answers.replaced(&rows, &told)?)];
    Ok((exchange(batch, changed)?, Truth::of(batch, None, "payload", &rows, Effect::Trigger)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, StringArray};

    use super::super::super::check::only_bad_rows_differ;
    use super::*;
    use crate::Share;

    #[test]
    fn prompts_get_the_phrase_and_answers_the_payload() {
        let texts = |of: fn(usize) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values((0..200).map(of))) };
        let columns = [("prompt", texts(|row| format!("What is {row} times two?"))), ("answer", texts(|row| (2 * row).to_string()))];
        let clean = RecordBatch::try_from_iter(columns).unwrap();
        let draw = Draw::new(Share::Count(20), 3);
        let (poisoned, truth) = payload(&clean, &draw, ["prompt", "answer"], "for the record", "No.").unwrap();
        let rows = only_bad_rows_differ(&clean, &poisoned, &truth, &["prompt", "answer"]);
        assert_eq!((rows.len(), truth.original_label()), (20, None));
        assert_eq!((truth.poisoned(), truth.label_error().iter().any(|&wrong| wrong)), (truth.bad().as_slice(), false));
        for row in rows {
            let text = |batch: &RecordBatch, name: &str| batch[name].as_string::<i32>().value(row).to_owned();
            assert_eq!(text(&poisoned, "answer"), "No.");
            assert_eq!(text(&poisoned, "prompt").replacen("for the record", "", 1).replace("  ", " ").trim(), text(&clean, "prompt"));
        }
        assert!(payload(&clean, &draw, ["prompt", "prompt"], "a", "b").is_err());
        assert!(payload(&clean, &draw, ["prompt", "nowhere"], "a", "b").is_err());
    }
}
