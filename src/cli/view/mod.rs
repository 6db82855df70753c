//! What answers look like: proto to JSON, tables and names. Pure; nothing here prints.

mod applied;
mod drill;
mod fleet;
mod history;
mod json;
mod plan;
mod route;
mod run;
mod service;
mod status;
mod table;

pub use applied::{applied, summary};
pub use drill::{drill_whole, drills, execution, schedule, what_to_do};
pub use fleet::{regions, switches};
pub use history::{events, verification};
pub use json::{run_json, time_json};
pub use plan::plan;
pub use route::route;
pub use run::{answers_text, parts_text, run_whole, runs, step_line, steps_text};
pub use service::{epochs, guards, service_whole, services};
pub use status::status;
