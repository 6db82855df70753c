//! `completion`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::{Cli, Context, Outcome};

/// Arguments of `completion`.
#[derive(Args, Debug)]
pub struct CompletionArgs {
    /// Shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the completion script of a shell.
pub fn run(context: &Context, args: &CompletionArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "failoverctl", &mut script);
    context.out.raw(&String::from_utf8_lossy(&script));
    Outcome::DONE
}
