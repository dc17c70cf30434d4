//! The progress bar on stderr.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::terminal::printable;
use crate::run::Progress;

const READING: &str = "{spinner} {msg} [{bar:24}] {human_pos}/{human_len} rows, {per_sec}, {eta} left";
const READING_UNKNOWN: &str = "{spinner} {msg} {human_pos} rows, {per_sec}";
const BUSY: &str = "{spinner} {msg} {elapsed}";

/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(120);

/// Shows a scan's rows, rate and time left on stderr; cleared when dropped.
pub(super) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// A bar on stderr; it draws nothing where stderr is not a terminal.
    pub(super) fn on_stderr() -> Self {
        let bar = ProgressBar::new_spinner();
        if !bar.is_hidden() {
            bar.enable_steady_tick(TICK);
        }
        Self { bar }
    }

    fn show(&self, template: &str, message: &str) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.set_message(printable(message));
    }
}

impl Progress for Bar {
    fn scan(&self, number: u32, what: &str, rows: Option<u64>) {
        self.bar.reset();
        match rows {
            Some(rows) => self.bar.set_length(rows),
            None => self.bar.unset_length(),
        }
        self.show(if rows.is_some() { READING } else { READING_UNKNOWN }, &format!("scan {number}: {what}"));
    }

    fn rows(&self, rows: u64) {
        self.bar.inc(rows);
    }

    fn busy(&self, what: &str) {
        self.bar.reset_elapsed();
        self.show(BUSY, what);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use indicatif::{ProgressDrawTarget, TermLike};

    use super::*;

    /// A terminal that keeps its last line; the bar draws no more than one.
    #[derive(Debug, Clone, Default)]
    struct Line(Arc<Mutex<String>>);

    impl Line {
        fn text(&self) -> String {
            self.0.lock().unwrap().trim_end().to_owned()
        }
    }

    impl TermLike for Line {
        fn width(&self) -> u16 {
            120
        }

        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            self.0.lock().unwrap().clear();
            Ok(())
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn shows_scans_and_work_and_leaves_nothing() {
        let line = Line::default();
        let target = ProgressDrawTarget::term_like(Box::new(line.clone()));
        let progress = Bar { bar: ProgressBar::with_draw_target(None, target) };
        let shows = |text: &str| {
            line.clear_line().unwrap();
            progress.bar.force_draw();
            assert!(line.text().contains(text), "{text:?} is not in {:?}", line.text());
        };
        progress.scan(1, "counting\u{1b}[2J", Some(2000));
        progress.rows(500);
        shows("scan 1: counting\\u{1b}[2J [");
        shows("500/2,000 rows, ");
        progress.scan(2, "scoring", None);
        progress.rows(1500);
        shows("scan 2: scoring 1,500 rows, ");
        progress.busy("testing causes");
        shows("testing causes ");
        drop(progress);
        assert_eq!(line.text(), "");
    }
}
