//! How the daemon is watched: its log, and where its traces go.

use std::path::PathBuf;

use failoverd_domain::manifest::field::Field;
use failoverd_domain::manifest::names;

/// What is logged, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// A level, or `target=level` pairs; absent: `info`.
    pub filter: Option<String>,
    /// How lines look.
    pub format: LogFormat,
}

/// How lines of the log look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Where traces of runs go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traces {
    /// A collector's OTLP endpoint, gRPC.
    pub endpoint: String,
    /// Whom to trust there, PEM file; absent: the public authorities.
    pub ca: Option<PathBuf>,
}

const FORMATS: [(&str, LogFormat); 3] =
    [("auto", LogFormat::Auto), ("json", LogFormat::Json), ("text", LogFormat::Text)];

impl LogFormat {
    /// The word of the file.
    #[must_use]
    pub fn word(self) -> &'static str {
        FORMATS.iter().find(|(_, format)| *format == self).map_or("auto", |(word, _)| word)
    }
}

/// `log: { filter, format }`.
pub(super) fn log(field: &Field<'_>) -> Option<Log> {
    let keys = field.mapping()?;
    let filter = keys.maybe("filter", |field| field.text());
    let format = keys.or("format", LogFormat::Auto, |field| field.choice(&FORMATS));
    keys.finish();
    Some(Log { filter: filter?, format: format? })
}

/// `traces: { endpoint, ca }`.
pub(super) fn traces(field: &Field<'_>) -> Option<Traces> {
    let keys = field.mapping()?;
    let endpoint = keys.need("endpoint", |field| {
        let text = field.text()?;
        match names::check_http_url(&text) {
            Ok(()) => Some(text),
            Err(why) => field.refuse(why),
        }
    });
    let ca = keys.maybe("ca", |field| field.text());
    keys.finish();
    let (endpoint, ca) = (endpoint?, ca?.map(PathBuf::from));
    if ca.is_some() && !endpoint.starts_with("https://") {
        return field.refuse("ca is of no use: the endpoint is not https://");
    }
    Some(Traces { endpoint, ca })
}
