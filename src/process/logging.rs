//! The process's log: JSON for collectors, text on a terminal, on stderr; and the end of a process that panics.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::refusal::Refusal;

/// Read in this order; the first that is set counts.
const VARIABLES: [&str; 2] = ["FAILOVERD_LOG", "RUST_LOG"];
const DEFAULT: &str = "info";
/// openraft reports every unreachable peer as an error, several lines each; what matters of it is logged here.
const QUIET: &str = "openraft";

/// Starts logging, and makes any panic the process's end.
///
/// # Errors
/// [`Refusal::LogFilter`].
pub fn start(variable: impl Fn(&str) -> Option<String>) -> Result<(), Refusal> {
    let filter = filter(variable)?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        log.init();
    } else {
        log.json().flatten_event(true).init();
    }
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string);
        tracing::error!(at, message = panic.payload_as_str().unwrap_or_default(), "panicked: this is a defect");
        // Half a daemon looks alive to the others and is not. What was promised is on the disk.
        std::process::exit(1);
    }));
    Ok(())
}

fn filter(variable: impl Fn(&str) -> Option<String>) -> Result<EnvFilter, Refusal> {
    let set = VARIABLES.into_iter().find_map(|name| Some((name, variable(name).filter(|value| !value.is_empty())?)));
    let (name, wanted) = set.unwrap_or((VARIABLES[0], DEFAULT.to_owned()));
    let whole = if wanted.contains(QUIET) { wanted } else { format!("{wanted},{QUIET}=off") };
    EnvFilter::try_new(whole).map_err(|error| Refusal::LogFilter { variable: name, cause: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter_of(set: &[(&str, &str)]) -> Result<String, String> {
        let variable = |name: &str| set.iter().find(|(is, _)| *is == name).map(|(_, value)| (*value).to_owned());
        filter(variable).map(|filter| filter.to_string()).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn the_daemons_own_variable_comes_first_and_openraft_stays_quiet_unless_named() {
        assert_eq!(filter_of(&[]).unwrap(), "openraft=off,info");
        assert_eq!(filter_of(&[("RUST_LOG", "warn"), ("FAILOVERD_LOG", "debug")]).unwrap(), "openraft=off,debug");
        assert_eq!(filter_of(&[("RUST_LOG", "info,openraft=debug")]).unwrap(), "openraft=debug,info");
    }

    #[test]
    fn a_filter_that_is_none_names_its_variable() {
        let refused = filter_of(&[("RUST_LOG", "failoverd=loud")]).unwrap_err();
        assert!(refused.starts_with("RUST_LOG is not a log filter"), "{refused}");
    }
}
