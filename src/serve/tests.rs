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

    fn own(&self, method: &str, path: &str, body: &str) -> String {
        let host = format!("Host: {}\r\n", self.page.host);
        self.ask(method, &format!("/{}{path}", self.page.token), &host, body)
    }

    fn decisions(&self) -> Vec<Decision> {
        crate::ledger::read(&self.folder.path().join("report").join(DECISIONS)).map(|(decisions, _)| decisions).unwrap_or_default()
    }
}

#[test]
fn the_page_shows_causes_and_rows_and_runs_nothing() {
    let case = Case::new();
    let page = case.own("GET", "/", "");
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(page.contains("Referrer-Policy: same-origin"), "a browser would send forms with the origin null");
    assert!(page.contains("default-src 'none'; style-src 'sha256-") && !page.contains("<script"));
    for part in ["3×3 patch", "row 3", Tier::Alarm.name(), "ada &lt;b&gt;", "cannot be shown", "page 1 of 1"] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    assert!(!page.contains("<b>evil"), "hostile text is markup");
    let none = case.own("GET", "/?text=nowhere", "");
    assert!(none.contains("0 of 3 listed rows"), "{none}");
}

#[test]
fn decisions_are_saved_as_they_are_made() {
    let case = Case::new();
    let answer = case.own("POST", "/decide", "about=row%3A3&ruling=dismiss&note=a+natural+one&query=state%3Dopen");
    assert!(answer.starts_with("HTTP/1.1 303") && answer.contains(&format!("Location: /{}/?state=open", case.page.token)), "{answer}");
    let [decision] = &case.decisions()[..] else { panic!("{:?}", case.decisions()) };
    assert_eq!((&decision.about, decision.ruling, decision.note.as_deref()), (&About::Row(3), Ruling::Dismiss, Some("a natural one")));
    case.own("POST", "/decide", "about=filter&ruling=confirm&query=state%3Dopen");
    assert_eq!(case.decisions().len(), 3);
    let page = case.own("GET", "/?state=confirmed", "");
    assert!(page.contains("2 of 3 listed rows") && page.contains("<b>0</b> open"), "{page}");
    for bad in ["about=row%3A3&ruling=delete", "about=row%3Ax&ruling=confirm", "ruling=confirm"] {
        assert!(case.own("POST", "/decide", bad).starts_with("HTTP/1.1 400"), "{bad}");
    }
    assert!(case.own("POST", "/decide", "about=row%3A77&ruling=confirm").starts_with("HTTP/1.1 500"));
    assert_eq!(case.decisions().len(), 3);
}

#[test]
fn others_are_kept_out() {
    let case = Case::new();
    let host = format!("Host: {}\r\n", case.page.host);
    let form = "about=row%3A3&ruling=confirm";
    let path = format!("/{}/decide", case.page.token);
    assert!(case.ask("GET", "/", &host, "").starts_with("HTTP/1.1 404"));
    assert!(case.ask("POST", "/decide", &host, form).starts_with("HTTP/1.1 404"));
    assert!(case.ask("POST", &path, "Host: evil.example\r\n", form).starts_with("HTTP/1.1 403"));
    assert!(case.ask("POST", &path, &format!("{host}Origin: http://evil.example\r\n"), form).starts_with("HTTP/1.1 403"));
    assert!(case.ask("POST", &path, &format!("{host}Origin: null\r\n"), form).starts_with("HTTP/1.1 403"));
    assert!(case.decisions().is_empty());
    assert!(case.ask("POST", &path, &format!("{host}Origin: http://{}\r\n", case.page.host), form).starts_with("HTTP/1.1 303"));
    assert_eq!(case.decisions().len(), 1);
}
