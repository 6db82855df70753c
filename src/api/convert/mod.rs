//! The only place that maps domain and proto, one file a concern. Total functions: what cannot be expressed does not
//! compile.

mod drill;
mod fleet;
mod history;
mod plan;
mod readiness;
mod run;
mod service;
mod words;

pub use drill::{drill, drill_run, licences, way_back};
pub use fleet::{fleet, regions, switches, what_if};
pub use history::{event, filter, removal};
pub use plan::{plan, step};
pub use readiness::{checks, readiness, urgent};
pub use run::{rto_ms, run};
pub use service::{finding, guard, guards, loss, service};
pub use words::{mode, mode_asked, movement, movement_asked, time, word};
