//! The page's script: modules joined into one, since a page that is a file can import none.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// The modules, each after those that it imports.
const MODULES: [(&str, &str); 14] = [
    ("dom.js", include_str!("assets/js/dom.js")),
    ("blake3.js", include_str!("assets/js/blake3.js")),
    ("ledger.js", include_str!("assets/js/ledger.js")),
    ("data.js", include_str!("assets/js/data.js")),
    ("log.js", include_str!("assets/js/log.js")),
    ("desk.js", include_str!("assets/js/desk.js")),
    ("filter.js", include_str!("assets/js/filter.js")),
    ("sample.js", include_str!("assets/js/sample.js")),
    ("beside.js", include_str!("assets/js/beside.js")),
    ("grid.js", include_str!("assets/js/grid.js")),
    ("panel.js", include_str!("assets/js/panel.js")),
    ("causes.js", include_str!("assets/js/causes.js")),
    ("review.js", include_str!("assets/js/review.js")),
    ("main.js", include_str!("assets/js/main.js")),
];

/// The script as it stands in the page.
pub(super) static SCRIPT: LazyLock<String> = LazyLock::new(|| {
    let line = |line: &str| -> String {
        if line.starts_with("import ") { String::new() } else { format!("{}\n", line.strip_prefix("export ").unwrap_or(line)) }
    };
    let module = |(name, text): &(&str, &str)| format!("// {name}\n{}", text.lines().map(line).collect::<String>());
    MODULES.iter().map(module).collect()
});

/// SHA-256 of a script or style, base64, as a content-security policy names it.
pub(super) fn digest(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Names that a module declares at its top.
    fn declared(text: &str) -> impl Iterator<Item = &str> {
        text.lines().filter_map(|line| {
            let line = line.strip_prefix("export ").unwrap_or(line);
            let line = line.strip_prefix("async ").unwrap_or(line);
            let rest = ["const ", "let ", "function ", "class "].iter().find_map(|keyword| line.strip_prefix(keyword))?;
            rest.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').next()
        })
    }

    #[test]
    fn modules_can_be_joined() {
        let mut seen = BTreeMap::new();
        let mut before: Vec<&str> = Vec::new();
        for (name, text) in &MODULES {
            for declared in declared(text) {
                assert_eq!(seen.insert(declared.to_owned(), *name), None, "{name} declares {declared} once more");
            }
            for line in text.lines().filter(|line| line.starts_with("import")) {
                let from = line.split('\'').nth(1).and_then(|from| from.strip_prefix("./")).unwrap();
                assert!(line.ends_with(';') && before.contains(&from), "{name}: {line}");
                assert!(!line.contains(" as "), "{name}: a name must stay what it is");
            }
            before.push(name);
        }
    }

    #[test]
    fn the_script_cannot_become_markup_or_make_some() {
        assert!(!SCRIPT.to_lowercase().contains("</script") && !SCRIPT.contains("<!--"));
        for part in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "setAttribute('style", "import("]
        {
            assert!(!SCRIPT.contains(part), "{part}");
        }
    }
}
