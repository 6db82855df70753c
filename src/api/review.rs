//! What applying would change in AWS, found out before it is agreed: read afresh, with a bound on time, changing nothing.
//!
//! The entry is carried out on a copy of the state, and settlement's own questions are asked of that. What cannot be
//! read is said and holds nobody up, with one exception: a change of traffic whose records cannot be read has to be
//! confirmed by name, since nobody can say how much of the zone it touches.

mod refusals;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::data::additions::{Said, additions, left_alone};
use failoverd_domain::fleet::{Entry, FleetState, ServiceState};
use failoverd_domain::health::readiness::{Check, CopyCase, Fact, NoAnswer, Verdict, copy_checks, names};
use failoverd_domain::ids::{LogIndex, Region, ServiceName};
use failoverd_domain::route53::{HealthCheck, RecordSet};
use failoverd_domain::service::{ServiceSpec, Store, SwitchTransport};
use failoverd_domain::traffic::{
    CHECKED, Deed, Desired, DesiredCheck, Line, PAGES, Preview, Share, SwitchAlarm, monthly_checks_usd,
    monthly_reads_usd, monthly_voices_usd, preview, switch_alarm, voices,
};
use futures_util::StreamExt;
use futures_util::stream;

use super::error::{ApiError, ErrorCode, Violation};
use super::proto::{AwsChange, HealthCheckUse};
use crate::ports::{Age, Quota, StandingAlarm, World};
use crate::survey::{self, Surroundings};

/// Longest wait for any one answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How Route 53 calls a zone that the account does not have; the adapter says so of private ones too.
const NO_SUCH_ZONE: &str = "NoSuchHostedZone";
/// Questions under way at once.
const MOST_AT_ONCE: usize = 32;

/// What applying would change.
#[derive(Debug, Default)]
pub struct Review {
    /// Line by line.
    pub changes: Vec<AwsChange>,
    /// Health checks and their quota.
    pub health_checks: HealthCheckUse,
    /// An estimate, US dollars.
    pub monthly_cost_usd: f64,
    /// What is not as it should be, or could not be asked.
    pub warnings: Vec<String>,
    /// What stands in the way of a change: name and reason.
    pub blocked: Vec<(String, String)>,
    /// What Route 53 would refuse of a change: name and reason.
    pub refused: Vec<(String, String)>,
    /// Zones to be named, and why.
    pub needs_confirm: BTreeMap<String, String>,
}

/// A hosted zone as a role sees it.
type ZoneAt = (Option<String>, String);

/// Everything that is known for a review.
struct Reading<'a> {
    now: &'a FleetState,
    then: &'a FleetState,
    zones: BTreeMap<ZoneAt, Surroundings>,
    said: BTreeMap<(ServiceName, usize), Said>,
    permissions: BTreeMap<ServiceName, Check>,
    alarms: Vec<AlarmLook>,
}

/// What a daemon's Region says of the alarms that a service's switch needs there.
struct AlarmLook {
    service: ServiceName,
    daemon: Region,
    wanted: Vec<SwitchAlarm>,
    standing: Result<Vec<StandingAlarm>, NoAnswer>,
}

/// Reviews the entry that would apply `specs`.
///
/// # Errors
/// What the replicated state would refuse anyway.
pub async fn review(world: &World, now: &FleetState, entry: &Entry, specs: &[ServiceSpec]) -> Result<Review, ApiError> {
    let mut then = now.clone();
    let applied = then.apply(LogIndex(now.applied.0 + 1), entry);
    if let Err(rejection) = applied.result {
        return Err(rejection.into());
    }
    let reading = read(world, now, &then, specs).await;
    let mut review = Review::default();
    reading.refusals(specs, &mut review);
    reading.traffic(specs, &mut review);
    reading.voices(&mut review);
    reading.copies(specs, &mut review);
    Ok(review)
}

/// Whether the manifest is new, or differs from what is applied.
fn is_changed(now: &FleetState, spec: &ServiceSpec) -> bool {
    now.services.get(&spec.name).is_none_or(|service| *service.spec != *spec)
}

async fn within<T>(what: &str, asking: impl Future<Output = Result<T, NoAnswer>>) -> Result<T, NoAnswer> {
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err(silence(what)))
}

fn silence(what: &str) -> NoAnswer {
    let words = format!("{what}: no answer within {} s", PATIENCE.as_secs());
    NoAnswer { code: "Timeout".to_owned(), words }
}

async fn read<'a>(world: &World, now: &'a FleetState, then: &'a FleetState, specs: &[ServiceSpec]) -> Reading<'a> {
    let changed: Vec<&ServiceSpec> = specs.iter().filter(|spec| is_changed(now, spec)).collect();
    let (zones, said, alarms) =
        tokio::join!(read_zones(world, specs), read_copies(world, &changed), read_alarms(world, then, &changed));
    let mut asked = Vec::new();
    for spec in changed {
        let id = zones.get(&zone_of(spec)).and_then(|around| around.zone.as_ref().ok()).map(|zone| zone.id.clone());
        let (world, spec) = (world.acting_as(spec.role_arn.as_deref()), spec.clone());
        asked.push(async move {
            let check = survey::permission_check(&world, &spec, id.as_deref());
            let answer = tokio::time::timeout(PATIENCE, check).await.ok();
            answer.map(|check| (spec.name.clone(), check))
        });
    }
    let answers: Vec<_> = stream::iter(asked).buffer_unordered(MOST_AT_ONCE).collect().await;
    let permissions = answers.into_iter().flatten().collect();
    Reading { now, then, zones, said, permissions, alarms }
}

/// How many bits of these services go through CloudWatch, and in how many accounts.
fn voices_of(state: &FleetState, specs: &[ServiceSpec]) -> (u32, u32) {
    let groups: BTreeSet<_> = specs.iter().map(ServiceSpec::switch_group).collect();
    let voices: Vec<_> = voices(state).into_iter().filter(|voice| groups.contains(voice.group)).collect();
    let roles: BTreeSet<_> = voices.iter().map(|voice| voice.role_arn).collect();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    (count(voices.len()), count(roles.len()))
}

fn zone_of(spec: &ServiceSpec) -> ZoneAt {
    (spec.role_arn.clone(), spec.traffic.hosted_zone.clone())
}

async fn read_zones(world: &World, specs: &[ServiceSpec]) -> BTreeMap<ZoneAt, Surroundings> {
    let mut wanted: Vec<ZoneAt> = specs.iter().map(zone_of).collect();
    wanted.sort();
    wanted.dedup();
    let asked = wanted.into_iter().map(|(role, zone)| {
        let world = world.acting_as(role.as_deref());
        async move {
            let asking = tokio::time::timeout(PATIENCE, survey::surroundings(&world, &zone, Age::Now)).await;
            let around = asking.unwrap_or_else(|_| {
                let no = || silence("route53");
                Surroundings { zone: Err(no()), records: Err(no()), checks: Err(no()), quota: Err(no()) }
            });
            ((role, zone), around)
        }
    });
    stream::iter(asked).buffer_unordered(MOST_AT_ONCE).collect().await
}

async fn read_alarms(world: &World, then: &FleetState, changed: &[&ServiceSpec]) -> Vec<AlarmLook> {
    let mut asked = Vec::new();
    for spec in changed.iter().filter(|spec| spec.traffic.switch == SwitchTransport::Cloudwatch) {
        let group = spec.switch_group();
        let bits = || then.switches.get(&group).into_iter().flat_map(|switch| switch.bits.keys());
        for daemon in then.members.keys() {
            let wanted: Vec<SwitchAlarm> = bits().map(|bit| switch_alarm(&then.fleet, &group, bit, daemon)).collect();
            let (world, service, daemon) =
                (world.acting_as(spec.role_arn.as_deref()), spec.name.clone(), daemon.clone());
            asked.push(async move {
                let names: Vec<String> = wanted.iter().map(|alarm| alarm.name.clone()).collect();
                let asking =
                    async { world.alarms.describe(&daemon, &names).await.map_err(|error| survey::no_answer(&error)) };
                let standing = within(&format!("alarms in {daemon}"), asking).await;
                AlarmLook { service, daemon, wanted, standing }
            });
        }
    }
    stream::iter(asked).buffered(MOST_AT_ONCE).collect().await
}

async fn read_copies(world: &World, changed: &[&ServiceSpec]) -> BTreeMap<(ServiceName, usize), Said> {
    let mut asked = Vec::new();
    for spec in changed {
        let world = world.acting_as(spec.role_arn.as_deref());
        for (n, store) in spec.data.iter().enumerate() {
            for region in &spec.regions {
                let (world, store, region) = (world.clone(), store.clone(), region.clone());
                let at = (spec.name.clone(), n);
                asked.push(async move {
                    let what = format!("{} in {region}", store.name);
                    let fact = within(&what, survey::ask(&world, &store, &region)).await;
                    (at, region, fact)
                });
            }
        }
    }
    let mut said: BTreeMap<(ServiceName, usize), Said> = BTreeMap::new();
    let answers: Vec<_> = stream::iter(asked).buffer_unordered(MOST_AT_ONCE).collect().await;
    for (at, region, fact) in answers {
        said.entry(at).or_default().insert(region, fact);
    }
    said
}

impl Reading<'_> {
    /// Records and health checks.
    fn traffic(&self, specs: &[ServiceSpec], review: &mut Review) {
        let mut touched: BTreeMap<ZoneAt, Vec<RecordSet>> = BTreeMap::new();
        let mut taken: BTreeMap<String, DesiredCheck> = BTreeMap::new();
        let mut rooms: BTreeMap<Option<String>, (u64, Option<Quota>)> = BTreeMap::new();
        // Services that share a switch make its checks once.
        let mut made: BTreeMap<Option<String>, Vec<HealthCheck>> = BTreeMap::new();
        let mut copies = 0;
        for spec in specs {
            let (at, Some(service)) = (zone_of(spec), self.then.services.get(&spec.name)) else { continue };
            let Some(around) = self.zones.get(&at) else { continue };
            self.warn_around(service, around, review);
            let wanted = match survey::wanted(self.then, service) {
                Ok(wanted) => wanted,
                Err(why) => {
                    review.warnings.push(format!("{}: {why}", spec.name));
                    continue;
                }
            };
            taken.extend(wanted.checks.iter().map(|check| (check.reference.clone(), check.clone())));
            copies += u32::try_from(spec.data.len() * spec.regions.len()).unwrap_or(u32::MAX);
            let (Ok(checks), Ok(records)) = (&around.checks, &around.records) else {
                self.confirm_unread(spec, review);
                continue;
            };
            let made = made.entry(at.0.clone()).or_default();
            let checks = [checks.as_slice(), made.as_slice()].concat();
            let seen = preview(&wanted, &survey::looking_mark(self.then, service.epoch), &checks, records);
            made.extend(seen.new_checks.iter().cloned());
            let room = rooms.entry(at.0.clone()).or_insert((0, around.quota.as_ref().ok().copied()));
            room.0 += u64::try_from(seen.new_checks.len()).unwrap_or(u64::MAX);
            note_lines(&spec.name, &seen.lines, review);
            let before = self.before(spec, around);
            self.note_foreign(spec, &seen, before.as_ref(), review);
            let due_anyway = before.map(|(_, before)| before.touched).unwrap_or_default();
            let own = seen.touched.into_iter().filter(|record| !due_anyway.contains(record));
            touched.entry(at).or_default().extend(own);
        }
        self.confirm_large(&touched, review);
        review.health_checks = tightest(rooms.into_values());
        let daemons = u32::try_from(self.then.members.len()).unwrap_or(u32::MAX);
        let (bits, roles) = voices_of(self.then, specs);
        let voices = monthly_voices_usd(bits, roles, daemons);
        review.monthly_cost_usd =
            cents(monthly_checks_usd(taken.values()) + monthly_reads_usd(copies, daemons) + voices);
    }

    /// Alarms that daemons would make for switches through CloudWatch.
    fn voices(&self, review: &mut Review) {
        for AlarmLook { service, daemon, wanted, standing } in &self.alarms {
            let standing = match standing {
                Ok(standing) => standing,
                Err(no) => {
                    let words = format!("{service}: the alarms in {daemon} could not be read: {}", no.words);
                    review.warnings.push(words);
                    continue;
                }
            };
            let lines: Vec<Line> = wanted
                .iter()
                .filter_map(|alarm| {
                    let deed = match standing.iter().find(|stands| stands.alarm.name == alarm.name) {
                        None => Deed::Create,
                        Some(stands) if stands.alarm != *alarm => Deed::Update,
                        Some(_) => return None,
                    };
                    let resource = format!("alarm {} in {daemon}", alarm.name);
                    let detail =
                        format!("ALARM when {} is off, by the data of {} s", alarm.rule.metric, alarm.rule.period_s);
                    Some(Line { deed, resource, detail })
                })
                .collect();
            note_lines(service, &lines, review);
        }
    }

    /// What settlement wants, and would do, for the service as it is applied now.
    fn before(&self, spec: &ServiceSpec, around: &Surroundings) -> Option<(Desired, Preview)> {
        let service = self.now.services.get(&spec.name)?;
        let wanted = survey::wanted(self.now, service).ok()?;
        let (Ok(checks), Ok(records)) = (&around.checks, &around.records) else { return None };
        let seen = preview(&wanted, &survey::looking_mark(self.now, service.epoch), checks, records);
        Some((wanted, seen))
    }

    /// What stands in the way refuses a manifest that would have something written; where nothing would be, it is drift.
    fn note_foreign(
        &self,
        spec: &ServiceSpec,
        seen: &Preview,
        before: Option<&(Desired, Preview)>,
        review: &mut Review,
    ) {
        let service = self.then.services.get(&spec.name);
        let wanted = service.and_then(|service| survey::wanted(self.then, service).ok());
        let writes = before.map(|(before, _)| before) != wanted.as_ref();
        for (name, reason) in &seen.in_the_way {
            if writes {
                review.blocked.push((name.clone(), reason.clone()));
            } else {
                review.warnings.push(format!("{}: {name}: {reason}", spec.name));
            }
        }
    }

    fn warn_around(&self, service: &ServiceState, around: &Surroundings, review: &mut Review) {
        let told = [names::ZONE_FOUND, names::CHECK_QUOTA, names::RECORD_QUOTA, names::PERMISSIONS];
        let checks = survey::traffic_checks(self.then, service, around);
        let name = &service.spec.name;
        for check in checks.iter().filter(|check| told.contains(&check.name.as_str())) {
            warn(name.as_ref(), check, review);
        }
        if let Some(check) = self.permissions.get(name) {
            warn(name.as_ref(), check, review);
        }
    }

    fn confirm_unread(&self, spec: &ServiceSpec, review: &mut Review) {
        let zone = &spec.traffic.hosted_zone;
        review
            .warnings
            .push(format!("{}: what stands in {zone} could not be read: its changes are not shown", spec.name));
        let moved = self.now.services.get(&spec.name).is_some_and(|service| service.spec.traffic != spec.traffic);
        if moved {
            let why = format!("the records of {zone} could not be read, so nobody can say how many this would touch");
            review.needs_confirm.insert(zone.clone(), why);
        }
    }

    fn confirm_large(&self, touched: &BTreeMap<ZoneAt, Vec<RecordSet>>, review: &mut Review) {
        for (at, records) in touched {
            let Some(Ok(zone)) = self.zones.get(at).map(|around| &around.records) else { continue };
            let share = Share::of(records, zone);
            if share.is_large() {
                let Share { touched, existing } = share;
                let why = format!(
                    "{touched} of the {existing} records in {} would be deleted or replaced, more than {} %",
                    at.1,
                    failoverd_domain::traffic::MOST_TOUCHED_PERCENT
                );
                review.needs_confirm.insert(at.1.clone(), why);
            }
        }
    }

    /// Tables, replicas, rules; and what is not as it should be of each copy.
    fn copies(&self, specs: &[ServiceSpec], review: &mut Review) {
        for spec in specs.iter().filter(|spec| is_changed(self.now, spec)) {
            let Some(service) = self.then.services.get(&spec.name) else { continue };
            if let Some(before) = self.now.services.get(&spec.name) {
                review.warnings.extend(left_alone(&before.spec, spec));
            }
            for (n, store) in spec.data.iter().enumerate() {
                let Some(said) = self.said.get(&(spec.name.clone(), n)) else { continue };
                note_lines(&spec.name, &additions(spec, &service.primary, store, said), review);
                for region in &spec.regions {
                    warn_copy(service, store, region, said, review);
                }
            }
        }
    }
}

fn warn_copy(service: &ServiceState, store: &Store, region: &Region, said: &Said, review: &mut Review) {
    let spec: &Arc<ServiceSpec> = &service.spec;
    let Some(own) = said.get(region) else { return };
    let others: BTreeMap<Region, Fact> = said
        .iter()
        .filter(|(other, _)| *other != region)
        .filter_map(|(other, fact)| Some((other.clone(), fact.as_ref().ok()?.clone())))
        .collect();
    let case = CopyCase {
        spec,
        store,
        region,
        serving: survey::serving(spec, &service.primary),
        own: own.as_ref(),
        others: &others,
    };
    for check in copy_checks(&case) {
        warn(&format!("{}/{} in {region}", spec.name, store.name), &check, review);
    }
}

fn warn(whose: &str, check: &Check, review: &mut Review) {
    if check.verdict != Verdict::Ready {
        let warning = format!("{whose}: {} is {}: {}", check.name, check.verdict.word(), check.reason);
        if !review.warnings.contains(&warning) {
            review.warnings.push(warning);
        }
    }
}

fn note_lines(service: &ServiceName, lines: &[Line], review: &mut Review) {
    review.changes.extend(lines.iter().map(|line| AwsChange {
        service: service.to_string(),
        resource: line.resource.clone(),
        action: line.deed.word().to_owned(),
        detail: line.detail.clone(),
    }));
}

/// Of several accounts, the one with the least room.
fn tightest(rooms: impl Iterator<Item = (u64, Option<Quota>)>) -> HealthCheckUse {
    let mut add = 0;
    let mut least: Option<Quota> = None;
    for (new, quota) in rooms {
        add += new;
        let room = |quota: &Quota| quota.limit.saturating_sub(quota.used);
        least = least.into_iter().chain(quota).min_by_key(room);
    }
    HealthCheckUse { add, used: least.map(|quota| quota.used), limit: least.map(|quota| quota.limit) }
}

fn cents(usd: f64) -> f64 {
    (usd * 100.0).round() / 100.0
}

fn violation((name, reason): &(String, String)) -> Violation {
    Violation { field: name.clone(), description: format!("{name}: {reason}") }
}

impl Review {
    /// Refuses what may not be applied: what Route 53 would not take, what stands in the way, and zones that were not
    /// named.
    ///
    /// # Errors
    /// `ROUTE53_REFUSES`, `IN_THE_WAY`, `CONFIRMATION_NEEDED`.
    pub fn judge(&self, confirmed: &[String]) -> Result<(), ApiError> {
        if !self.refused.is_empty() {
            let message = "Route 53 would refuse what these manifests want; nothing was applied";
            let violations = self.refused.iter().map(violation).collect();
            return Err(ApiError { violations, ..ApiError::new(ErrorCode::Route53Refuses, message) });
        }
        if !self.blocked.is_empty() {
            let count = self.blocked.len();
            let message = format!(
                "{count} {} in the way and {} not failoverd's to replace; nothing was applied",
                if count == 1 { "thing stands" } else { "things stand" },
                if count == 1 { "is" } else { "are" },
            );
            let violations = self.blocked.iter().map(violation).collect();
            return Err(ApiError { violations, ..ApiError::new(ErrorCode::InTheWay, message) });
        }
        let mut open = self.needs_confirm.iter().filter(|(zone, _)| !confirmed.contains(zone)).peekable();
        if open.peek().is_none() {
            return Ok(());
        }
        let violation = |(zone, why): (&String, &String)| Violation {
            field: zone.clone(),
            description: format!("{why}: to do it, add --confirm {zone}"),
        };
        let violations = open.map(violation).collect();
        let message = "this needs a zone to be confirmed by name; nothing was applied";
        Err(ApiError { violations, ..ApiError::new(ErrorCode::ConfirmationNeeded, message) })
    }

    /// All that would refuse it, a line each.
    #[must_use]
    pub fn refusing(&self) -> Vec<String> {
        let refused = self.refused.iter().map(|(name, reason)| format!("{name}: Route 53 would refuse it: {reason}"));
        refused.chain(self.blocked.iter().map(|(name, reason)| format!("{name}: {reason}"))).collect()
    }

    /// What the estimate rests on.
    #[must_use]
    pub fn cost_basis() -> String {
        format!(
            "an upper estimate for health checks and CloudWatch reads, by figures collected second-hand in {CHECKED}; AWS's own: {}",
            PAGES.join(", ")
        )
    }
}

#[cfg(test)]
#[path = "review_tests.rs"]
mod tests;
