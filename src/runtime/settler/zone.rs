//! Records and health checks.

use std::collections::BTreeMap;

use failoverd_domain::fleet::{Command, ServiceState};
use failoverd_domain::ids::{LogIndex, Region};
use failoverd_domain::route53::CheckKind;
use failoverd_domain::traffic::{
    DesireProblem, Desired, DesiredKind, FenceMark, SettleAction, SwitchAlarm, settle, switch_alarm_name,
    wanted_reference,
};

use super::packer::Ticket;
use super::{Settler, Unsettled, lane_of};
use crate::ports::{Age, Effect};
use crate::survey;

/// Rounds of checks and records in one go: children, parents, records.
const MOST_ROUNDS: usize = 8;

impl Settler {
    /// A service that is not settled comes with its ticket; another needs one only when something has drifted.
    pub(super) async fn settle_zone(
        &self,
        service: &ServiceState,
        ticket: Option<Ticket<'_>>,
    ) -> Result<(), Unsettled> {
        let mut intent = None;
        for _ in 0..MOST_ROUNDS {
            self.still(service)?;
            let seen = self.state().applied;
            // Anew in each: where daemons are reached may change under the same epoch and manifest.
            let wanted = self.wanted(service)?;
            let read_at = self.check_changes.now();
            let actions = self.next_actions(service, &wanted, intent).await?;
            if actions.is_empty() {
                drop(ticket);
                return self.declare_settled(service, seen).await;
            }
            self.alarms_speak(service, &wanted, &actions).await?;
            if intent.is_none() {
                intent = Some(self.intend(service, actions.iter().map(describe).collect()).await?);
                // The fence must carry the intent's own index: ask again with it.
                continue;
            }
            for action in actions {
                self.still_wanted(service, &wanted)?;
                match (action, &ticket) {
                    (SettleAction::ChangeRecords { changes }, Some(ticket)) => ticket.hand_in(service, changes).await?,
                    (SettleAction::ChangeRecords { changes }, None) => {
                        self.packer.ticket(lane_of(service)).hand_in(service, changes).await?;
                    }
                    (action, _) => self.perform(service, read_at, action).await?,
                }
            }
        }
        Err(Unsettled::Stuck(format!("records of {} do not converge", service.spec.name)))
    }

    fn still_wanted(&self, service: &ServiceState, wanted: &Desired) -> Result<(), Unsettled> {
        if self.wanted(service)? == *wanted {
            return Ok(());
        }
        Err(Unsettled::Yield("what should stand in Route 53 has changed".to_owned()))
    }

    fn wanted(&self, service: &ServiceState) -> Result<Desired, Unsettled> {
        survey::wanted(&self.state(), service).map_err(|problem| match problem {
            DesireProblem::NoEndpoint(_) => Unsettled::Yield(problem.to_string()),
            _ => Unsettled::Stuck(problem.to_string()),
        })
    }

    /// Route 53 copies an alarm's rule when a check of it is made or updated, and takes a check without data for on. So
    /// before that, the daemons concerned must have made their alarms as they should be, and have been heard through
    /// them.
    async fn alarms_speak(
        &self,
        service: &ServiceState,
        wanted: &Desired,
        actions: &[SettleAction],
    ) -> Result<(), Unsettled> {
        let state = self.state();
        let group = service.spec.switch_group();
        for (daemon, alarms) in concerned(wanted, actions) {
            let names: Vec<String> = alarms.iter().map(|alarm| alarm.name.clone()).collect();
            let standing = self.world_of(service).alarms.describe(daemon, &names).await?;
            for alarm in alarms {
                let stands = standing.iter().find(|stands| stands.alarm == *alarm);
                let bits = state.switches.get(&group).into_iter().flat_map(|switch| &switch.bits);
                let mut bits =
                    bits.filter(|(bit, _)| switch_alarm_name(&state.fleet, &group, bit, daemon) == alarm.name);
                let on = bits.next().map(|(_, bit)| bit.on);
                let waits = match stands.map(|stands| stands.state) {
                    None => "is not there yet, or not as it should be: the daemon there makes it",
                    Some(None) => "has no data yet: the daemon there sends it",
                    Some(said) if said == on.map(|on| !on) => continue,
                    Some(_) => "does not say yet what the fleet has agreed",
                };
                return Err(Unsettled::Yield(format!("alarm {} in {daemon} {waits}", alarm.name)));
            }
        }
        Ok(())
    }

    /// Reads what is there and says what is to be done. Before there is an intent, asks as of now.
    async fn next_actions(
        &self,
        service: &ServiceState,
        wanted: &Desired,
        intent: Option<LogIndex>,
    ) -> Result<Vec<SettleAction>, Unsettled> {
        let state = self.state();
        let mark = FenceMark {
            fleet: state.fleet.clone(),
            generation: state.generation,
            epoch: service.epoch,
            index: intent.unwrap_or(state.applied),
        };
        let world = self.world_of(service);
        let checks = world.health_checks.list(Age::Shared).await?;
        let records = world.records.list(&wanted.zone, Age::Shared).await?;
        // A thousand services compare a zone one by one: whatever else this daemon does goes in between.
        tokio::task::yield_now().await;
        let actions = settle(wanted, &mark, &checks, &records);
        match actions.first() {
            Some(SettleAction::Refused { reason }) => Err(Unsettled::Yield(reason.clone())),
            Some(SettleAction::Foreign { name, reason }) => Err(Unsettled::Stuck(format!("{name}: {reason}"))),
            _ => Ok(actions),
        }
    }

    async fn perform(&self, service: &ServiceState, read_at: u64, action: SettleAction) -> Result<(), Unsettled> {
        self.may_write(service).await?;
        let world = self.world_of(service);
        let checks = &world.health_checks;
        // One key for all lives of a check.
        let key = |reference: &str| (service.spec.role_arn.clone(), wanted_reference(reference).to_owned());
        let done = match action {
            SettleAction::CreateCheck { reference, config } => {
                let create = async { checks.create(&reference, config).await.map(drop) };
                self.check_changes.once(key(&reference), read_at, create).await
            }
            SettleAction::UpdateCheck { check, config } => {
                let update = async { checks.update(&check, config).await.map(drop) };
                self.check_changes.once(key(&check.caller_reference), read_at, update).await
            }
            SettleAction::DeleteCheck { check } => {
                self.check_changes.once(key(&check.caller_reference), read_at, checks.delete(&check)).await
            }
            SettleAction::ChangeRecords { .. } | SettleAction::Refused { .. } | SettleAction::Foreign { .. } => Ok(()),
        };
        match done {
            // Unknown: the next round reads what came of it, and every action is exact about what it replaces.
            Err(error) if error.effect == Effect::Unknown => Ok(()),
            other => other.map_err(Unsettled::Call),
        }
    }

    async fn declare_settled(&self, service: &ServiceState, seen: LogIndex) -> Result<(), Unsettled> {
        if self.state().services.get(&service.spec.name).is_some_and(ServiceState::is_settled) {
            return Ok(());
        }
        let command = Command::Settled {
            service: service.spec.name.clone(),
            epoch: service.epoch,
            spec_index: service.spec_index,
            seen,
        };
        self.propose(command).await?;
        tracing::info!(service = %service.spec.name, epoch = %service.epoch, "settled");
        Ok(())
    }
}

/// The alarms that Route 53 would read for these actions, by the Region of each.
fn concerned<'a>(wanted: &'a Desired, actions: &[SettleAction]) -> BTreeMap<&'a Region, Vec<&'a SwitchAlarm>> {
    let mut found: BTreeMap<&Region, Vec<&SwitchAlarm>> = BTreeMap::new();
    for action in actions {
        let (SettleAction::CreateCheck { config, .. } | SettleAction::UpdateCheck { config, .. }) = action else {
            continue;
        };
        let CheckKind::Alarm { name, .. } = &config.kind else { continue };
        let alarm = wanted.checks.iter().find_map(|check| match &check.kind {
            DesiredKind::Alarm { region, alarm } if alarm.name == *name => Some((region, alarm)),
            _ => None,
        });
        if let Some((region, alarm)) = alarm {
            found.entry(region).or_default().push(alarm);
        }
    }
    found
}

fn describe(action: &SettleAction) -> String {
    match action {
        SettleAction::CreateCheck { reference, .. } => format!("create check {reference}"),
        SettleAction::UpdateCheck { check, .. } => format!("update check {}", check.caller_reference),
        SettleAction::DeleteCheck { check } => format!("delete check {}", check.caller_reference),
        SettleAction::ChangeRecords { changes } => format!("{} record changes in one batch", changes.len()),
        SettleAction::Refused { reason } => format!("refused: {reason}"),
        SettleAction::Foreign { name, .. } => format!("foreign: {name}"),
    }
}
