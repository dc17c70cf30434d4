//! The report's page, served to this machine alone, so that decisions are saved as they are made.
//!
//! The page is made anew from the report by this program: no script that lies in the folder is served, and its content-security policy
//! lets no other run. Its address holds a random token; requests from another origin are refused.

#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rand::RngExt;
use serde::Deserialize;
use serde_json::json;
use tiny_http::{Header, Method, Request, Response, Server};

use crate::error::{Error, Result};
use crate::ledger;
use crate::report::{Html, reopen};
use crate::review::{About, DECISIONS, Decision, ListedRow, Ruling, listed, merge, note};

/// Most bytes of what a page sends: decisions about a hundred thousand rows, or a ledger of as many.
const MAX_BODY: u64 = 64 << 20;
/// Characters kept of a note.
const NOTE: usize = 2_000;
/// Characters of a label.
const LABEL: usize = 10_000;

/// A report that is under review.
pub struct Page {
    server: Server,
    token: String,
    /// `127.0.0.1:port`.
    host: String,
    desk: Desk,
}

/// What is on the reviewer's desk.
struct Desk {
    folder: PathBuf,
    by: String,
    rows: Vec<ListedRow>,
    page: Html,
}

/// One decision as the page sends it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    #[serde(default)]
    rows: Vec<u64>,
    cause: Option<String>,
    ruling: String,
    label: Option<String>,
    note: Option<String>,
}

impl Sent {
    /// The decisions, or what is wrong.
    fn decisions(self, at: Timestamp, by: &str) -> std::result::Result<Vec<Decision>, &'static str> {
        let ruling = match (self.ruling.as_str(), self.label) {
            ("confirm", None) => Ruling::Confirm,
            ("dismiss", None) => Ruling::Dismiss,
            ("relabel", Some(label)) if label.chars().count() <= LABEL => Ruling::Relabel { label },
            ("note", None) => Ruling::Note,
            ("undo", None) => Ruling::Undo,
            _ => return Err("no such decision"),
        };
        let about: Vec<About> = self.cause.map(About::Cause).into_iter().chain(self.rows.into_iter().map(About::Row)).collect();
        if about.is_empty() {
            return Err("nothing to decide about");
        }
        let note: String = self.note.unwrap_or_default().trim().chars().take(NOTE).collect();
        let note = (!note.is_empty()).then_some(note);
        Ok(about.into_iter().map(|about| Decision { at, by: by.to_owned(), about, ruling: ruling.clone(), note: note.clone() }).collect())
    }
}

/// What the server says.
struct Answer {
    status: u16,
    body: String,
    kind: &'static str,
    policy: Option<String>,
}

impl Answer {
    fn plain(status: u16, body: &str) -> Self {
        Self { status, body: body.to_owned(), kind: "text/plain; charset=utf-8", policy: None }
    }

    fn json(value: &serde_json::Value) -> Self {
        Self { status: 200, body: value.to_string(), kind: "application/json", policy: None }
    }
}

impl Desk {
    fn new(folder: &Path, by: &str) -> Result<Self> {
        let page = reopen(folder, &crate::report::Desk::Server(by.to_owned()))?;
        Ok(Self { folder: folder.to_owned(), by: by.to_owned(), rows: listed(folder)?, page })
    }

    fn show(&self) -> Answer {
        let policy = format!("{}; frame-ancestors 'none'", self.page.policy);
        Answer { status: 200, body: self.page.text.clone(), kind: "text/html; charset=utf-8", policy: Some(policy) }
    }

    /// The ledger as it is, after its chain was checked.
    fn ledger(&self) -> Result<Answer> {
        let path = self.folder.join(DECISIONS);
        if !path.exists() {
            return Ok(Answer::plain(200, ""));
        }
        ledger::read::<Decision>(&path)?;
        let text = std::fs::read_to_string(&path).map_err(|e| Error::output(&path, e))?;
        Ok(Answer { kind: "application/jsonl", ..Answer::plain(200, &text) })
    }

    /// Writes decisions down.
    fn decide(&self, body: &str) -> Result<Answer> {
        let at = Timestamp::now();
        let Ok(sent) = serde_json::from_str::<Vec<Sent>>(body) else { return Ok(Answer::plain(400, "no such decision")) };
        let read: std::result::Result<Vec<Vec<Decision>>, _> = sent.into_iter().map(|sent| sent.decisions(at, &self.by)).collect();
        match read {
            Ok(decisions) => {
                let decisions = decisions.concat();
                note(&self.folder, &self.rows, &decisions)?;
                Ok(Answer::json(&json!({"at": at.to_string()})))
            }
            Err(why) => Ok(Answer::plain(400, why)),
        }
    }

    /// Takes another reviewer's ledger in.
    fn merge(&self, body: &str) -> Result<Answer> {
        let file = tempfile::NamedTempFile::new().map_err(|e| Error::output("ledger", e))?;
        std::fs::write(file.path(), body).map_err(|e| Error::output("ledger", e))?;
        let merged = merge(&self.folder, &self.rows, &ledger::read(file.path())?.0)?;
        Ok(Answer::json(&json!({"taken": merged.taken, "conflicts": merged.conflicts.len()})))
    }
}

impl Page {
    /// Reads a report and listens on the loopback interface; port 0 takes one that is free.
    ///
    /// # Errors
    /// [`Error::Input`] where there is no report, [`Error::Config`] where the port is taken.
    pub fn open(report: &Path, by: &str, port: u16) -> Result<Self> {
        let folder = if report.is_dir() { report } else { report.parent().unwrap_or(report) };
        let desk = Desk::new(folder, by)?;
        let server = Server::http(("127.0.0.1", port)).map_err(|e| Error::config("--port", e.to_string()))?;
        let port = server.server_addr().to_ip().map_or(port, |address| address.port());
        let token = format!("{:032x}", rand::rng().random::<u128>());
        Ok(Self { server, token, host: format!("127.0.0.1:{port}"), desk })
    }

    /// The address of the page.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://{}/{}/", self.host, self.token)
    }

    /// Answers requests until the process ends.
    ///
    /// # Errors
    /// [`Error::Output`] where the server fails.
    pub fn serve(&self) -> Result<()> {
        loop {
            let request = self.server.recv().map_err(|e| Error::output(&self.host, e))?;
            self.answer(request);
        }
    }

    fn answer(&self, mut request: Request) {
        let answer = if self.is_own(&request) {
            let url = request.url().to_owned();
            let (path, _) = url.split_once('?').unwrap_or((&url, ""));
            let rest = path.strip_prefix('/').and_then(|path| path.strip_prefix(self.token.as_str()));
            let answer = match (request.method(), rest) {
                (Method::Get, Some("/")) => Ok(self.desk.show()),
                (Method::Get, Some("/decisions.jsonl")) => self.desk.ledger(),
                (Method::Post, Some("/decide")) => body(&mut request, "application/json").map_or_else(Ok, |body| self.desk.decide(&body)),
                (Method::Post, Some("/merge")) => body(&mut request, "application/jsonl").map_or_else(Ok, |body| self.desk.merge(&body)),
                _ => Ok(Answer::plain(404, "nothing here: use the address that foretaste review printed")),
            };
            answer.unwrap_or_else(|error| Answer::plain(500, &error.to_string()))
        } else {
            Answer::plain(403, "this page is for the machine that serves it")
        };
        let mut response = Response::from_string(answer.body).with_status_code(answer.status);
        let common = [
            ("Content-Type", answer.kind.to_owned()),
            ("X-Content-Type-Options", "nosniff".to_owned()),
            ("Referrer-Policy", "same-origin".to_owned()),
            ("Cache-Control", "no-store".to_owned()),
            ("X-Frame-Options", "DENY".to_owned()),
            ("Cross-Origin-Resource-Policy", "same-origin".to_owned()),
        ];
        for (name, value) in common.into_iter().chain(answer.policy.map(|policy| ("Content-Security-Policy", policy))) {
            if let Ok(header) = Header::from_bytes(name, value) {
                response = response.with_header(header);
            }
        }
        // A browser that has gone away is no error of the review.
        let _ = request.respond(response);
    }

    /// Whether a request comes from this page: another site may send requests here, or have a name that leads here.
    fn is_own(&self, request: &Request) -> bool {
        let origin = header(request, "Origin").is_none_or(|origin| origin.strip_prefix("http://") == Some(self.host.as_str()));
        origin && header(request, "Host") == Some(self.host.as_str())
    }
}

fn header<'a>(request: &'a Request, name: &'static str) -> Option<&'a str> {
    request.headers().iter().find(|header| header.field.equiv(name)).map(|header| header.value.as_str())
}

/// What a request brings, if it is of this type, which no form of another site can send.
fn body(request: &mut Request, kind: &str) -> std::result::Result<String, Answer> {
    if header(request, "Content-Type") != Some(kind) {
        return Err(Answer::plain(415, "this is not what the page sends"));
    }
    let mut text = String::new();
    match request.as_reader().take(MAX_BODY + 1).read_to_string(&mut text) {
        Ok(length) if length as u64 <= MAX_BODY => Ok(text),
        _ => Err(Answer::plain(413, "this is too long, or no text")),
    }
}
