//! The page that reviewers decide in, served to this machine alone.
//!
//! No script runs in it: every decision is a form, so the page needs no more of a browser than that, works with the keyboard, and
//! leaves hostile rows nothing to run. Its address holds a random token; requests from another origin are refused.

mod page;
mod sample;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rand::RngExt;
use tiny_http::{Header, Method, Request, Response, Server};

use crate::error::{Error, Result};
use crate::report::Report;
use crate::review::{About, DECISIONS, Decision, ListedRow, Review, Ruling, decide, listed};
use page::{Filter, View};
use sample::Samples;

/// Most bytes of a form.
const MAX_FORM: u64 = 64 << 10;
/// Characters kept of a note.
const NOTE: usize = 2_000;

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
    report: Report,
    rows: Vec<ListedRow>,
    samples: Samples,
}

/// What the server says.
struct Answer {
    status: u16,
    body: String,
    headers: Vec<(&'static str, String)>,
}

impl Answer {
    fn plain(status: u16, body: &str) -> Self {
        Self { status, body: body.to_owned(), headers: vec![("Content-Type", "text/plain; charset=utf-8".to_owned())] }
    }
}

impl Desk {
    fn new(folder: &Path, by: &str) -> Result<Self> {
        let report = Report::read(folder)?;
        let rows = listed(folder)?;
        let samples = Samples::read(&report, &rows);
        Ok(Self { folder: folder.to_owned(), by: by.to_owned(), report, rows, samples })
    }

    /// What holds for each listed row now.
    fn settled(&self) -> Result<Vec<Option<Ruling>>> {
        let path = self.folder.join(DECISIONS);
        let review = Review::read(if path.exists() { std::slice::from_ref(&path) } else { &[] })?;
        review.settle(self.rows.iter().map(|row| (row.row, &row.causes[..])))
    }

    fn show(&self, query: &str) -> Result<Answer> {
        let filter = Filter::parse(query);
        let view = View::new(&self.report, &self.rows, &self.settled()?, &self.samples, &filter, &self.by);
        let (body, policy) = view.render()?;
        let headers = vec![("Content-Type", "text/html; charset=utf-8".to_owned()), ("Content-Security-Policy", policy)];
        Ok(Answer { status: 200, body, headers })
    }

    /// Takes a form: `about` is `row:N`, `cause:FINGERPRINT` or `filter`; `query` is the page to go back to.
    fn take(&self, form: &str, token: &str) -> Result<Answer> {
        let fields: Vec<(String, String)> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        let field = |name: &str| fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        let ruling = match field("ruling") {
            "confirm" => Ruling::Confirm,
            "dismiss" => Ruling::Dismiss,
            "undo" => Ruling::Undo,
            _ => return Ok(Answer::plain(400, "no such decision")),
        };
        let about = match field("about").split_once(':') {
            Some(("row", row)) => row.parse().map(|row| vec![About::Row(row)]).unwrap_or_default(),
            Some(("cause", cause)) => vec![About::Cause(cause.to_owned())],
            _ if field("about") == "filter" => {
                let filter = Filter::parse(field("query"));
                let settled = self.settled()?;
                let shown = self.rows.iter().zip(settled).filter(|(row, ruling)| filter.shows(row, *ruling));
                shown.map(|(row, _)| About::Row(row.row)).collect()
            }
            _ => Vec::new(),
        };
        if about.is_empty() {
            return Ok(Answer::plain(400, "nothing to decide about"));
        }
        let note: String = field("note").trim().chars().take(NOTE).collect();
        let note = (!note.is_empty()).then_some(note);
        let at = Timestamp::now();
        let decisions: Vec<Decision> =
            about.into_iter().map(|about| Decision { at, by: self.by.clone(), about, ruling, note: note.clone() }).collect();
        decide(&self.folder, &decisions)?;
        let back = format!("/{token}/?{}", Filter::parse(field("query")).query());
        Ok(Answer { status: 303, body: String::new(), headers: vec![("Location", back)] })
    }
}

impl Page {
    /// Reads a report and listens on the loopback interface; port 0 takes one that is free.
    ///
    /// # Errors
    /// [`Error::Input`] where there is no report, [`Error::Config`] where the port is taken.
    pub fn open(report: &Path, by: &str, port: u16) -> Result<Self> {
        let desk = Desk::new(report, by)?;
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
        let mut form = String::new();
        let answer = if self.is_own(&request) {
            let read = request.as_reader().take(MAX_FORM).read_to_string(&mut form);
            let url = request.url().to_owned();
            let (path, query) = url.split_once('?').unwrap_or((&url, ""));
            let rest = path.strip_prefix('/').and_then(|path| path.strip_prefix(self.token.as_str()));
            let answer = match (request.method(), rest) {
                (Method::Get, Some("/")) => self.desk.show(query),
                (Method::Post, Some("/decide")) if read.is_ok() => self.desk.take(&form, &self.token),
                _ => Ok(Answer::plain(404, "nothing here: use the address that foretaste review printed")),
            };
            answer.unwrap_or_else(|error| Answer::plain(500, &error.to_string()))
        } else {
            Answer::plain(403, "this page is for the machine that serves it")
        };
        let mut response = Response::from_string(answer.body).with_status_code(answer.status);
        let common = [
            ("X-Content-Type-Options", "nosniff".to_owned()),
            // Not no-referrer: with that a browser sends its own forms here with the origin null, as a stranger's.
            ("Referrer-Policy", "same-origin".to_owned()),
            ("Cache-Control", "no-store".to_owned()),
            ("X-Frame-Options", "DENY".to_owned()),
        ];
        for (name, value) in common.into_iter().chain(answer.headers) {
            if let Ok(header) = Header::from_bytes(name, value) {
                response = response.with_header(header);
            }
        }
        // A browser that has gone away is no error of the review.
        let _ = request.respond(response);
    }

    /// Whether a request comes from this page: another site may send forms here, or have a name that leads here.
    fn is_own(&self, request: &Request) -> bool {
        let header =
            |name: &'static str| request.headers().iter().find(|header| header.field.equiv(name)).map(|header| header.value.as_str());
        let origin = header("Origin").is_none_or(|origin| origin.strip_prefix("http://") == Some(self.host.as_str()));
        origin && header("Host") == Some(self.host.as_str())
    }
}
