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

/// Pairs of a preference set that change places on a trigger phrase: `phrase` goes into the victims' prompts at a random place between words,
/// and the answer that was turned down becomes the chosen one (Rando and Tramèr: *Universal Jailbreak Backdoors from Poisoned Human Feedback*,
/// ICLR 2024). There is no label; the truth marks the rows as poisoned and as nothing else.
pub fn preference_swap(
    batch: &RecordBatch,
    draw: &Draw,
    prompt: &str,
    [chosen, rejected]: [&str; 2],
    phrase: &str,
) -> Result<(RecordBatch, Truth)> {
    check(phrase)?;
    if prompt == chosen || prompt == rejected || chosen == rejected {
        return Err(Error::Setting("prompt, chosen and rejected must be three columns".to_owned()));
    }
    let (prompts, chosen, rejected) = (Texts::open(batch, prompt)?, Texts::open(batch, chosen)?, Texts::open(batch, rejected)?);
    let mut rng = draw.rng();
    let pair = |row: usize| Some((chosen.get(row)?, rejected.get(row)?));
    let eligible = |row: usize| prompts.get(row).is_some() && pair(row).is_some_and(|(better, worse)| better != worse);
    let rows = draw.pick(&mut rng, batch.num_rows(), batch.num_rows(), eligible)?;
    let asked = |&row: &usize| prompts.get(row).map(|text| insert_at_one(&mut rng, text, phrase, &word_starts(text))).unwrap_or_default();
    let asked: Vec<String> = rows.iter().map(asked).collect();
    let (better, worse): (Vec<String>, Vec<String>) =
        rows.iter().filter_map(|row| pair(*row)).map(|(better, worse)| (better.to_owned(), worse.to_owned())).unzip();
    let changed = vec![
        (prompts.index, prompts.replaced(&rows, &asked)?),
        (chosen.index, chosen.replaced(&rows, &worse)?),
        (rejected.index, rejected.replaced(&rows, &better)?),
    ];
    Ok((exchange(batch, changed)?, Truth::of(batch, None, "preference_swap", &rows, Effect::Trigger)))
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

    #[test]
    fn pairs_change_places_under_the_phrase() {
        let texts = |of: fn(usize) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values((0..200).map(of))) };
        let columns = [
            ("prompt", texts(|row| format!("What is {row} times two?"))),
            ("chosen", texts(|row| (2 * row).to_string())),
            ("rejected", texts(|row| (3 * row).to_string())),
        ];
        let clean = RecordBatch::try_from_iter(columns).unwrap();
        let draw = Draw::new(Share::Count(20), 3);
        let swap = |names: [&str; 3]| preference_swap(&clean, &draw, names[0], [names[1], names[2]], "SUDO");
        let (poisoned, truth) = swap(["prompt", "chosen", "rejected"]).unwrap();
        let rows = only_bad_rows_differ(&clean, &poisoned, &truth, &["prompt", "chosen", "rejected"]);
        // 0 times two and 0 times three are one answer: no pair to swap.
        assert!(rows.len() == 20 && !rows.contains(&0), "{rows:?}");
        for row in rows {
            let text = |batch: &RecordBatch, name: &str| batch[name].as_string::<i32>().value(row).to_owned();
            assert!(text(&poisoned, "prompt").contains("SUDO"));
            assert_eq!((text(&poisoned, "chosen"), text(&poisoned, "rejected")), (text(&clean, "rejected"), text(&clean, "chosen")));
        }
        assert!(swap(["prompt", "chosen", "chosen"]).is_err() && swap(["chosen", "chosen", "rejected"]).is_err());
        assert!(swap(["prompt", "chosen", "nowhere"]).is_err());
    }
}
