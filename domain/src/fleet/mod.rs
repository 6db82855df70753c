//! The replicated state, the entries that change it, and the one function that applies them.

mod apply;
mod backup;
mod basis;
mod command;
mod controller;
mod drills;
mod event;
mod failover;
mod formats;
mod forwarded;
mod groups;
mod guard;
mod guards;
mod moves;
mod restored;
mod run;
mod settings;
mod state;
#[cfg(test)]
pub(crate) mod tests;
mod timeline;
mod velocity;

pub use apply::{Applied, LEAST_DAEMONS, Rejection, may_be_lost};
pub use backup::{About, Backup, BackupError, LARGEST_BACKUP};
pub use basis::{Basis, Usual};
pub use command::{Actor, Command, Decision, Entry, StepOutcome};
pub use controller::{Forecast, ForecastOutcome, Proposal, tick, what_if_region_vanishes};
pub use event::{EventHead, EventKind, HistoryEvent, verify_chain};
pub use failover::{FailoverRequest, Outlook, outlook, propose_failover, still_holds};
pub use guard::{Guard, GuardVerdict, Severity};
pub use restored::{POSITIONS_PASSED_OVER, Restored, Restoring, Since};
pub use run::{Consent, Intent, Run, RunState, StepProgress, StepState, Trigger};
pub use settings::{Departures, FleetSettings, LEAST_WINDOW_MS, MOST_WINDOW_MS, Velocity};
pub use state::{
    Bit, BrokenGlass, FleetState, Gone, Licence, Member, Retired, Role, ServicePhase, ServiceState, Settlement, Switch,
    WHOLE_SHARE, WayBack,
};
pub use timeline::{Cutter, Floors, Part, parts, parts_by};
