//! Agreement, daemons, Regions, switches, webhooks.

use failoverd_domain::fleet::{Forecast, ForecastOutcome, Role, what_if_region_vanishes};
use failoverd_domain::health::{Status, Vote};

use super::role;
use crate::telemetry::Standing;
use crate::telemetry::defined;
use crate::telemetry::page::{Page, count, seconds};

const OUTCOMES: [ForecastOutcome; 5] = [
    ForecastOutcome::FailsOver,
    ForecastOutcome::AsksForApproval,
    ForecastOutcome::NeedsPerson,
    ForecastOutcome::StaysDown,
    ForecastOutcome::Unaffected,
];

pub(super) fn show(at: &Standing, page: &mut Page) {
    agreement(at, page);
    peers(at, page);
    forecasts(at, page);
    switches(at, page);
    for (hook, told) in &at.state.told {
        let pending = at.state.news.iter().filter(|event| event.seq > *told).count();
        page.put(&defined::WEBHOOK_PENDING, &[hook], count(pending as u64));
    }
}

fn agreement(at: &Standing, page: &mut Page) {
    page.flag(&defined::IS_LEADER, &[], at.leadership.is_me);
    page.flag(&defined::HAS_LEADER, &[], at.leadership.leader.is_some());
    page.flag(&defined::CAUGHT_UP, &[], at.leadership.caught_up);
    page.put(&defined::TERM, &[], count(at.leadership.term));
    page.put(&defined::APPLIED_INDEX, &[], count(at.state.applied.0));
    for one in [Role::Member, Role::Witness] {
        let members = at.state.members.values().filter(|member| member.role == one).count();
        page.put(&defined::FLEET_MEMBERS, &[role(one)], count(members as u64));
    }
    page.put(&defined::FLEET_GENERATION, &[], count(at.state.generation.0));
    page.flag(&defined::FLEET_PAUSED, &[], at.state.paused);
}

fn peers(at: &Standing, page: &mut Page) {
    let fresh = |member: &&_| at.matrix.fresh(at.now, member, at.view.stale_after_ms).is_some();
    page.put(&defined::DAEMONS_FRESH, &[], count(at.view.members.iter().filter(fresh).count() as u64));
    for peer in &at.view.members {
        let is_me = peer == &at.view.me;
        page.flag(&defined::PEER_ISOLATED, &[peer.as_str()], at.matrix.isolated(at.now, &at.view, peer));
        if let Some(received) = at.matrix.of(peer).filter(|_| !is_me) {
            page.put(&defined::PEER_AGE, &[peer.as_str()], seconds(at.now.since(received.at)));
            page.put(&defined::PEER_SKEW, &[peer.as_str()], signed_seconds(received.skew_ms()));
        }
    }
    page.put(&defined::CLOCK_AHEAD, &[], signed_seconds(at.clock.ahead_ms));
    page.put(&defined::CLOCK_JUMPS, &[], count(at.clock.jumps));
    let mine = at.matrix.of(&at.view.me);
    for (region, status) in mine.into_iter().flat_map(|mine| &mine.report.control_planes) {
        let is_up = match status {
            Status::Good => true,
            Status::Bad => false,
            Status::Unknown => continue,
        };
        page.flag(&defined::CONTROL_PLANE_UP, &[region.as_str()], is_up);
    }
}

fn signed_seconds(ms: i64) -> f64 {
    seconds(ms.unsigned_abs()).copysign(if ms < 0 { -1.0 } else { 1.0 })
}

fn forecasts(at: &Standing, page: &mut Page) {
    for region in at.state.members.keys() {
        let forecasts = what_if_region_vanishes(at.now, &at.state, &at.matrix, &at.view, region);
        page.put(&defined::SURVIVABLE, &[region.as_str()], Forecast::survivable(&forecasts));
        for forecast in forecasts {
            let service = at.state.services.get(&forecast.service);
            if service.is_some_and(|service| service.spec.regions.contains(region)) {
                let labels = [forecast.service.as_str(), region.as_str()];
                page.one_of(&defined::FORECAST, &labels, &OUTCOMES.map(ForecastOutcome::word), forecast.outcome.word());
            }
        }
    }
}

fn switches(at: &Standing, page: &mut Page) {
    for (group, switch) in &at.state.switches {
        for (region, bit) in &switch.bits {
            let labels = [group.as_str(), region.as_str()];
            page.flag(&defined::SWITCH_ON, &labels, bit.on);
            page.put(&defined::SWITCH_SINCE, &labels, seconds(bit.since.0));
            for (word, vote) in [("on", Vote::On), ("off", Vote::Off), ("silent", Vote::Silent)] {
                let votes = at
                    .state
                    .members
                    .keys()
                    .filter(|member| at.matrix.vote(at.now, member, at.view.stale_after_ms, group, region) == vote);
                page.put(&defined::SWITCH_VOTES, &[labels[0], labels[1], word], count(votes.count() as u64));
            }
        }
    }
}
