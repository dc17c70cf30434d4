//! What the command line writes to, and how.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, IsTerminal, Write};

use anstyle::{AnsiColor, Style};

use super::args::Colour;
use crate::error::{Error, Result};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HELP: Style = AnsiColor::Cyan.on_default().bold();
const NOTE: Style = Style::new().bold();

/// Columns of a stdout that is not a terminal.
const PLAIN_WIDTH: usize = 100;

/// The two streams of a command, and what is known about them.
pub struct Terminal<'a> {
    /// Results.
    out: Box<dyn Write + 'a>,
    /// Errors and notes.
    err: Box<dyn Write + 'a>,
    out_colour: bool,
    err_colour: bool,
    width: usize,
    interactive: bool,
}

impl Terminal<'static> {
    /// The process's stdout and stderr.
    #[must_use]
    pub fn standard() -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        let coloured = |choice| choice != anstream::ColorChoice::Never;
        Self {
            out_colour: coloured(anstream::AutoStream::choice(&out)),
            err_colour: coloured(anstream::AutoStream::choice(&err)),
            width: terminal_size::terminal_size_of(&out).map_or(PLAIN_WIDTH, |(width, _)| usize::from(width.0)),
            interactive: err.is_terminal(),
            out: Box::new(out),
            err: Box::new(err),
        }
    }
}

impl<'a> Terminal<'a> {
    /// Streams that are not a terminal: no colour, no progress.
    #[must_use]
    pub fn plain(out: impl Write + 'a, err: impl Write + 'a) -> Self {
        Self { out: Box::new(out), err: Box::new(err), out_colour: false, err_colour: false, width: PLAIN_WIDTH, interactive: false }
    }

    /// Lets the user's word on colour count over what was detected.
    pub(super) fn set_colour(&mut self, colour: Colour) {
        if colour != Colour::Auto {
            self.out_colour = colour == Colour::Always;
            self.err_colour = self.out_colour;
        }
    }

    /// Whether results may hold colour.
    pub(super) fn colour(&self) -> bool {
        self.out_colour
    }

    /// Columns that results may fill.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Whether somebody is looking at stderr.
    pub(super) fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Writes a result. A reader that has gone away (`foretaste … | head`) is not an error.
    pub(super) fn print(&mut self, mut bytes: impl io::Read) -> Result<()> {
        match io::copy(&mut bytes, &mut self.out).and_then(|_| self.out.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::output("stdout", error)),
            _ => Ok(()),
        }
    }

    /// Writes an error and what to do next. There is nowhere left to report that stderr is gone.
    pub(super) fn report(&mut self, error: &Error) {
        self.say(ERROR, "error", &error.to_string());
        if let Some(help) = error.help() {
            self.say(HELP, "help", help);
        }
    }

    /// Writes a note to stderr.
    pub(super) fn note(&mut self, text: &str) {
        self.say(NOTE, "note", text);
    }

    /// Writes what clap has to say: help to stdout, complaints to stderr.
    pub(super) fn clap(&mut self, said: &clap::Error) {
        let styled = said.render();
        let text = |colour| if colour { styled.ansi().to_string() } else { styled.to_string() };
        // Help that nobody can read any more is no failure of the command.
        let _ = if said.use_stderr() {
            self.err.write_all(text(self.err_colour).as_bytes())
        } else {
            self.out.write_all(text(self.out_colour).as_bytes()).and_then(|()| self.out.flush())
        };
    }

    fn say(&mut self, style: Style, kind: &str, text: &str) {
        let text = printable(text);
        let _ = if self.err_colour { writeln!(self.err, "{style}{kind}:{style:#} {text}") } else { writeln!(self.err, "{kind}: {text}") };
    }
}

/// The text with control characters escaped: names of files and columns are the data's, and must not drive the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            // Writing to a string cannot fail.
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Refuses every byte with one kind of error.
    struct Refusing(ErrorKind);

    impl Write for Refusing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_error_and_a_full_disk_is() {
        let print = |kind| Terminal::plain(Refusing(kind), io::sink()).print(&b"text"[..]);
        print(ErrorKind::BrokenPipe).unwrap();
        assert!(print(ErrorKind::StorageFull).unwrap_err().to_string().starts_with("stdout: "));
    }

    #[test]
    fn errors_are_coloured_on_demand_and_never_drive_the_terminal() {
        let error = Error::config("--label", "there is no column '\u{1b}[2J\u{202e}x'").with_help("Look.");
        let said = |colour| {
            let mut err = Vec::new();
            let mut terminal = Terminal::plain(io::sink(), &mut err);
            terminal.set_colour(colour);
            terminal.report(&error);
            drop(terminal);
            String::from_utf8(err).unwrap()
        };
        assert_eq!(said(Colour::Auto), "error: --label: there is no column '\\u{1b}[2J\\u{202e}x'\nhelp: Look.\n");
        assert!(said(Colour::Always).starts_with("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m --label: "));
    }
}
