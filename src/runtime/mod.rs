//! What a daemon does all day: observe, decide (leader), execute (leader), settle (leader), write history.
//!
//! Everything here works on `ports` and the domain alone. Nothing but the supervisor spawns a task.

mod board;
mod controller;
mod engine;
mod executor;
mod forgetter;
mod notifier;
mod observer;
mod projector;
mod pruner;
mod publisher;
mod recorder;
mod rehearser;
mod settler;
mod supervisor;
mod timing;
mod voice;

pub use board::Board;
pub use engine::{Engine, Parts};
pub use pruner::Keep;
pub use settler::{Standing, Word, Words};
pub use supervisor::{Supervisor, TaskKind};
pub use timing::Timing;
