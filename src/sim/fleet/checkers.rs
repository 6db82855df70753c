//! What Route 53's checkers reach: the daemons' switch endpoints, answered as `api/switch.rs` does, and the service's
//! own front doors.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::fleet::{Bit, FleetState};
use failoverd_domain::ids::{Region, SwitchGroup};
use failoverd_domain::route53::Protocol;
use failoverd_domain::traffic::SwitchEndpoint;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::ports::Leadership;
use crate::sim::world::{Fetch, SimulatedAws};

/// There and back between a checker and an endpoint.
const ROUND_TRIP: Duration = Duration::from_millis(40);

/// Where checkers reach a daemon.
#[must_use]
pub(super) fn switch_endpoint(region: &Region) -> SwitchEndpoint {
    SwitchEndpoint { host: format!("switch.{region}.failover.example.com"), port: 443, https: true }
}

/// One daemon's switch endpoint.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) state: watch::Receiver<Arc<FleetState>>,
    pub(super) leadership: watch::Receiver<Leadership>,
}

impl Door {
    pub(super) fn answer(&self, token: &str) -> (u16, Vec<u8>) {
        if !self.leadership.borrow().caught_up {
            return (503, Vec::new());
        }
        let state = self.state.borrow();
        let mut bits = state.known_switches().flat_map(|(_, switch)| switch.bits.values());
        match bits.find(|bit| bit.token == token).map(|bit| bit.on) {
            Some(true) => (200, b"switch=on".to_vec()),
            Some(false) => (200, b"switch=off".to_vec()),
            None => (404, Vec::new()),
        }
    }

    /// The bit that this daemon's answer rests on; `None` while it is silent.
    pub(super) fn bit(&self, group: &SwitchGroup, of: &Region) -> Option<Bit> {
        let speaks = self.leadership.borrow().caught_up;
        let state = self.state.borrow();
        let bit = state.switches.get(group).and_then(|switch| switch.bits.get(of).cloned());
        bit.filter(|_| speaks && state.is_confirmed(group))
    }
}

/// The switch endpoints of the daemons that run.
#[derive(Clone, Default)]
pub(super) struct Doors(Arc<Mutex<BTreeMap<Region, Door>>>);

impl Doors {
    pub(super) fn open(&self, region: &Region, door: Door) {
        self.all().insert(region.clone(), door);
    }

    pub(super) fn close(&self, region: &Region) {
        self.all().remove(region);
    }

    pub(super) fn all(&self) -> MutexGuard<'_, BTreeMap<Region, Door>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What checkers reach.
pub(super) struct Endpoints {
    pub(super) aws: SimulatedAws,
    pub(super) doors: Doors,
}

impl Endpoints {
    /// The Region that a host name is about: its second label for switches, its first for front doors.
    fn place(host: &str) -> (bool, &str) {
        match host.strip_prefix("switch.") {
            Some(rest) => (true, rest.split('.').next().unwrap_or_default()),
            None => (false, host.split('.').next().unwrap_or_default()),
        }
    }
}

#[async_trait]
impl Fetch for Endpoints {
    async fn get(&self, _: Protocol, host: &str, _: u16, path: &str) -> Result<(u16, Vec<u8>), String> {
        let (is_switch, region) = Self::place(host);
        let region = Region::from(region);
        if !self.aws.is_reachable_from_outside(&region) {
            // Nobody answers: the checker gives up by itself.
            pending::<()>().await;
        }
        sleep(ROUND_TRIP).await;
        if is_switch {
            let door = self.doors.all().get(&region).cloned();
            let door = door.ok_or_else(|| "connection refused".to_owned())?;
            return Ok(door.answer(path.strip_prefix("/s/").unwrap_or_default()));
        }
        let bad = self.aws.with(|world| world.endpoint_is_bad(&region, host));
        Ok((if bad { 503 } else { 200 }, Vec::new()))
    }
}
