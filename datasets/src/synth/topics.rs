//! Texts about topics.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{SIMULATED_ROWS, assemble, calibrate, draw_labels, start};
use crate::Result;

/// Words that all classes use alike.
const SHARED_WORDS: usize = 1_500;
/// Words of each class's own topic.
const TOPIC_WORDS: usize = 40;
/// Chance that a word comes from the topic of a class drawn at random.
const STRAY: f64 = 0.1;
/// The first word of a text and every word after this many starts a sentence.
const SENTENCE_WORDS: usize = 12;

/// A vocabulary with Zipf's law: word r has weight 1/(r + 1).
struct Vocabulary {
    words: Vec<String>,
    cumulative: Vec<f64>,
}

impl Vocabulary {
    fn new(words: Vec<String>) -> Self {
        let mut total = 0.0;
        let cumulative = (0..words.len())
            .map(|rank| {
                total += 1.0 / (rank + 1) as f64;
                total
            })
            .collect();
        Self { words, cumulative }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> &str {
        let total = self.cumulative.last().copied().unwrap_or_default();
        let at = rng.random::<f64>() * total;
        let rank = self.cumulative.partition_point(|&upto| upto <= at);
        &self.words[rank.min(self.words.len() - 1)]
    }
}

/// A word that can be spoken; no two numbers give the same one.
pub(super) fn spell(mut number: usize) -> String {
    const ONSETS: [&str; 16] = ["b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "z"];
    const VOWELS: [&str; 5] = ["a", "e", "i", "o", "u"];
    let mut word = String::new();
    while number > 0 || word.len() < 4 {
        word.push_str(ONSETS[number % 16]);
        word.push_str(VOWELS[number / 16 % 5]);
        number /= 80;
    }
    word
}

/// Words of a text, between two thirds and four thirds of `words`, at least one.
fn draw_length(rng: &mut ChaCha8Rng, words: usize) -> usize {
    rng.random_range((words * 2 / 3).max(1)..=(words * 4).div_ceil(3))
}

/// Where a word comes from: a class's topic, or none.
fn draw_topic(rng: &mut ChaCha8Rng, class: usize, classes: usize, strength: f64) -> Option<usize> {
    let at = rng.random::<f64>();
    if at < strength {
        Some(class)
    } else if at < strength + STRAY {
        Some(rng.random_range(0..classes))
    } else {
        None
    }
}

/// How often the class with the most topic words is the right one, ties shared.
fn best_accuracy(words: usize, classes: usize, strength: f64) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut right = 0.0;
    for row in 0..SIMULATED_ROWS {
        let class = row % classes;
        let mut counts = vec![0usize; classes];
        for _ in 0..draw_length(&mut rng, words) {
            if let Some(topic) = draw_topic(&mut rng, class, classes, strength) {
                counts[topic] += 1;
            }
        }
        let most = counts.iter().copied().max().unwrap_or_default();
        if counts[class] == most {
            right += 1.0 / counts.iter().filter(|&&count| count == most).count() as f64;
        }
    }
    right / SIMULATED_ROWS as f64
}

/// Texts in a column `text`, of about `words` words each (two thirds to four thirds) in short sentences. Most words
/// come from a vocabulary that all classes share, some from the class's own topic and a few from any topic; word
/// frequencies follow Zipf's law.
pub fn topic_texts(rows: usize, classes: usize, words: usize, seed: u64) -> Result<RecordBatch> {
    let mut rng = start(seed, &[("classes", classes), ("words", words)])?;
    let strength = calibrate(0.0, 1.0 - STRAY, |strength| best_accuracy(words, classes, strength));
    let shared = Vocabulary::new((0..SHARED_WORDS).map(spell).collect());
    let own = |class: usize| (0..TOPIC_WORDS).map(move |word| spell(SHARED_WORDS + class * TOPIC_WORDS + word));
    let topics: Vec<Vocabulary> = (0..classes).map(|class| Vocabulary::new(own(class).collect())).collect();
    let labels = draw_labels(&mut rng, rows, classes);
    let texts = labels.iter().map(|&class| {
        let mut text = String::new();
        for word in 0..draw_length(&mut rng, words) {
            let vocabulary = draw_topic(&mut rng, class, classes, strength).map_or(&shared, |topic| &topics[topic]);
            let word_text = vocabulary.draw(&mut rng);
            if word % SENTENCE_WORDS > 0 {
                text.push(' ');
                text.push_str(word_text);
                continue;
            }
            text.push_str(if word > 0 { ". " } else { "" });
            let (first, rest) = word_text.split_at(1);
            text.push_str(&first.to_ascii_uppercase());
            text.push_str(rest);
        }
        text.push('.');
        text
    });
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
    assemble(vec![("text".to_owned(), texts)], &labels)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use arrow::array::AsArray;

    use super::super::check::labels;
    use super::*;

    fn words(batch: &RecordBatch) -> Vec<Vec<String>> {
        let word = |word: &str| word.trim_end_matches('.').to_lowercase();
        batch["text"].as_string::<i32>().iter().map(|text| text.unwrap().split(' ').map(word).collect()).collect()
    }

    /// Accuracy on the second half of multinomial naive Bayes (add-one smoothing) fitted on the first half.
    fn bayes_accuracy(texts: &[Vec<String>], labels: &[usize], classes: usize) -> f64 {
        let half = texts.len() / 2;
        let mut counts: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        let mut totals = vec![0.0; classes];
        for (text, &label) in texts[..half].iter().zip(labels) {
            for word in text {
                counts.entry(word).or_insert_with(|| vec![0.0; classes])[label] += 1.0;
                totals[label] += 1.0;
            }
        }
        let size = counts.len() as f64;
        let score = |text: &[String], class: usize| -> f64 {
            text.iter().filter_map(|word| counts.get(word.as_str())).map(|count| ((count[class] + 1.0) / (totals[class] + size)).ln()).sum()
        };
        let best = |text: &[String]| (0..classes).max_by(|&a, &b| score(text, a).total_cmp(&score(text, b))).unwrap();
        let right = (half..texts.len()).filter(|&row| best(&texts[row]) == labels[row]).count();
        right as f64 / (texts.len() - half) as f64
    }

    #[test]
    fn content_predicts_the_label_in_any_shape() {
        for (classes, length, seed) in [(2, 12, 1), (3, 30, 2), (8, 40, 3)] {
            let batch = topic_texts(4_000, classes, length, seed).unwrap();
            let accuracy = bayes_accuracy(&words(&batch), &labels(&batch), classes);
            assert!((0.85..=0.95).contains(&accuracy), "{classes} classes, {length} words: {accuracy}");
        }
    }

    #[test]
    fn words_are_unique_and_mostly_shared() {
        let spelled: BTreeSet<_> = (0..20_000).map(spell).collect();
        assert_eq!(spelled.len(), 20_000);
        let shared: BTreeSet<_> = (0..SHARED_WORDS).map(spell).collect();
        let texts = words(&topic_texts(500, 3, 30, 1).unwrap());
        let all = texts.iter().flatten().count();
        let common = texts.iter().flatten().filter(|word| shared.contains(*word)).count();
        assert!(common * 10 > all * 6, "{common} of {all}");
        assert!(texts.iter().all(|text| (20..=40).contains(&text.len())));
    }

    #[test]
    fn shape_and_seed_are_kept() {
        let batch = topic_texts(50, 2, 10, 7).unwrap();
        assert_eq!(batch, topic_texts(50, 2, 10, 7).unwrap());
        assert_ne!(batch, topic_texts(50, 2, 10, 8).unwrap());
        assert_eq!(topic_texts(50, 2, 1, 7).unwrap().num_rows(), 50);
        assert!(topic_texts(50, 2, 0, 7).is_err());
    }
}
