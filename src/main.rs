//! The `foretaste` command.

use std::path::Path;
use std::process::ExitCode;

use foretaste::cli::{Exit, Terminal, run};
use foretaste::engine::Local;

fn main() -> ExitCode {
    // Panics of detectors and decoders are caught and reported as errors where they happen; the default hook would print
    // them a second time, with a path of the build machine.
    std::panic::set_hook(Box::new(|_| {}));
    // The exit status of a bug is that of an error, not the panic's own.
    std::panic::catch_unwind(|| run(std::env::args_os(), Path::new(""), &Local, &mut Terminal::standard())).unwrap_or(Exit::Broken).into()
}
