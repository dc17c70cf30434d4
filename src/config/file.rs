//! The configuration file.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::{Settings, nearest};
use crate::error::{Error, Result};

/// The file that is read from the current folder when none is named.
pub const DEFAULT_FILE: &str = "foretaste.toml";

/// Largest file that is read, bytes: the current folder may hold somebody else's data.
const MAX_BYTES: u64 = 1 << 20;

/// The file to read: the one named, else [`DEFAULT_FILE`] where `folder` has one.
#[must_use]
pub fn find(named: Option<&Path>, folder: &Path) -> Option<PathBuf> {
    let default = || Some(folder.join(DEFAULT_FILE)).filter(|path| path.is_file());
    named.map(Path::to_path_buf).or_else(default)
}

/// Reads settings from a file, over the defaults, and checks them. Errors name the file, the line and the key.
pub fn load(path: &Path) -> Result<Settings> {
    let settings = parse(&read(path)?, &path.display().to_string())?;
    settings.check().map_err(|error| match error {
        Error::Config { origin, reason, help } => Error::Config { origin: format!("{}, {origin}", path.display()), reason, help },
        other => other,
    })?;
    Ok(settings)
}

fn read(path: &Path) -> Result<String> {
    let origin = path.display().to_string();
    let broken = |e: std::io::Error| match e.kind() {
        ErrorKind::NotFound => Error::config(origin.clone(), "there is no such file"),
        ErrorKind::InvalidData => Error::config(origin.clone(), "is not UTF-8 text"),
        _ => Error::config(origin.clone(), format!("cannot be read: {e}")),
    };
    let mut text = String::new();
    let bytes = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text)).map_err(broken)?;
    if bytes as u64 > MAX_BYTES {
        return Err(Error::config(origin, format!("is longer than {MAX_BYTES} bytes")));
    }
    Ok(text)
}

fn parse(text: &str, origin: &str) -> Result<Settings> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
        let origin = line.map_or_else(|| origin.to_owned(), |line| format!("{origin}:{line}"));
        let (reason, help) = reword(error.message());
        let error = Error::config(origin, reason);
        match help {
            Some(help) => error.with_help(help),
            None => error,
        }
    })
}

/// Turns serde's ``unknown field `a`, expected one of `b`, `c` `` into a reason and a proposal; other messages stay.
fn reword(message: &str) -> (String, Option<String>) {
    let kind = match message {
        m if m.starts_with("unknown field `") => "key",
        m if m.starts_with("unknown variant `") => "value",
        _ => return (message.trim_end().replace('\n', ", "), None),
    };
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = quoted.next().unwrap_or_default();
    let known: Vec<&str> = quoted.collect();
    let help = match nearest(unknown, known.iter().copied()) {
        Some(near) => format!("Did you mean '{near}'?"),
        None => format!("Known here: {}.", known.join(", ")),
    };
    (format!("unknown {kind} '{unknown}'"), Some(help))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FailOn, Size};

    fn refusal(text: &str) -> (String, Option<String>) {
        let error = parse(text, "foretaste.toml").unwrap_err();
        (error.to_string(), error.help().map(str::to_owned))
    }

    #[test]
    fn a_full_file_is_read_over_the_defaults() {
        let text = "[roles]\nlabel = 'intent'\ntext = ['title', 'body']\n\n[run]\nseed = 7\nmemory = '1GiB'\n\n[decide]\nfdr = 0.05\n\
                    fail_on = 'warn'\n\n[detectors]\nskip = ['outlier']\n\n[output]\ndir = 'out'\nscores = true\n";
        let mut expected = Settings::default();
        expected.roles.label = Some("intent".into());
        expected.roles.text = vec!["title".into(), "body".into()];
        expected.run.seed = Some(7);
        expected.run.memory = Size(1 << 30);
        expected.decide.fdr = 0.05;
        expected.decide.fail_on = FailOn::Warn;
        expected.detectors.skip = vec!["outlier".into()];
        expected.output.dir = "out".into();
        expected.output.scores = true;
        assert_eq!(parse(text, "foretaste.toml").unwrap(), expected);
        assert_eq!(parse("", "foretaste.toml").unwrap(), Settings::default());
    }

    #[test]
    fn unknown_keys_are_refused_with_line_and_proposal() {
        let (said, help) = refusal("[roles]\nid = 'row'\nlable = 'intent'\n");
        assert_eq!((said.as_str(), help.as_deref()), ("foretaste.toml:3: unknown key 'lable'", Some("Did you mean 'label'?")));
        let (said, help) = refusal("\n[rolls]\n");
        assert_eq!((said.as_str(), help.as_deref()), ("foretaste.toml:2: unknown key 'rolls'", Some("Did you mean 'roles'?")));
        let (said, help) = refusal("[detectors]\nzzz = 1\n");
        assert_eq!((said.as_str(), help.as_deref()), ("foretaste.toml:2: unknown key 'zzz'", Some("Known here: only, skip.")));
        let (said, help) = refusal("[decide]\nfail_on = 'wran'\n");
        assert_eq!((said.as_str(), help.as_deref()), ("foretaste.toml:2: unknown value 'wran'", Some("Did you mean 'warn'?")));
    }

    #[test]
    fn wrong_types_and_syntax_are_refused_with_their_line() {
        for (text, expected) in [
            ("[decide]\nfdr = 'low'\n", "foretaste.toml:2: invalid type: string \"low\", expected f64"),
            (
                "[run]\nmemory = '2 gigs'\n",
                "foretaste.toml:2: '2 gigs' is not a size: write a number with a unit, such as 512MiB, 2GiB or 4GB",
            ),
            ("[run]\nmemory = true\n", "foretaste.toml:2: a size must be text with a unit, such as \"2GiB\", or a number of bytes"),
        ] {
            assert_eq!(refusal(text).0, expected);
        }
        let (said, _) = refusal("[run]\nseed = \n");
        assert!(said.starts_with("foretaste.toml:2: "), "{said}");
    }

    #[test]
    fn files_are_found_read_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(DEFAULT_FILE);
        assert_eq!(find(None, folder.path()), None);
        assert_eq!(load(&path).unwrap_err().to_string(), format!("{}: there is no such file", path.display()));
        std::fs::write(&path, "[decide]\nfdr = 0.7\n").unwrap();
        assert_eq!(find(None, folder.path()).as_deref(), Some(path.as_path()));
        assert_eq!(find(Some(Path::new("other.toml")), folder.path()).as_deref(), Some(Path::new("other.toml")));
        let expected = format!("{}, decide.fdr: must be over 0 and at most 0.5, not 0.7", path.display());
        assert_eq!(load(&path).unwrap_err().to_string(), expected);
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert_eq!(load(&path).unwrap_err().to_string(), format!("{}: is not UTF-8 text", path.display()));
        std::fs::write(&path, vec![b'#'; (MAX_BYTES + 1) as usize]).unwrap();
        assert_eq!(load(&path).unwrap_err().to_string(), format!("{}: is longer than 1048576 bytes", path.display()));
    }
}
