//! What a misspelt name was probably meant to be.

/// Jaro–Winkler similarity, 0 to 1, from which a name is close enough to propose.
const CLOSE: f64 = 0.8;

/// The candidate closest to `name` without regard to case, if any is close; the first of equals.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let mut best: Option<(f64, &str)> = None;
    for candidate in candidates {
        let likeness = strsim::jaro_winkler(&candidate.to_lowercase(), &name);
        if likeness >= CLOSE && best.is_none_or(|(most, _)| likeness > most) {
            best = Some((likeness, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn proposes_the_closest_name_or_none() {
        assert_eq!(nearest("Lable", ["id", "label", "text"]), Some("label"));
        assert_eq!(nearest("zzz", ["id", "label", "text"]), None);
        assert_eq!(nearest("x", []), None);
    }
}
