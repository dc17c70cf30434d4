use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use super::*;
use crate::finding::Tier;
use crate::report::written;

/// A report of one cause in a folder, and its page behind a thread.
struct Case {
    folder: tempfile::TempDir,
    page: Arc<Page>,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let report = folder.path().join("report");
        written(&report);
        let page = Arc::new(Page::open(&report, "ada <b>", 0).unwrap());
        let served = Arc::clone(&page);
        std::thread::spawn(move || served.serve());
        Self { folder, page }
    }

    /// Sends a request; the whole answer.
    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.page.host).unwrap();
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn own(&self, method: &str, path: &str, kind: &str, body: &str) -> String {
        let headers = format!("Host: {}\r\nContent-Type: {kind}\r\n", self.page.host);
        self.ask(method, &format!("/{}{path}", self.page.token), &headers, body)
    }

    fn decide(&self, body: &str) -> String {
        self.own("POST", "/decide", "application/json", body)
    }

    fn decisions(&self) -> Vec<Decision> {
        crate::ledger::read(&self.folder.path().join("report").join(DECISIONS)).map(|(decisions, _)| decisions).unwrap_or_default()
    }
}

#[test]
fn the_page_is_the_reports_own() {
    let case = Case::new();
    let page = case.own("GET", "/", "", "");
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    let policy = page.lines().find_map(|line| line.strip_prefix("Content-Security-Policy: ")).unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-") && policy.ends_with("frame-ancestors 'none'"), "{policy}");
    assert!(policy.contains("connect-src 'self'"));
    for part in ["3×3 patch", "\"desk\":\"server\"", "ada \\u003cb>", Tier::Alarm.name()] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    assert!(!page.contains("<b>evil"), "hostile text is markup");
}

#[test]
fn a_script_in_the_folder_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report");
    written(&report);
    let path = report.join("report.html");
    let before = std::fs::read_to_string(&path).unwrap();
    let rows = before.split("id=\"rows-data\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    std::fs::write(&path, before.replace("<body>", "<body><script>alert(1)</script>")).unwrap();
    let page = Page::open(&report, "ada", 0).unwrap();
    let served = page.desk.show().body;
    assert!(!served.contains("alert(1)") && served.contains(&rows), "the page is made anew, with the rows that the old one held");
    std::fs::write(&path, before.replace(&rows, "<script>alert(1)</script>")).unwrap();
    let served = Page::open(&report, "ada", 0).unwrap().desk.show().body;
    assert!(!served.contains("alert(1)") && served.contains("id=\"rows-data\">H4s"), "rows that are no base64 are made anew");
}

#[test]
fn decisions_are_saved_as_they_are_made() {
    let case = Case::new();
    assert!(case.own("GET", "/decisions.jsonl", "", "").ends_with("\r\n\r\n"));
    let answer = case.decide(r#"[{"rows":[3],"ruling":"dismiss","note":" a natural one "}]"#);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("{\"at\":\"20"), "{answer}");
    let [decision] = &case.decisions()[..] else { panic!("{:?}", case.decisions()) };
    assert_eq!((&decision.about, &decision.ruling, decision.note.as_deref()), (&About::Row(3), &Ruling::Dismiss, Some("a natural one")));
    case.decide(r#"[{"cause":"0f0f","ruling":"confirm"},{"rows":[4,5],"ruling":"relabel","label":"7"}]"#);
    assert_eq!(case.decisions().len(), 4);
    assert_eq!(case.decisions()[3].ruling, Ruling::Relabel { label: "7".to_owned() });
    let ledger = case.own("GET", "/decisions.jsonl", "", "");
    assert_eq!(ledger.matches("\"previous\":").count(), 4, "{ledger}");
    for bad in [
        r#"[{"rows":[3],"ruling":"delete"}]"#,
        r#"[{"rows":["3"],"ruling":"confirm"}]"#,
        r#"[{"rows":[],"ruling":"confirm"}]"#,
        r#"[{"rows":[3],"ruling":"relabel"}]"#,
        r#"[{"rows":[3],"ruling":"confirm","by":"eve"}]"#,
        "rows=3",
    ] {
        assert!(case.decide(bad).starts_with("HTTP/1.1 400"), "{bad}");
    }
    let unknown = case.decide(r#"[{"rows":[3,77],"ruling":"confirm"}]"#);
    assert!(unknown.starts_with("HTTP/1.1 500") && unknown.contains("lists nothing under 77"), "{unknown}");
    assert_eq!(case.decisions().len(), 4, "all or nothing");
}

#[test]
fn another_ledger_is_taken_in() {
    let case = Case::new();
    case.decide(r#"[{"rows":[3],"ruling":"dismiss"}]"#);
    let other = Case::new();
    other.decide(r#"[{"rows":[3,4],"ruling":"confirm"}]"#);
    let text = std::fs::read_to_string(other.folder.path().join("report").join(DECISIONS)).unwrap();
    let answer = case.own("POST", "/merge", "application/jsonl", &text);
    assert!(answer.ends_with("{\"conflicts\":1,\"taken\":1}"), "{answer}");
    assert_eq!(case.decisions().len(), 2);
    let broken = case.own("POST", "/merge", "application/jsonl", &text.replace("confirm", "dismiss"));
    assert!(broken.starts_with("HTTP/1.1 500") && broken.contains("the chain is broken at line 2"), "{broken}");
}

#[test]
fn others_are_kept_out() {
    let case = Case::new();
    let host = format!("Host: {}\r\n", case.page.host);
    let kind = "Content-Type: application/json\r\n";
    let body = r#"[{"rows":[3],"ruling":"confirm"}]"#;
    let path = format!("/{}/decide", case.page.token);
    assert!(case.ask("GET", "/", &host, "").starts_with("HTTP/1.1 404"));
    assert!(case.ask("POST", "/decide", &format!("{host}{kind}"), body).starts_with("HTTP/1.1 404"));
    assert!(case.ask("POST", &path, &format!("Host: evil.example\r\n{kind}"), body).starts_with("HTTP/1.1 403"));
    assert!(case.ask("POST", &path, &format!("{host}{kind}Origin: http://evil.example\r\n"), body).starts_with("HTTP/1.1 403"));
    assert!(case.ask("POST", &path, &format!("{host}{kind}Origin: null\r\n"), body).starts_with("HTTP/1.1 403"));
    assert!(case.ask("POST", &path, &format!("{host}Content-Type: text/plain\r\n"), body).starts_with("HTTP/1.1 415"));
    assert!(case.decisions().is_empty());
    assert!(case.ask("POST", &path, &format!("{host}{kind}Origin: http://{}\r\n", case.page.host), body).starts_with("HTTP/1.1 200"));
    assert_eq!(case.decisions().len(), 1);
}
