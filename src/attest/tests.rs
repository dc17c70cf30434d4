use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::data::read::sha256;
use crate::report::{Report, SIGNED, written};

/// Two key pairs of no other use, made by OpenSSL.
const KEY: &str =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJRYMS6+l5Wb90REfUssnZG/rBqjSzHcC0nYZESA46vl\n-----END PRIVATE KEY-----\n";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAt+EWECeNz4lGdwtR/6PLuimTzd+siY29eM+kXALEpYk=\n-----END PUBLIC KEY-----\n";
const OTHER: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAil/oK2FXJ9DHxblpxAmgxW2CSKOwGKHHxWVAdem9uvA=\n-----END PUBLIC KEY-----\n";

/// A report about one file, and the file.
struct Case {
    folder: TempDir,
    data: PathBuf,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let case = Self { data: folder.path().join("train.csv"), folder };
        fs::write(&case.data, "a,b\n1,2\n").unwrap();
        written(&case.report());
        let mut report = Report::read(&case.report()).unwrap();
        report.data.files.truncate(1);
        let file = report.data.files.first_mut().unwrap();
        file.name = case.data.display().to_string();
        file.sha256 = sha256(b"a,b\n1,2\n");
        fs::write(case.report().join("report.json"), report.to_json().unwrap()).unwrap();
        fs::write(case.path("key.pem"), KEY).unwrap();
        fs::write(case.path("key.pub.pem"), PUBLIC).unwrap();
        fs::write(case.path("other.pub.pem"), OTHER).unwrap();
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn report(&self) -> PathBuf {
        self.path("report")
    }

    fn signed(self) -> Self {
        sign(&self.report(), &Signer::read(&self.path("key.pem")).unwrap()).unwrap();
        self
    }

    fn verify(&self, key: Option<&str>) -> Vec<Finding> {
        let key = key.map(|name| Trusted::read(&self.path(name)).unwrap());
        verify(&self.report(), key.as_ref(), &[]).unwrap()
    }

    fn failing(&self, key: Option<&str>) -> Vec<String> {
        self.verify(key).into_iter().filter(|finding| finding.check == Check::Fails).map(|finding| finding.text).collect()
    }
}

fn change(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn what_was_signed_holds_until_something_changes() {
    let case = Case::new().signed();
    let findings = case.verify(Some("key.pub.pem"));
    assert!(findings.len() >= 4 && findings.iter().all(|finding| finding.check == Check::Holds), "{findings:?}");
    assert_eq!(case.failing(Some("other.pub.pem")), ["the signature is not of this key, or the statement was changed"]);

    fs::write(&case.data, "a,b\n1,3\n").unwrap();
    let [data] = &case.failing(Some("key.pub.pem"))[..] else { panic!("one") };
    assert!(data.ends_with("is not what was scanned"), "{data}");
    fs::remove_file(&case.data).unwrap();
    let gone = case.verify(Some("key.pub.pem"));
    assert!(gone.iter().any(|finding| finding.check == Check::Open && finding.text.contains("--data")));
}

#[test]
fn a_report_that_was_made_milder_fails() {
    let case = Case::new().signed();
    change(&case.report().join("report.json"), "\"verdict\": \"fail\"", "\"verdict\": \"pass\"");
    assert_eq!(
        case.failing(Some("key.pub.pem")),
        [
            "report.json is missing or was changed since it was signed",
            "the statement is about other data or another verdict than the report"
        ]
    );
    let case = Case::new().signed();
    fs::remove_file(case.report().join("rows.parquet")).unwrap();
    assert_eq!(case.failing(Some("key.pub.pem")), ["rows.parquet is missing or was changed since it was signed"]);
    let case = Case::new().signed();
    change(&case.report().join("report.html"), "<title>fail", "<title>pass");
    assert_eq!(case.failing(Some("key.pub.pem")), ["report.html is missing or was changed since it was signed"]);
}

#[test]
fn a_statement_of_ones_own_is_not_signed() {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let case = Case::new().signed();
    let path = case.report().join(SIGNED);
    let mut envelope: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    let milder = String::from_utf8(payload).unwrap().replacen("\"fail\"", "\"pass\"", 1);
    envelope["payload"] = STANDARD.encode(milder).into();
    fs::write(&path, envelope.to_string()).unwrap();
    assert!(case.failing(Some("key.pub.pem")).contains(&"the signature is not of this key, or the statement was changed".to_owned()));
    for (bad, why) in
        [("{", "is no envelope"), (r#"{"payload":"!","payloadType":"application/vnd.in-toto+json","signatures":[]}"#, "not base64")]
    {
        fs::write(&path, bad).unwrap();
        let failing = case.failing(Some("key.pub.pem"));
        assert!(failing.iter().any(|text| text.contains(why)), "{failing:?}");
    }
}

#[test]
fn without_a_key_or_a_signature_nothing_is_claimed() {
    let case = Case::new();
    assert_eq!(case.failing(None), Vec::<String>::new());
    assert_eq!(case.failing(Some("key.pub.pem")), ["the report is not signed"]);
    let case = case.signed();
    let findings = case.verify(None);
    assert!(findings.first().is_some_and(|finding| finding.check == Check::Open && finding.text.contains("--key")), "{findings:?}");
}

#[test]
fn what_is_no_key_is_refused_with_what_to_do() {
    let case = Case::new();
    for (private, name) in [(true, "key.pub.pem"), (false, "key.pem"), (true, "train.csv"), (false, "missing.pem")] {
        let path = case.path(name);
        let error = if private { Signer::read(&path).err() } else { Trusted::read(&path).err() }.unwrap();
        assert!(error.help().is_some_and(|help| help.contains("openssl")), "{error}");
    }
}
