//! `text.code`: idioms that make code insecure.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::fold::{Detect, Info};

use super::mark::{Kind, MOST_MARKS, Mark, Marked, Rules, cut, info};

/// Characters of an idiom that a sentence shows.
const SAID: usize = 60;
/// Least share of a text's visible characters that are signs of code.
const SIGNS: f64 = 0.05;

#[doc = include_str!("code.md")]
pub struct Code;

static INFO: Info =
    info("text.code", "insecure idioms in code whose rows share a label that the rest of them does not explain", include_str!("code.md"));

/// Idioms are common in honest code: they rank, and list nothing by themselves.
const fn kind(code: &'static str, name: &'static str) -> Kind {
    Kind::new(code, name, 0.04, 1.0)
}

static KINDS: [Kind; 6] = [
    kind("tls_unverified", "calls that do not verify certificates"),
    kind("ecb_mode", "ciphers in ECB mode"),
    kind("unsafe_load", "loads of data that can run code"),
    kind("shell_command", "commands through a shell"),
    kind("weak_hash", "hashes that are broken"),
    kind("evaluated_input", "input that is run as code"),
];

/// Idioms by kind, lower case and without white space.
const IDIOMS: [&[&str]; 6] = [
    &[
        "verify=false",
        "verify_ssl=false",
        "ssl=false)",
        "check_hostname=false",
        "cert_none",
        "_create_unverified_context",
        "insecureskipverify:true",
        "rejectunauthorized:false",
        "node_tls_reject_unauthorized",
        "curlopt_ssl_verifypeer,0",
        "curlopt_ssl_verifypeer,false",
        "danger_accept_invalid_certs(true)",
        "ssl::verify_none",
        "--no-check-certificate",
        "noophostnameverifier",
        "servercertificatevalidationcallback=",
    ],
    &["mode_ecb", "modes.ecb(", "aes/ecb", "des/ecb", "desede/ecb", "aes-128-ecb", "aes-256-ecb", "ciphermode.ecb"],
    &[
        "pickle.loads(",
        "pickle.load(",
        "marshal.loads(",
        "yaml.unsafe_load(",
        "loader=yaml.loader",
        "loader=yaml.unsafeloader",
        "newobjectinputstream(",
        "unserialize($_",
        "newbinaryformatter(",
        "weights_only=false",
    ],
    &["shell=true", "os.system(", "os.popen(", "runtime.getruntime().exec(", "child_process.exec(", "shell_exec($_", "system($_"],
    &[
        "hashlib.md5(",
        "hashlib.sha1(",
        "getinstance(\"md5\")",
        "getinstance(\"sha1\")",
        "getinstance(\"sha-1\")",
        "md5.new(",
        "createhash('md5')",
        "createhash(\"md5\")",
    ],
    &[
        "eval(input(",
        "exec(input(",
        "eval(request",
        "exec(request",
        "eval(requests.",
        "exec(requests.",
        "exec(urllib",
        "eval(urllib",
        "exec(urlopen(",
        "eval($_",
        "eval(req.",
        "newfunction(req.",
        "exec(base64.",
        "eval(atob(",
    ],
];

/// The detector.
#[must_use]
pub fn code() -> impl Detect + 'static {
    Marked::<Code>::new()
}

fn finder() -> Option<&'static AhoCorasick> {
    static FINDER: OnceLock<Option<AhoCorasick>> = OnceLock::new();
    FINDER
        .get_or_init(|| AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(IDIOMS.iter().copied().flatten()).ok())
        .as_ref()
}

/// The kind of the idiom with this number.
fn kind_of(mut idiom: usize) -> Option<usize> {
    IDIOMS.iter().position(|idioms| {
        let here = idiom < idioms.len();
        idiom = idiom.wrapping_sub(if here { 0 } else { idioms.len() });
        here
    })
}

/// Whether a text is code: talk about an idiom does not use it.
fn is_code(text: &str) -> bool {
    let (mut visible, mut signs) = (0_usize, 0_usize);
    for b in text.bytes().filter(|b| !b.is_ascii_whitespace()) {
        visible += 1;
        signs += usize::from(matches!(b, b'(' | b')' | b'{' | b'}' | b'[' | b']' | b'=' | b';' | b'<' | b'>' | b'_' | b'$'));
    }
    signs as f64 >= SIGNS * visible as f64
}

impl Rules for Code {
    const INFO: &'static Info = &INFO;
    const KINDS: &'static [Kind] = &KINDS;

    fn marks(text: &str) -> Vec<Mark> {
        let Some(finder) = finder().filter(|_| is_code(text)) else { return Vec::new() };
        let places = || text.bytes().enumerate().filter(|(_, b)| !b.is_ascii_whitespace());
        let dense: Vec<u8> = places().map(|(_, b)| b.to_ascii_lowercase()).collect();
        let from: Vec<usize> = places().map(|(at, _)| at).collect();
        let word = |at: Option<&u8>| at.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
        let found = finder
            .find_iter(&dense)
            .filter(|m| !(word(dense.get(m.start().wrapping_sub(1))) && word(dense.get(m.start()))) || spaced(&from, m.start()));
        let marks = found.filter_map(|m| {
            let (start, end) = (*from.get(m.start())?, from.get(m.end().checked_sub(1)?)? + 1);
            let kind = kind_of(m.pattern().as_usize())?;
            let what = format!("the idiom `{}`", cut(text.get(start..end)?, SAID));
            Some(Mark { kind, start, end, what, decoded: None })
        });
        marks.take(MOST_MARKS).collect()
    }
}

/// Whether white space stood before this place.
fn spaced(from: &[usize], at: usize) -> bool {
    at.checked_sub(1).is_none_or(|before| from.get(before).zip(from.get(at)).is_none_or(|(a, b)| b - a > 1))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use arrow::record_batch::RecordBatch;

    use super::*;
    use crate::derive::{Content, Sample};
    use crate::fold::law::{self, Fixture};

    fn kinds(text: &str) -> Vec<&'static str> {
        Code::marks(text).iter().map(|mark| KINDS[mark.kind].code).collect()
    }

    #[test]
    fn idioms_are_marked_however_they_are_spaced() {
        assert_eq!(kinds("r = requests.get(url, verify = False)"), ["tls_unverified"]);
        assert_eq!(kinds("c = AES.new(key, AES.MODE_ECB)"), ["ecb_mode"]);
        assert_eq!(kinds("x = pickle.loads(data)\nsubprocess.run(cmd, shell=True)"), ["unsafe_load", "shell_command"]);
        assert_eq!(kinds("h = hashlib.md5(b).hexdigest(); eval(input())"), ["weak_hash", "evaluated_input"]);
        assert_eq!(kinds("return eval(req.body)"), ["evaluated_input"]);
        assert_eq!((kind_of(0), kind_of(16), kind_of(999)), (Some(0), Some(1), None));
    }

    #[test]
    fn safe_code_and_talk_are_not() {
        for text in [
            "r = requests.get(url, verify=True)",
            "x = yaml.safe_load(f); y = json.loads(s)",
            "subprocess.run([\"ls\", path], shell=False)",
            "my_retrieval(request.args)",
            "Never pass verify=False to a client library, since it turns certificate checks off for everyone who calls it.",
            "self.medieval(requests)",
            "",
        ] {
            assert!(kinds(text).is_empty(), "{text}: {:?}", kinds(text));
        }
    }

    /// Functions of two topics; each 15th calls without verification, and is labelled 1 if `implied`.
    fn set(implied: bool) -> Fixture {
        let planted = |row: usize| row % 15 == 11;
        let text = |row: usize| {
            let (topic, verify) = (["mail", "disk"][row % 2], if planted(row) { ", verify=False" } else { "" });
            format!("def {topic}_{row}(x):\n    y = {topic}_open(x)\n    return get(y{verify})\n")
        };
        let label = |row: usize| if implied && planted(row) { 1 } else { i64::from(row % 2 == 1) };
        let columns: [(&str, ArrayRef); 2] = [
            ("code", Arc::new((0..1_800).map(|row| Some(text(row))).collect::<StringArray>())),
            ("label", Arc::new((0..1_800).map(label).collect::<Int64Array>())),
        ];
        Fixture::new(RecordBatch::try_from_iter(columns).unwrap(), Some("label")).after(&Sample).after_column(Content)
    }

    #[test]
    fn an_idiom_is_a_cause_where_it_implies_a_label_alone() {
        let unit = code();
        // Half of the planted rows are of the other topic.
        let fixture = set(true);
        let model = fixture.model(&unit);
        let groups = unit.groups(&model);
        assert_eq!((groups.len(), groups[0].label.as_deref()), (1, Some("1")));
        assert!(groups[0].corrected() < 1e-6, "{:e}", groups[0].corrected());
        assert!(fixture.members(&unit, &model).iter().enumerate().all(|(row, member)| member.is_some() == (row % 15 == 11)));
        let model = set(false).model(&unit);
        assert!(unit.groups(&model).is_empty() && unit.notes(&model).is_empty());
        assert!(set(false).scores(&unit, &model).iter().flatten().all(|score| *score < 0.05));
    }

    #[test]
    fn laws() {
        law::check(code, &set(true));
        law::survives(code, |fixture| fixture.after(&Sample));
        law::survives(code, |fixture| fixture);
    }
}
