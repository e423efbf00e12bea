//! `knock`: knocks at ports, and tells whether that went well.

use std::io::{self, Write as _};
use std::process::ExitCode;

use knock::cli::{self, Instead};
use knock::profile::Folders;
use knock::{PROGRAM, Status, run};

fn main() -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(Instead::Print(text)) => {
            // Where nobody reads there is nobody to tell.
            let _ = io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(Instead::Refuse(text)) => {
            let _ = io::stderr().write_all(text.as_bytes());
            return Status::Usage.into();
        }
    };
    match run::run(&cli, &Folders::of_this_user()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.errors.iter().for_each(|error| PROGRAM.error(error));
            failure.status.into()
        }
    }
}
