//! The fleet: its Regions, its switches, and what would happen if one of them vanished.

use std::collections::BTreeSet;

use failoverd_domain::fleet::{Bit, Forecast, ForecastOutcome, Member, what_if_region_vanishes};
use failoverd_domain::health::{Received, Vote};
use failoverd_domain::ids::{Region, SwitchGroup};
use failoverd_domain::traffic::shifts;

use super::plan::shift;
use super::{drill, drill_run, loss, service, words};
use crate::api::snapshot::Snapshot;
use crate::api::status::run_message;
use crate::api::{eta, proto};
use crate::survey;

/// The fleet at a glance.
#[must_use]
pub fn fleet(at: &Snapshot) -> proto::Fleet {
    let services = at.state.services.values();
    let open_drills = at.state.drill_runs.values().filter(|run| !run.is_closed());
    let open = at.state.runs.values().filter(|run| !run.state.is_closed());
    proto::Fleet {
        answered: Some(at.answered()),
        fleet: at.state.fleet.to_string(),
        generation: at.state.generation.0,
        format: at.state.format.0,
        paused: at.state.paused,
        regions: regions(at),
        services: services.map(|state| service(at, state, &at.findings(state))).collect(),
        open_runs: open.map(|open| run_message(at, open)).collect(),
        switches: switches(at),
        if_vanished: what_if(at),
        drills: drills_by_start(at),
        open_drills: open_drills.map(|run| drill_run(at, run)).collect(),
    }
}

/// Drills, the next to begin first; those that only people begin are last.
fn drills_by_start(at: &Snapshot) -> Vec<proto::Drill> {
    let mut drills: Vec<proto::Drill> = at.state.drills.values().map(|state| drill(at, state, 0)).collect();
    drills.sort_by_key(|drill| drill.next_at.map_or((i64::MAX, 0), |at| (at.seconds, at.nanos)));
    drills
}

/// The fleet's daemons as this one sees them.
#[must_use]
pub fn regions(at: &Snapshot) -> Vec<proto::RegionStatus> {
    at.state.members.iter().map(|(region, member)| region_status(at, region, member)).collect()
}

fn region_status(at: &Snapshot, region: &Region, member: &Member) -> proto::RegionStatus {
    let is_me = region == &at.me;
    let received = at.matrix.of(region);
    let mine = at.matrix.of(&at.me);
    let control_plane = mine.and_then(|mine| mine.report.control_planes.get(region));
    proto::RegionStatus {
        region: region.to_string(),
        role: words::role(member.role).into(),
        leader: at.leadership.leader.as_ref() == Some(region),
        reachable: is_me || at.matrix.fresh(at.now, region, at.view.stale_after_ms).is_some(),
        report_age_ms: received.map(|received| at.now.since(received.at)),
        applied_index: if is_me {
            Some(at.state.applied.0)
        } else {
            received.map(|received| received.report.applied.0)
        },
        history_lag: received.and_then(history_lag),
        clock_skew_ms: received.filter(|_| !is_me).map(Received::skew_ms).or(is_me.then_some(0)),
        control_plane: control_plane.map_or(proto::HealthStatus::Unknown, |status| words::status(*status)).into(),
        version: received.map(|it| it.report.build.version.clone()).unwrap_or_default(),
        format: received.map_or(0, |it| it.report.build.reads.0),
        reaches: received.map(|it| it.report.reaches.iter().map(ToString::to_string).collect()).unwrap_or_default(),
    }
}

fn history_lag(received: &Received) -> Option<u64> {
    let confirmed = received.report.history_confirmed?;
    Some(received.report.applied.0.saturating_sub(confirmed.0))
}

/// Every committed bit with what each daemon answers for it.
#[must_use]
pub fn switches(at: &Snapshot) -> Vec<proto::Switch> {
    let groups = at.state.switches.iter();
    groups
        .flat_map(|(group, switch)| {
            switch.bits.iter().map(move |(region, bit)| proto::Switch {
                group: group.to_string(),
                region: region.to_string(),
                state: words::switch_state(bit.on).into(),
                since: Some(words::time(bit.since)),
                votes: votes(at, group, region, bit),
                pattern: words::pattern(switch.pattern).into(),
                index: bit.index.0,
            })
        })
        .collect()
}

fn votes(at: &Snapshot, group: &SwitchGroup, bit_of: &Region, bit: &Bit) -> Vec<proto::SwitchVote> {
    let vote = |member: &Region| {
        if member != &at.me {
            return at.matrix.vote(at.now, member, at.view.stale_after_ms, group, bit_of);
        }
        match (at.leadership.caught_up, bit.on) {
            (false, _) => Vote::Silent,
            (true, true) => Vote::On,
            (true, false) => Vote::Off,
        }
    };
    let members = at.state.members.keys();
    members
        .map(|member| proto::SwitchVote { region: member.to_string(), vote: words::vote(vote(member)).into() })
        .collect()
}

/// What would happen to each service if each Region vanished now, by the guards as they stand.
#[must_use]
pub fn what_if(at: &Snapshot) -> Vec<proto::RegionForecast> {
    let forecast = |region: &Region| proto::RegionForecast {
        region: region.to_string(),
        services: what_if_region_vanishes(at.now, &at.state, &at.matrix, &at.view, region)
            .into_iter()
            .map(|forecast| service_forecast(at, region, forecast))
            .collect(),
    };
    at.state.members.keys().map(forecast).collect()
}

fn service_forecast(at: &Snapshot, region: &Region, forecast: Forecast) -> proto::Forecast {
    let outcome = match forecast.outcome {
        ForecastOutcome::FailsOver => proto::ForecastOutcome::FailsOver,
        ForecastOutcome::AsksForApproval => proto::ForecastOutcome::AsksForApproval,
        ForecastOutcome::NeedsPerson => proto::ForecastOutcome::NeedsPerson,
        ForecastOutcome::StaysDown => proto::ForecastOutcome::StaysDown,
        ForecastOutcome::Unaffected => proto::ForecastOutcome::Unaffected,
    };
    let service = at.state.services.get(&forecast.service);
    let spec = service.map(|service| &service.spec);
    let moves = !matches!(forecast.outcome, ForecastOutcome::StaysDown | ForecastOutcome::Unaffected);
    let wanted = service.filter(|_| moves).and_then(|service| survey::wanted(&at.state, service).ok());
    let down = BTreeSet::from([region.clone()]);
    let moved = wanted.map(|wanted| shifts(&wanted, &at.state, &down)).unwrap_or_default();
    let eta = forecast.plan.as_ref().zip(spec).map(|(plan, spec)| {
        let begins_ms = spec.health.breach_after_ms.saturating_add(spec.policy.announce_ms);
        eta::Known::of(&at.state, &plan.service).eta_after_the_end(plan, begins_ms)
    });
    let bounds: Option<Vec<u64>> = forecast.loss.iter().map(|loss| loss.bound).collect();
    proto::Forecast {
        service: forecast.service.to_string(),
        outcome: outcome.into(),
        reason: forecast.reason,
        loss: forecast.loss.iter().map(loss).collect(),
        loss_bound_ms: bounds.and_then(|bounds| bounds.into_iter().max()),
        eta,
        shifts: moved.into_iter().map(shift).collect(),
    }
}
