//! A cause as a card: what it is, in figures and in a picture.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value};

use super::html::{NAME, SENTENCE};
use super::json::{Report, ReportGroup};
use super::words::{count, number, percent, standing};
use super::{List, visible};
use crate::data::Image;

/// Characters of a piece of evidence.
const EVIDENCE: usize = 1_200;
/// Pieces of evidence shown of a cause, and parts of each.
pub(super) const PIECES: usize = 24;
const PARTS: usize = 40;
/// Most bytes of one picture and of all pictures, as base64.
const PICTURE: usize = 256 << 10;
pub(super) const PICTURES: usize = 1 << 20;
/// Longest side of a picture that is drawn.
const SIDE: usize = 256;
/// The first bytes of every PNG, as base64.
const PNG: &str = "iVBORw0KGgo";
/// Evidence that the picture shows, or that only programs read.
const DRAWN: [&str; 7] = ["picture", "samples", "residual", "channels", "side", "x", "y"];

/// A name and its value.
#[derive(Debug, Serialize)]
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Cause {
    title: String,
    tier: &'static str,
    code: String,
    attack: String,
    facts: Vec<Pair>,
    statistics: Vec<Pair>,
    picture: Option<String>,
    evidence: List<Pair>,
    examples: String,
    fingerprint: String,
    standing: Option<String>,
}

/// A place in a picture: left, top, width, height; in a grid of `of` × `of` cells, or in pixels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Place {
    x: u64,
    y: u64,
    width: u64,
    height: u64,
    of: Option<u64>,
}

impl Place {
    /// Where a cause lies, if it lies at one place of a picture.
    pub(super) fn of(evidence: &Map<String, Value>) -> Option<Self> {
        let whole = |key: &str| evidence.get(key)?.as_u64();
        if let (Some(x), Some(y), Some(side)) = (whole("x"), whole("y"), whole("side")) {
            return Some(Self { x, y, width: side, height: side, of: None });
        }
        let [x, y, width, height] = &evidence.get("place")?.as_array()?[..] else { return None };
        let (x, y, width, height) = (x.as_u64()?, y.as_u64()?, width.as_u64()?, height.as_u64()?);
        Some(Self { x, y, width, height, of: Some(whole("side")?) })
    }
}

impl Cause {
    pub(super) fn new(group: &ReportGroup, report: &Report, pictures: &mut usize) -> Self {
        let attack = report.standards.taxonomies.iter().find(|t| t.key == group.attack_class);
        let mut facts = vec![Pair { name: "rows".to_owned(), value: count(group.rows) }];
        let mut fact = |name: &str, value: String| facts.push(Pair { name: name.to_owned(), value });
        if let Some(label) = &group.label {
            fact("label", visible(label, NAME));
            fact("of them with it", format!("{} ({})", count(group.agreeing), percent(group.agreeing, group.rows)));
        }
        if let Some(background) = group.background {
            fact("expected by content", format!("{}%", number(Some(100.0 * background))));
        }
        let statistics = [
            (visible(&group.statistic.name, NAME), number(group.statistic.value)),
            ("p".to_owned(), number(group.p)),
            ("candidates tested".to_owned(), count(group.tests)),
            ("q, corrected for all of them".to_owned(), number(group.q)),
        ];
        let pieces: Vec<(&String, &Value)> = group.evidence.iter().filter(|(key, _)| !DRAWN.contains(&key.as_str())).collect();
        Self {
            title: visible(&group.title, SENTENCE),
            tier: group.tier.name(),
            code: visible(&group.code, NAME),
            attack: attack.map_or_else(|| visible(&group.attack_class, NAME), |class| class.name.clone()),
            facts,
            statistics: statistics.into_iter().map(|(name, value)| Pair { name, value }).collect(),
            picture: picture(&group.evidence, pictures).or_else(|| drawn(&group.evidence, pictures)),
            evidence: List::of(&pieces, PIECES, |(key, value)| Pair { name: visible(&key.replace('_', " "), NAME), value: said(value) }),
            examples: group.examples.iter().take(20).map(u64::to_string).collect::<Vec<_>>().join(", "),
            fingerprint: visible(&group.fingerprint, NAME),
            standing: standing(&group.standing).map(|said| visible(&said, SENTENCE)),
        }
    }
}

/// A picture as the address of an image, if it is a PNG in base64 and of a size that a page can hold.
fn picture(evidence: &Map<String, Value>, left: &mut usize) -> Option<String> {
    let text = evidence.get("picture")?.as_str()?;
    let base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    if text.len() > PICTURE.min(*left) || !text.starts_with(PNG) || !text.bytes().all(base64) {
        return None;
    }
    *left -= text.len();
    Some(format!("data:image/png;base64,{text}"))
}

/// A piece of evidence in a line; lists and objects are cut by their parts before they are written out.
fn said(value: &Value) -> String {
    fn cut(value: &Value, depth: usize) -> Value {
        match value {
            Value::String(text) => Value::from(visible(text, NAME)),
            Value::Array(_) | Value::Object(_) if depth == 0 => Value::from("…"),
            Value::Array(items) => {
                let more = (items.len() > PARTS).then(|| Value::from("…"));
                items.iter().take(PARTS).map(|item| cut(item, depth - 1)).chain(more).collect()
            }
            Value::Object(map) => {
                map.iter().take(PARTS).map(|(key, value)| (visible(key, NAME), cut(value, depth - 1))).collect::<Map<_, _>>().into()
            }
            other => other.clone(),
        }
    }
    match value {
        Value::String(text) => visible(text, EVIDENCE),
        Value::Number(n) if n.is_f64() => number(n.as_f64()),
        Value::Array(items) if items.iter().all(|item| !item.is_array() && !item.is_object()) => {
            let parts: Vec<String> = items.iter().take(PARTS).map(said).collect();
            let more = if items.len() > PARTS { ", …" } else { "" };
            visible(&format!("{}{more}", parts.join(", ")), EVIDENCE)
        }
        other => visible(&cut(other, 3).to_string(), EVIDENCE),
    }
}

/// The picture of a patch or of a pattern, drawn from its samples.
fn drawn(evidence: &Map<String, Value>, left: &mut usize) -> Option<String> {
    let side = usize::try_from(evidence.get("side")?.as_u64()?).ok().filter(|side| (1..=SIDE).contains(side))?;
    let values = |key: &str| -> Option<Vec<f64>> {
        let values = evidence.get(key)?.as_array()?.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>()?;
        values.iter().all(|value| value.is_finite()).then_some(values)
    };
    let (pixels, channels): (Vec<u8>, usize) = if let Some(samples) = values("samples") {
        let channels = usize::try_from(evidence.get("channels")?.as_u64()?).ok().filter(|channels| matches!(channels, 1 | 3))?;
        (samples.iter().map(|value| value.clamp(0.0, 255.0) as u8).collect(), channels)
    } else {
        // What is brighter than elsewhere is light, what is darker is dark.
        let residual = values("residual")?;
        let most = residual.iter().fold(0.0_f64, |most, value| most.max(value.abs())).max(f64::MIN_POSITIVE);
        (residual.iter().map(|value| (128.0 + 127.0 * value / most) as u8).collect(), 1)
    };
    let text = STANDARD.encode(Image { width: side, height: side, channels, pixels }.to_png()?);
    *left = left.checked_sub(text.len())?;
    Some(format!("data:image/png;base64,{text}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report::sample;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn only_pictures_become_pictures() {
        let mut left = PICTURES;
        let mut shown = |text: String| picture(&Map::from_iter([("picture".to_owned(), Value::from(text))]), &mut left);
        assert!(shown(sample::PICTURE.to_owned()).is_some());
        assert!(shown(format!("{}\"", sample::PICTURE)).is_none());
        assert!(shown("PHN2Zz4=".to_owned()).is_none());
        assert!(shown(format!("{PNG}{}", "A".repeat(PICTURE))).is_none());
        let large = format!("{PNG}{}", "A".repeat(PICTURE - 100));
        assert_eq!((0..100).filter(|_| shown(large.clone()).is_some()).count(), PICTURES / PICTURE);
    }

    #[test]
    fn a_cause_is_drawn_from_its_samples() {
        let mut left = PICTURES;
        let mut drawn = |value: Value| drawn(&map(&value), &mut left).is_some();
        assert!(drawn(json!({"side": 2, "channels": 1, "samples": [0, 255, 255, 0]})));
        assert!(drawn(json!({"side": 2, "channels": 1, "residual": [0.5, -3.0, 0, 1]})));
        for bad in [
            json!({"side": 2, "channels": 1, "samples": [0, 255, 255]}),
            json!({"side": 2, "channels": 2, "samples": [0, 255, 255, 0, 0, 0, 0, 0]}),
            json!({"side": 2, "channels": 1, "samples": [0, 255, 255, "0"]}),
            json!({"side": u64::MAX, "residual": [1.0]}),
            json!({"side": 0, "residual": []}),
        ] {
            assert!(!drawn(bad.clone()), "{bad}");
        }
        let place = |value: Value| Place::of(&map(&value));
        assert_eq!(place(json!({"x": 5, "y": 6, "side": 3})), Some(Place { x: 5, y: 6, width: 3, height: 3, of: None }));
        assert_eq!(place(json!({"place": [1, 2, 3, 4], "side": 28})), Some(Place { x: 1, y: 2, width: 3, height: 4, of: Some(28) }));
        assert_eq!(place(json!({"place": [1, -2, 3, 4], "side": 28})), None);
    }

    #[test]
    fn evidence_reads_well() {
        let said = |text: &str| said(&serde_json::from_str(text).unwrap());
        assert_eq!([said("\"cf\""), said("3"), said("0.123456"), said("true")], ["cf", "3", "0.123", "true"]);
        assert_eq!(said(r#"["a", 1, null]"#), "a, 1, null");
        assert_eq!(said("[[1,2],[3,4]]"), "[[1,2],[3,4]]");
        assert_eq!(said(r#"{"a":[[[[1]]]]}"#), r#"{"a":[["…"]]}"#);
    }
}
