//! The switch listener: what Route 53's health checkers ask. Public, so nothing else is served here, nothing names the
//! product, every question costs the same, and nobody can take more than a share of connections, requests and memory.

mod connection;
mod desk;
mod limits;
mod rates;
mod room;
mod table;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::fleet::FleetState;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use connection::Conversation;
use desk::Desk;
pub use limits::SwitchLimits;
use rates::{Rates, Source};
use room::{Pulse, Room};
use table::Table;

use super::tls::LiveSwitch;
use crate::ports::Leadership;
use crate::telemetry::{Answer, Meters};

type Tables = watch::Receiver<Arc<Table>>;

/// Between two looks for connections that are late.
const SWEEP: Duration = Duration::from_secs(1);
/// After the system had no socket to give.
const BREATH: Duration = Duration::from_millis(50);
/// How long connections may take to end when the daemon is going down.
const PARTING: Duration = Duration::from_secs(1);

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
    let desk = Arc::new(Desk { table, leadership, rates: Rates::new(), fixed: settings.limits, meters });
    let tls = settings.tls;
    let door = Door { desk, tls, stop, room: Room::default(), talking: JoinSet::new(), told: false };
    let serving = door.keep(listener);
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

/// Lets connections in and sees them out. Dropped, it ends every one of them.
struct Door {
    desk: Arc<Desk>,
    tls: Option<LiveSwitch>,
    stop: CancellationToken,
    room: Room,
    talking: JoinSet<()>,
    /// Whether the log has been told that the system has no sockets left.
    told: bool,
}

impl Door {
    async fn keep(mut self, listener: TcpListener) -> io::Result<()> {
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let stop = self.stop.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = self.talking.join_next_with_id() => self.see_out(ended),
                _ = sweep.tick() => self.room.sweep(),
                accepted = listener.accept() => match accepted {
                    Ok((stream, from)) => {
                        self.told = false;
                        self.let_in(stream, from);
                    }
                    Err(error) => self.catch_breath(&error).await,
                },
            }
        }
        drop(listener);
        let parted = async { while self.talking.join_next().await.is_some() {} };
        // Whoever has not parted by then is cut off.
        let _ = tokio::time::timeout(PARTING, parted).await;
        Ok(())
    }

    fn let_in(&mut self, stream: TcpStream, from: SocketAddr) {
        while let Some(ended) = self.talking.try_join_next_with_id() {
            self.see_out(ended);
        }
        let source = Source::of(from.ip());
        let cells = self.desk.rates.cells_of(source);
        // Closed without a word: an answer would cost what the limit is there to save.
        if !self.desk.admits(cells) {
            self.desk.meters.switch_answered(Answer::Refused);
            return;
        }
        self.room.make(source, &self.desk.limits());
        let pulse = Arc::new(Pulse::new());
        let conversation = Conversation {
            desk: self.desk.clone(),
            tls: self.tls.as_ref().map(|tls| TlsAcceptor::from(tls.listener())),
            source: cells,
            pulse: pulse.clone(),
            stop: self.stop.clone(),
        };
        let task = self.talking.spawn(conversation.hold(stream));
        self.room.enter(source, pulse, task);
    }

    fn see_out(&mut self, ended: Result<(Id, ()), JoinError>) {
        self.room.leave(ended.map_or_else(|error| error.id(), |(id, ())| id));
    }

    /// A caller that is gone before it was let in is nothing; the rest means that the system has no socket left.
    async fn catch_breath(&mut self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
        if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
            return;
        }
        if !std::mem::replace(&mut self.told, true) {
            tracing::error!(listener = "switch", %error, "no connection can be accepted: raise the limit of open files");
        }
        self.room.end_one();
        tokio::time::sleep(BREATH).await;
    }
}

#[cfg(test)]
mod tests;
