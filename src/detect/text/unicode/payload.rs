//! What invisible characters spell.

/// Longest text that is shown.
const LONGEST: usize = 400;

/// The ASCII text that tag characters stand for; `None` where they spell nothing.
pub(super) fn of_tags(run: &str) -> Option<String> {
    let text = run.chars().filter_map(|c| char::from_u32(u32::from(c).checked_sub(0xE0000)?)).filter(|c| (' '..='~').contains(c));
    let text: String = text.take(LONGEST).collect();
    (!text.trim().is_empty()).then_some(text)
}

/// The bytes that variation selectors number (1 to 256 for 0 to 255), as text.
pub(super) fn of_selectors(run: &str) -> Option<String> {
    let byte = |c| match u32::from(c) {
        c @ 0xFE00..=0xFE0F => Some((c - 0xFE00) as u8),
        c @ 0xE0100..=0xE01EF => Some((c - 0xE0100 + 16) as u8),
        _ => None,
    };
    readable(&run.chars().filter_map(byte).take(LONGEST).collect::<Vec<u8>>())
}

/// The text that two kinds of zero-width characters spell as bits, eight a byte, highest first, either kind for 1.
pub(super) fn of_bits(run: &str) -> Option<String> {
    let mut kinds: Vec<char> = run.chars().collect();
    kinds.sort_unstable();
    kinds.dedup();
    let [first, second] = kinds[..] else { return None };
    [first, second].into_iter().find_map(|one| {
        let bits: Vec<u8> = run.chars().take(8 * LONGEST).map(|c| u8::from(c == one)).collect();
        readable(&bits.chunks_exact(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit)).collect::<Vec<u8>>())
    })
}

/// Bytes as text, if they are text.
fn readable(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    (text.chars().count() >= 2 && text.chars().all(|c| !c.is_control() || c.is_whitespace())).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_read() {
        let tags: String = "Hi, AI!".chars().filter_map(|c| char::from_u32(0xE0000 + u32::from(c))).collect();
        assert_eq!(of_tags(&tags).as_deref(), Some("Hi, AI!"));
        let selector = |b: u8| char::from_u32(if b < 16 { 0xFE00 } else { 0xE0100 - 16 } + u32::from(b));
        let selectors: String = "run é".bytes().filter_map(selector).collect();
        assert_eq!(of_selectors(&selectors).as_deref(), Some("run é"));
        for (zero, one) in [('\u{200b}', '\u{200c}'), ('\u{200d}', '\u{200b}')] {
            let bits: String = "ok!".bytes().flat_map(|b| (0..8).rev().map(move |i| if b >> i & 1 == 1 { one } else { zero })).collect();
            assert_eq!(of_bits(&bits).as_deref(), Some("ok!"));
        }
    }

    #[test]
    fn what_spells_nothing_is_not_read() {
        assert_eq!(of_tags("\u{e0001}\u{e007f}"), None);
        assert_eq!(of_selectors("\u{fe0f}\u{fe00}"), None);
        assert_eq!(of_bits("\u{200b}\u{200b}\u{200b}"), None);
        assert_eq!(of_bits(&"\u{200b}\u{200c}".repeat(4)), None);
        assert_eq!(of_bits(""), None);
    }
}
