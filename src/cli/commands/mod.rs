//! One file a command: arguments, calls, what is shown.

pub mod apply;
pub mod backup;
pub mod break_glass;
pub mod completion;
pub mod delete;
pub mod describe;
pub mod drill;
pub mod export;
pub mod failback;
pub mod failover;
pub mod fleet;
pub mod get;
pub mod history;
pub mod iam_policy;
pub mod log;
pub mod pause;
pub mod plan;
pub mod region;
pub mod report;
pub mod route;
pub mod run;
pub mod sandbox;
pub mod status;
pub mod switch;
