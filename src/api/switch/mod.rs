//! The switch listener: what Route 53's health checkers ask. Public, so nothing else is served here, nothing names the
//! product, every question costs the same, and nobody can take more than a share of connections, requests and memory.

mod connection;
mod desk;
pub(super) mod limits;
pub(super) mod rates;
pub(super) mod room;
mod table;

use std::io;
use std::sync::Arc;

use failoverd_domain::fleet::FleetState;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use desk::Desk;
pub use limits::SwitchLimits;
use rates::Rates;
use table::Table;

use super::reception::receive;
use super::tls::LiveSwitch;
use crate::ports::Leadership;
use crate::telemetry::Meters;

type Tables = watch::Receiver<Arc<Table>>;

/// How the listener serves.
#[derive(Clone, Debug, Default)]
pub struct SwitchSettings {
    /// TLS, unless it ends in front of the listener.
    pub tls: Option<LiveSwitch>,
    /// Limits that are fixed.
    pub limits: SwitchLimits,
}

/// Serves the checkers until `stop` is cancelled.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    state: watch::Receiver<Arc<FleetState>>,
    leadership: watch::Receiver<Leadership>,
    settings: SwitchSettings,
    meters: Arc<Meters>,
    stop: CancellationToken,
) -> io::Result<()> {
    let (tables, table) = watch::channel(Arc::new(Table::of(&state.borrow())));
    let (fixed, tls) = (settings.limits, settings.tls);
    let desk = Arc::new(Desk { table, leadership, rates: Rates::new(), tls, fixed, meters });
    let serving = receive(desk, listener, stop);
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => ended,
        () = follow(state, tables) => serving.await,
    }
}

/// Keeps the table true to the agreed state; returns when the daemon is going down.
async fn follow(mut state: watch::Receiver<Arc<FleetState>>, tables: watch::Sender<Arc<Table>>) {
    loop {
        let table = Table::of(&state.borrow_and_update());
        tables.send_if_modified(|held| {
            let differs = **held != table;
            if differs {
                *held = Arc::new(table);
            }
            differs
        });
        if state.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
