//! Asking before something dangerous.

use std::io::{BufRead, IsTerminal};

use super::{Context, Failure};

/// Asks a person to type `name`; without a terminal, `--yes` must have been given.
///
/// # Errors
/// Exit 2 where nobody can be asked, exit 6 when the person thought better of it.
pub fn confirm(context: &Context, what: &str, name: &str) -> Result<(), Failure> {
    if context.global.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        let failure = Failure::usage(format!("this would {what}, and nobody can be asked here"));
        return Err(failure.hint("if that is what you want, add --yes"));
    }
    context.out.ask(&format!("This will {what}.\nType {name} to go on: "));
    let mut typed = String::new();
    let read = std::io::stdin().lock().read_line(&mut typed);
    if read.is_ok() && typed.trim() == name {
        return Ok(());
    }
    Err(Failure::new(6, "cancelled; nothing was changed"))
}
