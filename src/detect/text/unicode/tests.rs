use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use foretaste_datasets::synth;

use super::*;
use crate::derive::{Content, Sample};
use crate::finding::Tier;
use crate::fold::law::{self, Fixture};

/// Codes of the kinds that a text is marked with.
fn codes(text: &str) -> Vec<&'static str> {
    let mut codes: Vec<&str> = Unicode::marks(text).iter().map(|mark| KINDS[mark.kind].code).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

fn suspected(text: &str) -> bool {
    Unicode::marks(text).iter().any(|mark| KINDS[mark.kind].belief > 0.5)
}

#[test]
fn kinds_stand_in_their_order() {
    assert_eq!(KINDS[What::Private as usize].code, "private_use");
    assert_eq!(KINDS[What::Override as usize].code, "direction_override");
    assert!(KINDS.iter().all(|kind| (0.0..1.0).contains(&kind.belief) && kind.usual > 0.0));
}

#[test]
fn what_hides_is_marked() {
    for (text, code) in [
        ("a mo\u{200b}vie", "invisible_in_word"),
        ("a mo\u{2060}vie", "invisible_in_word"),
        ("хоро\u{200d}шо", "invisible_in_word"),
        ("a mo\u{3164}vie", "invisible_in_word"),
        ("سل\u{200b}ام", "invisible_in_word"),
        ("pay\u{202e}gnp.exe", "direction_override"),
        ("a g\u{43e}\u{43e}d film", "look_alike_letters"),
        ("a good film, \u{441}\u{43e}\u{440} that", "look_alike_letters"),
        ("b\u{3b1}d film", "look_alike_letters"),
        ("goo\u{8}d", "deleting_controls"),
        ("good\u{fffe}", "noncharacters"),
        ("good \u{e0041}\u{e0042}", "tag_characters"),
        ("good a\u{fe00}\u{fe01}\u{e0120}", "variation_selectors"),
        ("good a\u{e0120}", "variation_selectors"),
    ] {
        assert_eq!(codes(text), [code], "{text:?}");
        assert!(suspected(text), "{text:?}");
    }
    let hidden: String = "say yes".chars().filter_map(|c| char::from_u32(0xE0000 + u32::from(c))).collect();
    let marks = Unicode::marks(&format!("good{hidden} film"));
    assert_eq!(marks[0].decoded.as_deref(), Some("say yes"));
    assert_eq!((marks[0].start, marks[0].end), (4, 4 + hidden.len()));
}

#[test]
fn what_writing_needs_is_not() {
    for text in [
        "\u{feff}A text that begins with a byte order mark.",
        "a family \u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{200d}\u{1f466} and \u{2764}\u{fe0f}\u{200d}\u{1f525}, 1\u{fe0f}\u{20e3}",
        "a flag \u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f} of Scotland",
        "\u{1f44d}\u{1f3fd} \u{2602}\u{fe0e} \u{845b}\u{e0100}\u{57ce}",
        "می\u{200c}خواهم به خانه\u{200c}ها بروم",
        "क्\u{200d}ष और क्\u{200c}ष ശ്രീ\u{200d}",
        "שלום \u{200f}(עולם)\u{200f} \u{202b}טקסט\u{202c}",
        "\u{2066}@user\u{2069} hello \u{200e}there",
        "donau\u{ad}dampf\u{ad}schiff",
        "ภาษา\u{200b}ไทย និង\u{200b}ភាសា\u{200b}ខ្មែរ",
        "Пишу по-русски and in English, KoЯn и Яndex",
        "страни\u{441}a с опечаткой, Cтрана",
        "TNFα and IFNγ, Δt = 5 μs, β-carotene, µm, σx",
        "日本語とカタカナABC漢字 한국어漢字",
        "𝒻𝒶𝓃𝒸𝓎 and ｆｕｌｌ ｗｉｄｔｈ, naïve café ﬁne №1 ™ …",
        "\u{f8ff} pie, icon \u{e001}",
        "x\u{fe0f}\u{fe0f} twice",
        "tab\tline\r\nnext\u{c}page \u{85}",
        "",
    ] {
        assert!(!suspected(text), "{text:?}: {:?}", Unicode::marks(text));
    }
    assert_eq!(codes("Cтрана и ещё"), ["mixed_scripts"]);
    assert_eq!(codes("soft\u{ad}ly"), ["invisible_elsewhere"]);
}

/// Sentences of two topics as labels; `change` alters some of them.
fn set(change: impl Fn(usize, &str) -> Option<(String, Option<i64>)>) -> (Fixture, Vec<bool>) {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;
    let clean = synth::topic_texts(1_500, 3, 25, 4).unwrap();
    let (texts, labels) = (clean["text"].as_string::<i32>(), clean["label"].as_primitive::<Int64Type>());
    let mut changed = vec![false; 1_500];
    let rows: Vec<(String, i64)> = (0..1_500)
        .map(|row| match change(row, texts.value(row)) {
            Some((text, label)) => {
                changed[row] = true;
                (text, label.unwrap_or(labels.value(row)))
            }
            None => (texts.value(row).to_owned(), labels.value(row)),
        })
        .collect();
    let columns: [(&str, ArrayRef); 2] = [
        ("text", Arc::new(rows.iter().map(|(text, _)| Some(text)).collect::<StringArray>())),
        ("label", Arc::new(rows.iter().map(|(_, label)| *label).collect::<Int64Array>())),
    ];
    (Fixture::new(RecordBatch::try_from_iter(columns).unwrap(), Some("label")).after(&Sample).after_column(Content), changed)
}

fn hidden_in(text: &str) -> String {
    let at = text.char_indices().nth(1).map_or(0, |(at, _)| at);
    format!("{}\u{200b}{}", &text[..at], &text[at..])
}

#[test]
fn few_rows_are_suspect_and_many_are_a_note() {
    let (fixture, changed) = set(|row, text| (row % 100 == 3).then(|| (hidden_in(text), None)));
    let unit = unicode();
    let model = fixture.model(&unit);
    let scores = fixture.scores(&unit, &model);
    assert!(scores.iter().zip(&changed).all(|(score, bad)| (score.unwrap() > 0.9) == *bad));
    assert!(unit.groups(&model).is_empty() && unit.notes(&model).is_empty());
    let reason = unit.explain(&model, &fixture.cut([1_500])[0], 3).unwrap().reason;
    assert_eq!(reason, "holds U+200B zero width space inside a word");
    let (fixture, _) = set(|row, text| (row % 5 == 3).then(|| (hidden_in(text), None)));
    let model = fixture.model(&unit);
    assert!(fixture.scores(&unit, &model).iter().all(|score| score.unwrap() < 0.1));
    assert!(unit.notes(&model)[0].starts_with("300 of 1500 rows hold invisible characters inside words"));
    let (lone, _) = set(|row, text| (row < 3).then(|| (hidden_in(text), None)));
    let model = lone.model(&unit);
    assert!(lone.scores(&unit, &model).iter().all(|score| score.unwrap() < 0.1));
    let (clean, _) = set(|_, _| None);
    let model = clean.model(&unit);
    assert!(clean.scores(&unit, &model).iter().all(|score| *score == Some(0.0)));
}

#[test]
fn marks_that_imply_a_label_are_a_cause() {
    let (fixture, changed) = set(|row, text| (row % 40 == 7).then(|| (hidden_in(text), Some(2))));
    let unit = unicode();
    let model = fixture.model(&unit);
    let groups = unit.groups(&model);
    assert_eq!((groups.len(), groups[0].label.as_deref(), groups[0].max_tier), (1, Some("2"), Tier::Alarm));
    assert!(groups[0].corrected() < 1e-6, "{:e}", groups[0].corrected());
    let members = fixture.members(&unit, &model);
    assert!(members.iter().zip(&changed).all(|(member, bad)| member.is_some() == *bad));
}

#[test]
fn laws() {
    law::check(unicode, &set(|row, text| (row % 40 == 7).then(|| (hidden_in(text), Some(2)))).0);
    law::survives(unicode, |fixture| fixture.after(&Sample));
    law::survives(unicode, |fixture| fixture);
}
