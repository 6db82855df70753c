//! This daemon's word on the switches that go through CloudWatch: published in its own Region at once when a switch turns,
//! and repeated; and the alarms over it, which Route 53 follows.
//!
//! Everything here stays inside the daemon's own Region and needs nobody else, leader or not. A daemon that has not
//! caught up with the fleet since its start says nothing: Route 53 then keeps what it said last. It never takes an alarm
//! away: a service that is forgotten leaves its alarms behind, as it does its records and checks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::fleet::FleetState;
use failoverd_domain::ids::{LogIndex, Region, SwitchGroup};
use failoverd_domain::traffic::{self, HEARD_AGAIN_S, SwitchAlarm, switch_alarm, voices};
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::ports::{Agreement, CallError, Figure, World};

/// Between two looks whether something is to be said.
const LOOK: Duration = Duration::from_secs(1);
/// One call, or one round of alarms.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two repetitions.
const AGAIN: Duration = Duration::from_secs(HEARD_AGAIN_S);
/// A word that could not be repeated for so long is none.
const FORGOTTEN: Duration = Duration::from_secs(3 * HEARD_AGAIN_S);
/// Between two looks at alarms that were right, and after a failure.
const ALARMS_EVERY: (Duration, Duration) = (Duration::from_secs(600), Duration::from_secs(10));

/// What was published lately, by switch and by the Region that a bit belongs to.
pub(super) type Spoken = BTreeMap<(SwitchGroup, Region), bool>;

/// A bit as it was last published.
struct Said {
    on: bool,
    index: LogIndex,
    at: Instant,
}

/// Everything said in one account, and when it may be tried again.
struct Account {
    said: BTreeMap<(SwitchGroup, Region), Said>,
    not_before: Instant,
}

impl Account {
    fn new() -> Self {
        Self { said: BTreeMap::new(), not_before: Instant::now() }
    }
}

/// Roles by ARN; `None` is the daemon's own.
type ByRole<T> = BTreeMap<Option<String>, T>;

/// The daemon's voice.
pub(super) struct Voice {
    me: Region,
    world: World,
    agreement: Arc<dyn Agreement>,
    spoken: watch::Sender<Spoken>,
}

impl Voice {
    /// A voice, and what it has said lately.
    pub(super) fn new(me: Region, world: World, agreement: Arc<dyn Agreement>) -> (Self, watch::Receiver<Spoken>) {
        let (spoken, heard) = watch::channel(Spoken::new());
        (Self { me, world, agreement, spoken }, heard)
    }

    /// Runs for ever.
    pub(super) async fn run(self) {
        tokio::join!(self.speak(), self.keep_alarms());
    }

    fn caught_up(&self) -> bool {
        self.agreement.leadership().borrow().caught_up
    }

    async fn speak(&self) {
        let (mut states, mut leadership) = (self.agreement.state(), self.agreement.leadership());
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut accounts: ByRole<Account> = BTreeMap::new();
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                Ok(()) = states.changed() => {}
                Ok(()) = leadership.changed() => {}
            }
            let state = states.borrow_and_update().clone();
            if self.caught_up() {
                self.say(&state, &mut accounts).await;
            } else {
                accounts.clear();
            }
            self.remember(&accounts);
        }
    }

    /// Publishes what is due: a new word at once, an old one from time to time; each account's in one call.
    async fn say(&self, state: &FleetState, accounts: &mut ByRole<Account>) {
        let mut wanted: ByRole<Vec<traffic::Voice<'_>>> = BTreeMap::new();
        for voice in voices(state) {
            wanted.entry(voice.role_arn.map(str::to_owned)).or_default().push(voice);
        }
        accounts.retain(|role, _| wanted.contains_key(role));
        for role in wanted.keys() {
            accounts.entry(role.clone()).or_insert_with(Account::new);
        }
        let saying = accounts.iter_mut().filter_map(|(role, account)| {
            let voices = wanted.remove(role)?;
            Some(async move { self.say_in(role.as_deref(), &voices, state, account).await })
        });
        join_all(saying).await;
    }

    async fn say_in(
        &self,
        role: Option<&str>,
        voices: &[traffic::Voice<'_>],
        state: &FleetState,
        account: &mut Account,
    ) {
        let key = |voice: &traffic::Voice<'_>| (voice.group.clone(), voice.region.clone());
        account.said.retain(|said, _| voices.iter().any(|voice| key(voice) == *said));
        let said = |voice: &traffic::Voice<'_>| {
            account.said.get(&key(voice)).filter(|said| said.on == voice.bit.on && said.index == voice.bit.index)
        };
        let is_due = |voice: &traffic::Voice<'_>| said(voice).is_none_or(|said| said.at.elapsed() >= AGAIN);
        if Instant::now() < account.not_before || !voices.iter().any(is_due) {
            return;
        }
        // Whoever is not due yet costs nothing more in the same call.
        let figures: Vec<Figure> = voices.iter().map(|voice| figure(state, voice)).collect();
        match self.publish(role, &figures).await {
            Ok(()) => {
                let at = Instant::now();
                let now = |voice| (key(voice), Said { on: voice.bit.on, index: voice.bit.index, at });
                account.said.extend(voices.iter().map(now));
            }
            Err(error) => {
                tracing::warn!(error, "switches were not published: tried again in a second");
                account.not_before = Instant::now() + LOOK;
            }
        }
    }

    async fn publish(&self, role: Option<&str>, figures: &[Figure]) -> Result<(), String> {
        let world = self.world.acting_as(role);
        match timeout(PATIENCE, world.metrics.publish(&self.me, figures)).await {
            Ok(done) => done.map_err(|error| error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    /// Lets the others know what Route 53 has been told.
    fn remember(&self, accounts: &ByRole<Account>) {
        let recent = accounts.values().flat_map(|account| &account.said);
        let recent = recent.filter(|(_, said)| said.at.elapsed() < FORGOTTEN);
        let now: Spoken = recent.map(|(key, said)| (key.clone(), said.on)).collect();
        self.spoken.send_if_modified(|spoken| {
            let changed = *spoken != now;
            *spoken = now;
            changed
        });
    }

    /// Makes this daemon's alarms and keeps them as they should be.
    async fn keep_alarms(&self) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut kept, mut due) = (BTreeSet::new(), Instant::now());
        loop {
            looks.tick().await;
            if !self.caught_up() {
                continue;
            }
            let state = self.agreement.state().borrow().clone();
            let wanted = wanted_alarms(&state, &self.me);
            let names: BTreeSet<_> = wanted.iter().map(|(role, alarm)| (role.clone(), alarm.name.clone())).collect();
            if names == kept && Instant::now() < due {
                continue;
            }
            let made = timeout(PATIENCE, self.make(&wanted)).await;
            let failed = match made {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("no answer in time".to_owned()),
            };
            due = Instant::now() + if failed.is_none() { ALARMS_EVERY.0 } else { ALARMS_EVERY.1 };
            kept = names;
            if let Some(error) = failed {
                tracing::warn!(error, "alarms of switches are not as they should be yet");
            }
        }
    }

    async fn make(&self, wanted: &[(Option<String>, SwitchAlarm)]) -> Result<(), CallError> {
        let mut by_role: ByRole<Vec<&SwitchAlarm>> = BTreeMap::new();
        for (role, alarm) in wanted {
            by_role.entry(role.clone()).or_default().push(alarm);
        }
        let mut first = Ok(());
        for (role, alarms) in by_role {
            let world = self.world.acting_as(role.as_deref());
            // What one account refuses holds up no other.
            first = first.and(self.make_in(&world, &alarms).await);
        }
        first
    }

    async fn make_in(&self, world: &World, alarms: &[&SwitchAlarm]) -> Result<(), CallError> {
        let names: Vec<String> = alarms.iter().map(|alarm| alarm.name.clone()).collect();
        let standing = world.alarms.describe(&self.me, &names).await?;
        for alarm in alarms.iter().filter(|alarm| !standing.iter().any(|stands| stands.alarm == ***alarm)) {
            world.alarms.put(&self.me, alarm).await?;
            tracing::info!(alarm = alarm.name, "alarm of a switch made");
        }
        Ok(())
    }
}

fn wanted_alarms(state: &FleetState, me: &Region) -> Vec<(Option<String>, SwitchAlarm)> {
    let alarm = |voice: traffic::Voice<'_>| {
        (voice.role_arn.map(str::to_owned), switch_alarm(&state.fleet, voice.group, voice.region, me))
    };
    voices(state).into_iter().map(alarm).collect()
}

fn figure(state: &FleetState, voice: &traffic::Voice<'_>) -> Figure {
    let dimensions = vec![
        (traffic::FLEET, state.fleet.to_string()),
        (traffic::GROUP, voice.group.to_string()),
        (traffic::REGION, voice.region.to_string()),
    ];
    Figure { name: traffic::FIGURE, dimensions, value: if voice.bit.on { 1.0 } else { 0.0 }, newest_decides: true }
}
