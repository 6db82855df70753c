//! Loss: a bound before, a receipt after. Never a number without where it comes from.
//!
//! What the figures mean: milliseconds of *acknowledged canary writes* that would not arrive, or did not. A canary is
//! a versioned write a second, and its versions are milliseconds of one writer's clock, so two of them can be
//! subtracted. It stands for the service's own writes as far as those replicate the same way. Time in which the service
//! ran and nobody wrote canaries counts as lost. What this can never see: writes of a Region that looks dead to the
//! whole fleet and goes on writing. That is what fencing is for.

use serde::{Deserialize, Serialize};

use crate::health::{Matrix, Received, StoreReading, View, diagnose};
use crate::ids::{Region, ServiceName, StoreName};
use crate::service::{ServiceSpec, Store, StoreKind, Weight};
use crate::time::Timestamp;

/// Daemons tell each other what was acknowledged once a second. A writer that died may have had that much more
/// acknowledged than anybody heard of, so every canary bound carries it.
pub const REPORT_INTERVAL_MS: u64 = 1_000;

/// So ends the reason of a loss that nobody can bound, because what would take over is no copy. A receipt goes by it.
const OF_ITS_OWN: &str = "takes writes of its own and is no replica";

/// What may be lost, and what was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// Store.
    pub store: StoreName,
    /// Upper bound before the promotion; absent when nobody can say.
    pub bound: Option<u64>,
    /// What was really lost; absent until known, or for ever.
    pub measured: Option<u64>,
    /// Unit of both: milliseconds of writes.
    pub unit: LossUnit,
    /// Where the figures come from, or why there are none.
    pub reason: String,
}

/// Unit of a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LossUnit {
    /// Milliseconds of writes.
    Ms,
}

/// How long `from` has been broken, by quorum, and how much longer its canary may have been quiet before that without
/// being missed (a probe interval, a probe's timeout, and the way of a report).
struct Outage {
    held_ms: u64,
    slack_ms: u64,
}

impl Outage {
    fn of(now: Timestamp, view: &View, spec: &ServiceSpec, from: &Region, matrix: &Matrix) -> Self {
        let finding = diagnose(now, view, spec, from, matrix);
        let held_ms = if finding.diagnosis.is_breach() { finding.held_ms } else { 0 };
        let required = spec.health.signals.iter().filter(|signal| signal.weight == Weight::Required);
        let seen_after = required.map(|signal| {
            let between = view.stale_after_ms.max(signal.probe.interval_ms().unwrap_or(0));
            between.saturating_add(signal.probe.timeout_ms())
        });
        let seen_after_ms = seen_after.max().unwrap_or(view.stale_after_ms);
        Self { held_ms, slack_ms: seen_after_ms.saturating_add(2 * REPORT_INTERVAL_MS) }
    }

    /// The time before the outage in which the service wrote and no canary did, so that nobody measured its lag: its
    /// daemon there was away already. All of it may be missing in the survivor.
    const fn unmeasured_ms(&self, canary_age_ms: u64) -> u64 {
        let quiet_ms = canary_age_ms.saturating_sub(self.held_ms);
        if quiet_ms > self.slack_ms { quiet_ms } else { 0 }
    }
}

/// The most that each store can lose if `to` took over from `from` now, in the order of the manifest.
#[must_use]
pub fn quote(
    now: Timestamp,
    view: &View,
    spec: &ServiceSpec,
    from: &Region,
    to: &Region,
    matrix: &Matrix,
) -> Vec<Loss> {
    let outage = Outage::of(now, view, spec, from, matrix);
    let quoted = |store: &Store| {
        let case = Case { now, view, service: &spec.name, store, from, to, matrix, outage: &outage };
        let (bound, reason) = case.bound();
        Loss { store: store.name.clone(), bound, measured: None, unit: LossUnit::Ms, reason }
    };
    spec.data.iter().map(quoted).collect()
}

/// The newest canary version that any daemon ever reported as acknowledged in `region`, whatever the report's age.
#[must_use]
pub fn newest_acknowledged(matrix: &Matrix, service: &ServiceName, store: &StoreName, region: &Region) -> Option<u64> {
    let readings = matrix.store(service, store, region);
    readings.iter().filter_map(|(_, reading)| reading.canary?.acknowledged).max()
}

/// Why the copy in `region` is none, where it takes writes of its own: an instance that was promoted once, or left behind
/// when its service moved away. What it shows is not what the writer sent, whoever calls it ready: a daemon that has not
/// heard of that move takes it for the one that serves, and flies canaries there.
#[must_use]
pub fn stands_alone(matrix: &Matrix, service: &ServiceName, store: &Store, region: &Region) -> Option<String> {
    let StoreKind::Rds { instances, .. } = &store.kind else { return None };
    let readings = matrix.store(service, &store.name, region);
    let newest = readings.iter().find_map(|(_, reading)| reading.writer);
    newest.filter(|writes| *writes).map(|_| {
        let instance = instances.get(region).map_or("", String::as_str);
        format!("{instance} in {region} {OF_ITS_OWN}")
    })
}

/// What was really lost, once the new primary can be read: what was known to be acknowledged when the promotion
/// began, less what is visible after it. The bound stays as it was quoted.
#[must_use]
pub fn receipt(loss: Loss, acknowledged: Option<u64>, visible_after: Option<u64>) -> Loss {
    let (measured, reason) = match (acknowledged, visible_after) {
        // It shows what it took itself.
        (Some(acknowledged), Some(visible)) if visible >= acknowledged && loss.reason.ends_with(OF_ITS_OWN) => {
            (None, format!("not measurable: {}", loss.reason))
        }
        (Some(acknowledged), Some(visible)) if visible >= acknowledged => {
            let newest = Timestamp(acknowledged);
            (Some(0), format!("every canary write known to be acknowledged arrived, the newest of {newest}"))
        }
        (Some(acknowledged), Some(visible)) => {
            let lost_ms = acknowledged - visible;
            let (newest, arrived) = (Timestamp(acknowledged), Timestamp(visible));
            let reason = format!(
                "{lost_ms} ms of acknowledged canary writes did not arrive: the newest is of {newest}, what arrived of {arrived}"
            );
            (Some(lost_ms), reason)
        }
        (None, _) => (None, format!("not measurable: no acknowledged canary write was known; {}", loss.reason)),
        (Some(_), None) => (None, format!("not measurable: no canary can be read in the new primary; {}", loss.reason)),
    };
    Loss { measured, reason, ..loss }
}

/// Why these losses are over the budget, naming each store that is; a bound that nobody can give is over any budget.
#[must_use]
pub fn over_budget(losses: &[Loss], rpo_ms: u64) -> Option<String> {
    let over = losses.iter().filter_map(|loss| match loss.bound {
        Some(bound) if bound <= rpo_ms => None,
        Some(bound) => {
            Some(format!("{} may lose {bound} ms of writes, {rpo_ms} ms are allowed ({})", loss.store, loss.reason))
        }
        None => Some(format!("nobody can say what {} would lose ({})", loss.store, loss.reason)),
    });
    let over: Vec<String> = over.collect();
    (!over.is_empty()).then(|| over.join("; "))
}

/// One store's question.
struct Case<'a> {
    now: Timestamp,
    view: &'a View,
    service: &'a ServiceName,
    store: &'a Store,
    from: &'a Region,
    to: &'a Region,
    matrix: &'a Matrix,
    outage: &'a Outage,
}

impl Case<'_> {
    /// By canary where there is one that can tell, else by CloudWatch, else nothing; always with its reason.
    fn bound(&self) -> (Option<u64>, String) {
        if let Some(why_not) = stands_alone(self.matrix, self.service, self.store, self.to) {
            return (None, why_not);
        }
        let canary = self.store.canary.as_ref().map(|_| self.by_canary());
        let why_not = match canary {
            Some(Ok((bound, reason))) => return (Some(bound), reason),
            Some(Err(why_not)) => why_not,
            None => "it has no canary".to_owned(),
        };
        match self.by_lag() {
            Some((bound, reason)) => (Some(bound), format!("{reason} ({why_not})")),
            None => (None, format!("{why_not}, and CloudWatch shows no lag towards {}", self.to)),
        }
    }

    fn by_canary(&self) -> Result<(u64, String), String> {
        let (from, to) = (self.from, self.to);
        let (acknowledged, told_ms_ago) =
            self.acknowledged().ok_or_else(|| format!("no canary write has been seen acknowledged in {from}"))?;
        let (visible, read_ms_ago) = self.newest_visible().ok_or_else(|| format!("no canary has been read in {to}"))?;
        let behind_ms = acknowledged.saturating_sub(visible);
        let mut parts = vec![
            (behind_ms, format!("{to} is {behind_ms} ms behind what {from} acknowledged")),
            (REPORT_INTERVAL_MS, format!("{REPORT_INTERVAL_MS} ms that it may not have told")),
        ];
        // A reading that is fresh may be subtracted as it is: what arrived since only makes the loss smaller.
        if read_ms_ago > self.view.stale_after_ms {
            parts.push((read_ms_ago, format!("{read_ms_ago} ms since {to} was read")));
        }
        let unmeasured_ms = self.outage.unmeasured_ms(told_ms_ago);
        if unmeasured_ms > 0 {
            parts.push((unmeasured_ms, format!("{unmeasured_ms} ms in which nobody in {from} measured")));
        }
        let bound = parts.iter().fold(0_u64, |sum, (ms, _)| sum.saturating_add(*ms));
        let words: Vec<String> = parts.into_iter().map(|(_, words)| words).collect();
        Ok((bound, format!("canary: {}", words.join(", plus "))))
    }

    /// The newest version acknowledged in the old Region, and how long ago anybody there last looked.
    fn acknowledged(&self) -> Option<(u64, u64)> {
        let readings = self.matrix.store(self.service, &self.store.name, self.from);
        let told = readings.iter().filter_map(|(received, reading)| {
            let canary = reading.canary?;
            Some((canary.acknowledged?, received.age_now_ms(self.now, canary.acknowledged_age_ms)))
        });
        told.max_by_key(|(version, age_ms)| (*version, std::cmp::Reverse(*age_ms)))
    }

    /// The newest version that can be read in the survivor, and how long ago that was looked at.
    fn newest_visible(&self) -> Option<(u64, u64)> {
        let readings = self.matrix.store(self.service, &self.store.name, self.to);
        let seen = |(received, reading): &(&Received, &StoreReading)| {
            let canary = reading.canary?;
            Some((canary.visible?, received.age_now_ms(self.now, canary.visible_age_ms)))
        };
        let seen: Vec<(u64, u64)> = readings.iter().filter_map(seen).collect();
        let visible = seen.iter().map(|(visible, _)| *visible).max()?;
        let age_ms = seen.iter().map(|(_, age_ms)| *age_ms).min()?;
        Some((visible, age_ms))
    }

    /// CloudWatch's lag is a figure of the past: everything written since may be missing too.
    fn by_lag(&self) -> Option<(u64, String)> {
        let readings = self.matrix.store(self.service, &self.store.name, self.to);
        let points = readings.iter().filter_map(|(received, reading)| {
            let (lag_ms, point_age_ms) = reading.lag_ms?;
            Some((received.age_now_ms(self.now, reading.age_ms).saturating_add(point_age_ms), lag_ms))
        });
        let (age_ms, lag_ms) = points.min()?;
        let reason = format!("CloudWatch: {lag_ms} ms behind, {age_ms} ms ago");
        Some((lag_ms.saturating_add(age_ms), reason))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::health::{CanaryReading, ReplicaReadiness, Report};
    use crate::ids::LogIndex;
    use crate::service::{Canary, ProbeSpec, StoreKind};

    const NOW: Timestamp = Timestamp(1_000_000);

    fn spec(with_canary: bool) -> ServiceSpec {
        let mut spec = crate::health::tests::spec("shop");
        spec.data.push(Store {
            name: "orders".into(),
            kind: StoreKind::Dynamodb { table: "Orders".into(), ensure_replicas: true, replicas: vec![], create: None },
            canary: with_canary.then(|| Canary::Table { table: "canary".into() }),
            fence: None,
        });
        spec
    }

    /// The old primary of a service that has moved: it is up, takes writes, and a daemon that has heard of nothing flies
    /// canaries there.
    #[test]
    fn an_instance_that_takes_writes_of_its_own_is_no_copy_and_bounds_nothing() {
        let kind = |writer: &str| StoreKind::Rds {
            instances: BTreeMap::from([("us-east-1".into(), writer.into()), ("eu-west-1".into(), "legacy-eu".into())]),
            rebuild: true,
        };
        let readings =
            [("us-east-1", "us-east-1", 0, acknowledged(9_000)), ("eu-west-1", "eu-west-1", 0, acknowledged(9_000))];
        let quoted = |writer: Option<bool>| {
            let mut spec = spec(true);
            spec.data[0].kind = kind("legacy-us");
            let mut held = Matrix::default();
            for (received, mut report) in received(&matrix(&readings)) {
                if report.observer.as_str() == "eu-west-1" {
                    report.stores[0].writer = writer;
                }
                held.take(received, report);
            }
            let view = View {
                me: "eu-west-1".into(),
                members: vec!["us-east-1".into(), "eu-west-1".into(), "us-west-2".into()],
                stale_after_ms: 5_000,
                rehearses: None,
            };
            quote(NOW, &view, &spec, &"us-east-1".into(), &"eu-west-1".into(), &held).remove(0)
        };
        assert_eq!(quoted(Some(false)).bound, Some(REPORT_INTERVAL_MS));
        assert_eq!(quoted(None).bound, Some(REPORT_INTERVAL_MS));
        let alone = quoted(Some(true));
        assert_eq!(alone.bound, None);
        assert_eq!(alone.reason, "legacy-eu in eu-west-1 takes writes of its own and is no replica");
        // Afterwards it shows whatever was written there: no proof that anything arrived.
        let told = receipt(alone.clone(), Some(9_000), Some(9_500));
        assert_eq!(told.measured, None);
        assert!(told.reason.starts_with("not measurable: legacy-eu in eu-west-1 takes writes"), "{}", told.reason);
        assert_eq!(receipt(alone, Some(9_000), Some(8_000)).measured, Some(1_000), "what is missing is missing");
    }

    fn received(matrix: &Matrix) -> Vec<(Timestamp, Report)> {
        let of = |region: &str| matrix.of(&region.into()).map(|received| (received.at, received.report.clone()));
        ["us-east-1", "eu-west-1"].into_iter().filter_map(of).collect()
    }

    #[derive(Default, Clone, Copy)]
    struct Seen {
        acknowledged: Option<u64>,
        visible: Option<u64>,
        lag_ms: Option<(u64, u64)>,
        age_ms: u64,
    }

    fn matrix(readings: &[(&str, &str, u64, Seen)]) -> Matrix {
        let mut matrix = Matrix::default();
        for (observer, region, arrived_ms_ago, seen) in readings {
            let reading = StoreReading {
                service: "shop".into(),
                store: "orders".into(),
                region: (*region).into(),
                readiness: ReplicaReadiness::Ready,
                writer: None,
                canary: Some(CanaryReading {
                    acknowledged: seen.acknowledged,
                    acknowledged_age_ms: seen.age_ms,
                    visible: seen.visible,
                    visible_age_ms: seen.age_ms,
                }),
                lag_ms: seen.lag_ms,
                age_ms: seen.age_ms,
            };
            let report = Report {
                observer: (*observer).into(),
                build: Default::default(),
                settings: None,
                seq: 1,
                sent_at: NOW,
                applied: LogIndex(0),
                history_confirmed: None,
                reaches: vec![],
                references: BTreeMap::new(),
                signals: vec![],
                stores: vec![reading],
                route53: vec![],
                control_planes: BTreeMap::new(),
                votes: vec![],
                checks: vec![],
                rehearsals: Vec::new(),
                through: Vec::new(),
            };
            matrix.take(NOW.minus_ms(*arrived_ms_ago), report);
        }
        matrix
    }

    fn quoted(with_canary: bool, readings: &[(&str, &str, u64, Seen)]) -> Loss {
        let view = View {
            me: "eu-west-1".into(),
            members: vec!["us-east-1".into(), "eu-west-1".into(), "us-west-2".into()],
            stale_after_ms: 5_000,
            rehearses: None,
        };
        let (from, to) = ("us-east-1".into(), "eu-west-1".into());
        let mut losses = quote(NOW, &view, &spec(with_canary), &from, &to, &matrix(readings));
        assert_eq!(losses.len(), 1);
        losses.remove(0)
    }

    fn acknowledged(version: u64) -> Seen {
        Seen { acknowledged: Some(version), visible: Some(version), ..Seen::default() }
    }

    fn visible(version: u64, age_ms: u64) -> Seen {
        Seen { visible: Some(version), age_ms, ..Seen::default() }
    }

    #[test]
    fn a_canary_bounds_the_loss_by_what_is_missing_and_what_was_not_told() {
        let loss = quoted(
            true,
            // The writer's last report is no longer fresh: what it acknowledged stays acknowledged.
            &[
                ("us-east-1", "us-east-1", 7_000, acknowledged(9_700)),
                ("eu-west-1", "eu-west-1", 500, visible(9_000, 0)),
            ],
        );
        assert_eq!(loss.bound, Some(700 + REPORT_INTERVAL_MS));
        assert!(loss.reason.contains("700 ms behind"), "{}", loss.reason);
    }

    #[test]
    fn a_survivor_that_has_more_than_was_told_is_still_not_sure() {
        let loss = quoted(
            true,
            &[("us-east-1", "us-east-1", 7_000, acknowledged(9_000)), ("eu-west-1", "eu-west-1", 0, visible(9_800, 0))],
        );
        assert_eq!(loss.bound, Some(REPORT_INTERVAL_MS));
    }

    #[test]
    fn an_old_look_at_the_survivor_adds_its_age() {
        let readings = [
            ("us-east-1", "us-east-1", 0, acknowledged(9_700)),
            ("eu-west-1", "eu-west-1", 4_000, visible(9_000, 2_000)),
        ];
        let loss = quoted(true, &readings);
        assert_eq!(loss.bound, Some(700 + 6_000 + REPORT_INTERVAL_MS));
        // Of two looks the newest counts, and what either of them saw has arrived.
        let again = [readings[0], readings[1], ("us-west-2", "eu-west-1", 5_000, visible(8_000, 0))];
        let loss = quoted(true, &again);
        assert_eq!(loss.bound, Some(700 + REPORT_INTERVAL_MS), "{}", loss.reason);
        assert!(!loss.reason.contains("was read") && !loss.reason.contains("nobody"), "{}", loss.reason);
    }

    #[test]
    fn time_in_which_nobody_measured_counts_as_lost_unless_the_region_was_down() {
        let readings =
            [("us-east-1", "us-east-1", 60_000, acknowledged(9_000)), ("eu-west-1", "eu-west-1", 0, visible(9_000, 0))];
        // The service is not known to be broken: it may have written all the time.
        assert_eq!(quoted(true, &readings).bound, Some(60_000 + REPORT_INTERVAL_MS));

        let outage = |held_ms| Outage { held_ms, slack_ms: 8_000 };
        assert_eq!(outage(52_000).unmeasured_ms(60_000), 0, "its daemon fell silent with it");
        assert_eq!(outage(51_999).unmeasured_ms(60_000), 8_001, "its daemon fell silent before");
    }

    #[test]
    fn an_outage_is_as_long_as_its_observers_saw_it() {
        let mut matrix = Matrix::default();
        for observer in ["eu-west-1", "us-west-2"] {
            matrix.take(NOW, crate::health::tests::bad(observer));
        }
        let view = View {
            me: "eu-west-1".into(),
            members: vec!["us-east-1".into(), "eu-west-1".into(), "us-west-2".into()],
            stale_after_ms: 5_000,
            rehearses: None,
        };
        let mut spec = spec(true);
        // What only explains, however seldom it is asked, proves no outage and excuses no silence.
        let advisory = spec.health.signals.iter_mut().find(|signal| signal.weight == Weight::Advisory).unwrap();
        advisory.probe = ProbeSpec::Tcp { address: "x:443".into(), interval_ms: Some(60_000), timeout_ms: 1_000 };
        let outage = Outage::of(NOW, &view, &spec, &"us-east-1".into(), &matrix);
        assert_eq!((outage.held_ms, outage.slack_ms), (12_000, 5_000 + 1_000 + 2_000));
        let elsewhere = Outage::of(NOW, &view, &spec, &"eu-west-1".into(), &matrix);
        assert_eq!(elsewhere.held_ms, 0);
    }

    #[test]
    fn the_survivors_own_writes_are_not_the_old_writers() {
        let loss = quoted(true, &[("eu-west-1", "eu-west-1", 0, acknowledged(9_000))]);
        assert_eq!(loss.bound, None);
        assert!(loss.reason.contains("acknowledged in us-east-1"), "{}", loss.reason);
    }

    #[test]
    fn what_anybody_ever_told_stays_acknowledged_in_its_own_region() {
        let readings = [
            ("us-east-1", "us-east-1", 90_000, acknowledged(9_700)),
            ("eu-west-1", "eu-west-1", 0, acknowledged(9_900)),
            ("us-west-2", "us-east-1", 0, acknowledged(9_000)),
        ];
        let newest =
            |region: &str| newest_acknowledged(&matrix(&readings), &"shop".into(), &"orders".into(), &region.into());
        assert_eq!((newest("us-east-1"), newest("eu-west-1"), newest("us-west-2")), (Some(9_700), Some(9_900), None));
    }

    #[test]
    fn without_a_canary_the_age_of_the_lag_counts_as_lost() {
        let lag = |lag_ms, point_age_ms| Seen { lag_ms: Some((lag_ms, point_age_ms)), age_ms: 300, ..Seen::default() };
        let loss = quoted(
            false,
            &[("us-west-2", "eu-west-1", 1_000, lag(50, 90_000)), ("eu-west-1", "eu-west-1", 2_000, lag(200, 60_000))],
        );
        // The freshest point is eu-west-1's: 60,000 old in a reading of 300 that arrived 2,000 ago.
        assert_eq!(loss.bound, Some(200 + 60_000 + 300 + 2_000));
    }

    #[test]
    fn a_canary_that_cannot_tell_falls_back_to_the_lag_and_says_so() {
        let seen = Seen { lag_ms: Some((10, 0)), visible: Some(5), ..Seen::default() };
        let loss = quoted(true, &[("eu-west-1", "eu-west-1", 0, seen)]);
        assert_eq!(loss.bound, Some(10));
        assert!(loss.reason.contains("no canary write has been seen acknowledged"), "{}", loss.reason);
    }

    #[test]
    fn nothing_known_is_no_bound_and_over_any_budget() {
        let loss = quoted(false, &[]);
        assert_eq!(loss.bound, None);
        let reason = over_budget(&[loss], u64::MAX).unwrap();
        assert!(reason.contains("nobody can say what orders would lose"), "{reason}");
    }

    #[test]
    fn the_budget_is_kept_to_the_millisecond_and_every_offender_is_named() {
        let loss = |store: &str, bound| Loss {
            store: store.into(),
            bound: Some(bound),
            measured: None,
            unit: LossUnit::Ms,
            reason: "canary".to_owned(),
        };
        assert_eq!(over_budget(&[], 0), None);
        assert_eq!(over_budget(&[loss("a", 5_000)], 5_000), None);
        let reason = over_budget(&[loss("a", 5_001), loss("b", 1), loss("c", 9_000)], 5_000).unwrap();
        assert!(reason.contains("a may lose 5001 ms") && reason.contains("c may lose 9000 ms"), "{reason}");
        assert!(!reason.contains("b may"), "{reason}");
    }

    #[test]
    fn the_receipt_measures_what_did_not_arrive_or_says_why_not() {
        let quoted = || quoted(false, &[]);
        assert_eq!(receipt(quoted(), Some(9_700), Some(9_000)).measured, Some(700));
        assert_eq!(receipt(quoted(), Some(9_000), Some(9_700)).measured, Some(0));
        for (acknowledged, visible) in [(None, Some(1)), (Some(1), None), (None, None)] {
            let receipt = receipt(quoted(), acknowledged, visible);
            assert_eq!(receipt.measured, None);
            assert!(receipt.reason.starts_with("not measurable"), "{}", receipt.reason);
        }
    }
}
