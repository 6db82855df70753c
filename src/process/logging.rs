//! The process's log: JSON for collectors, text on a terminal, on stderr; and the end of a process that panics.

use std::io::IsTerminal;

use tracing_subscriber::prelude::*;
use tracing_subscriber::{fmt, reload};

use super::refusal::Refusal;
use crate::config::{Log, LogFormat};
use crate::telemetry::LogControl;

/// Read in this order, before the file; the first that is set counts.
const VARIABLES: [&str; 2] = ["FAILOVERD_LOG", "RUST_LOG"];
const DEFAULT: &str = "info";

/// What is logged: by a variable, else by the file.
///
/// # Errors
/// [`Refusal::LogFilter`]: a variable that is no filter. The file's is looked at with the rest of the file.
pub fn filter(log: &Log, variable: impl Fn(&str) -> Option<String>) -> Result<String, Refusal> {
    let set = VARIABLES.into_iter().find_map(|name| Some((name, variable(name).filter(|value| !value.is_empty())?)));
    let Some((variable, filter)) = set else {
        return Ok(log.filter.clone().unwrap_or_else(|| DEFAULT.to_owned()));
    };
    match LogControl::parse(&filter) {
        Ok(_) => Ok(filter),
        Err(error) => Err(Refusal::LogFilter { variable, cause: error.to_string() }),
    }
}

/// Starts logging by that filter, and makes any panic the process's end.
///
/// # Errors
/// [`Refusal::LogFilter`].
pub fn start(log: &Log, filter: String) -> Result<LogControl, Refusal> {
    let refused = |error: crate::telemetry::LogFilterError| Refusal::LogFilter {
        variable: "log.filter",
        cause: error.to_string(),
    };
    let (filtered, handle) = reload::Layer::new(LogControl::parse(&filter).map_err(refused)?);
    let is_text = match log.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Json => false,
        LogFormat::Text => true,
    };
    let lines = fmt::layer().with_writer(std::io::stderr);
    if is_text {
        let lines = lines.with_ansi(std::io::stderr().is_terminal());
        tracing_subscriber::registry().with(filtered).with(lines).init();
    } else {
        tracing_subscriber::registry().with(filtered).with(lines.json().flatten_event(true)).init();
    }
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string);
        tracing::error!(at, message = panic.payload_as_str().unwrap_or_default(), "panicked: this is a defect");
        // Half a daemon looks alive to the others and is not. What was promised is on the disk.
        std::process::exit(1);
    }));
    Ok(LogControl::new(filter, move |filter| handle.reload(filter).map_err(|error| error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter_of(file: Option<&str>, set: &[(&str, &str)]) -> Result<String, String> {
        let variable = |name: &str| set.iter().find(|(is, _)| *is == name).map(|(_, value)| (*value).to_owned());
        let log = Log { filter: file.map(str::to_owned), ..Log::default() };
        filter(&log, variable).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn variables_come_before_the_file_and_the_daemons_own_comes_first() {
        assert_eq!(filter_of(None, &[]).unwrap(), "info");
        assert_eq!(filter_of(Some("warn"), &[]).unwrap(), "warn");
        assert_eq!(filter_of(Some("warn"), &[("RUST_LOG", "error")]).unwrap(), "error");
        assert_eq!(filter_of(None, &[("RUST_LOG", "warn"), ("FAILOVERD_LOG", "debug")]).unwrap(), "debug");
    }

    #[test]
    fn a_filter_that_is_none_names_its_variable() {
        let refused = filter_of(None, &[("RUST_LOG", "failoverd=loud")]).unwrap_err();
        assert!(refused.starts_with("RUST_LOG: ") && refused.contains("is not a log filter"), "{refused}");
    }
}
