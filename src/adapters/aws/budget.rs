//! Token buckets that stand before AWS's own: what changes something goes before what only looks.
//!
//! Reads may not take the last tokens of a bucket, and none is given to a read while an action waits; so an action never
//! waits longer than one refill because of reads. Where AWS throttles us all the same, the bucket refills at half its
//! pace for a while: somebody else spends from the same account.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use failoverd_domain::ids::Region;
use tokio::time::{Instant, sleep};

use super::limits::Limit;
use crate::telemetry::{BudgetLevel, BudgetLevels};

/// The share of a bucket that is kept for actions.
const RESERVED: f64 = 0.25;
/// Longest wait of a read for a token; past it the read is refused, certainly without effect.
const READ_PATIENCE: Duration = Duration::from_secs(3);
/// How long a bucket refills at half its pace after AWS has throttled.
const SLOWED: Duration = Duration::from_secs(30);

/// Whether a call changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only looks.
    Read,
    /// It changes something.
    Action,
}

/// Nothing was sent: the bucket is empty and others go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spent;

/// Service, Region, and what the bucket counts.
type Key = (&'static str, Region, &'static str);

/// All buckets of one account.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    /// The account's id where a role in it is assumed; empty: our own.
    account: String,
    buckets: Mutex<BTreeMap<Key, Arc<Mutex<Bucket>>>>,
}

#[derive(Debug)]
struct Bucket {
    limit: Limit,
    tokens: f64,
    at: Instant,
    slowed_until: Instant,
    actions_waiting: u32,
}

/// An action in the queue; leaving it, by whatever way, makes room for reads again.
struct Waiting<'a>(&'a Mutex<Bucket>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        open(self.0).actions_waiting -= 1;
    }
}

fn open(bucket: &Mutex<Bucket>) -> std::sync::MutexGuard<'_, Bucket> {
    bucket.lock().unwrap_or_else(PoisonError::into_inner)
}

impl BudgetLevels for Budgets {
    fn levels(&self) -> Vec<BudgetLevel> {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let level = |((service, region, group), bucket): (Key, Arc<Mutex<Bucket>>)| {
            let mut bucket = open(&bucket);
            bucket.refill();
            let account = if self.account.is_empty() { "own".to_owned() } else { self.account.clone() };
            BudgetLevel { service, region, group, account, tokens: bucket.tokens, capacity: bucket.limit.burst }
        };
        buckets.into_iter().map(level).collect()
    }
}

impl Budgets {
    /// Budgets of the account that a role belongs to: `arn:aws:iam::ACCOUNT:role/…`.
    pub(super) fn of(role_arn: Option<&str>) -> Self {
        let account = role_arn.and_then(|arn| arn.split(':').nth(4)).unwrap_or_default().to_owned();
        Self { account, buckets: Mutex::default() }
    }

    fn bucket(&self, service: &'static str, region: &Region, limit: Limit) -> Arc<Mutex<Bucket>> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let full = || Bucket { limit, tokens: limit.burst, at: now, slowed_until: now, actions_waiting: 0 };
        let key = (service, region.clone(), limit.group);
        buckets.entry(key).or_insert_with(|| Arc::new(Mutex::new(full()))).clone()
    }

    /// Waits for a token. An action waits as long as it takes: whoever makes it has a deadline of their own.
    pub(super) async fn take(
        &self,
        service: &'static str,
        region: &Region,
        limit: Limit,
        kind: Kind,
    ) -> Result<(), Spent> {
        let bucket = self.bucket(service, region, limit);
        let _queued = (kind == Kind::Action).then(|| {
            open(&bucket).actions_waiting += 1;
            Waiting(&bucket)
        });
        let deadline = Instant::now() + READ_PATIENCE;
        loop {
            let wait = match open(&bucket).try_take(kind) {
                None => return Ok(()),
                Some(wait) => wait,
            };
            if kind == Kind::Read && Instant::now() + wait > deadline {
                return Err(Spent);
            }
            sleep(wait).await;
        }
    }

    /// AWS said that it was too much.
    pub(super) fn throttled(&self, service: &'static str, region: &Region, limit: Limit) {
        let bucket = self.bucket(service, region, limit);
        let mut bucket = open(&bucket);
        bucket.refill();
        bucket.tokens = bucket.tokens.min(1.0);
        bucket.slowed_until = Instant::now() + SLOWED;
    }
}

impl Bucket {
    fn pace(&self) -> f64 {
        if Instant::now() < self.slowed_until { self.limit.refill / 2.0 } else { self.limit.refill }
    }

    fn refill(&mut self) {
        let now = Instant::now();
        let gained = now.duration_since(self.at).as_secs_f64() * self.pace();
        self.tokens = (self.tokens + gained).min(self.limit.burst);
        self.at = now;
    }

    /// Takes a token, or says how long to wait before asking again.
    fn try_take(&mut self, kind: Kind) -> Option<Duration> {
        self.refill();
        let needed = match kind {
            Kind::Action => 1.0,
            Kind::Read if self.actions_waiting > 0 => self.limit.burst.min(f64::from(self.actions_waiting) + 1.0),
            Kind::Read => (1.0 + self.limit.burst * RESERVED).min(self.limit.burst),
        };
        if self.tokens >= needed {
            self.tokens -= 1.0;
            return None;
        }
        // A millisecond more than enough, so that rounding never makes it ask in vain.
        Some(Duration::from_secs_f64((needed - self.tokens) / self.pace()) + Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { group: "test", burst: 8.0, refill: 2.0 };

    async fn take(budgets: &Budgets, kind: Kind) -> (Result<(), Spent>, Duration) {
        let begun = Instant::now();
        (budgets.take("route53", &"us-east-1".into(), LIMIT, kind).await, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn reads_leave_a_quarter_for_actions() {
        let budgets = Budgets::default();
        for _ in 0..6 {
            assert_eq!(take(&budgets, Kind::Read).await, (Ok(()), Duration::ZERO));
        }
        for _ in 0..2 {
            assert_eq!(take(&budgets, Kind::Action).await, (Ok(()), Duration::ZERO));
        }
        let (taken, waited) = take(&budgets, Kind::Action).await;
        assert!(
            taken.is_ok() && waited >= Duration::from_millis(500) && waited < Duration::from_millis(510),
            "{waited:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_reads_holds_an_action_up_for_one_refill_at_most() {
        let budgets = Arc::new(Budgets::default());
        let mut flood = tokio::task::JoinSet::new();
        for _ in 0..200 {
            let budgets = budgets.clone();
            flood.spawn(async move { take(&budgets, Kind::Read).await.0 });
        }
        tokio::task::yield_now().await;
        for _ in 0..20 {
            let (taken, waited) = take(&budgets, Kind::Action).await;
            assert!(taken.is_ok() && waited <= Duration::from_millis(502), "{waited:?}");
        }
        let refused = flood.join_all().await.into_iter().filter(Result::is_err).count();
        assert!(refused > 150, "{refused} reads were refused");
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_bucket_refills_at_half_its_pace_for_a_while() {
        let budgets = Budgets::default();
        budgets.throttled("route53", &"us-east-1".into(), LIMIT);
        assert_eq!(take(&budgets, Kind::Action).await.1, Duration::ZERO);
        assert!(take(&budgets, Kind::Action).await.1 >= Duration::from_secs(1));
        sleep(SLOWED + Duration::from_secs(10)).await;
        for _ in 0..8 {
            assert_eq!(take(&budgets, Kind::Action).await.1, Duration::ZERO);
        }
        assert!(take(&budgets, Kind::Action).await.1 < Duration::from_millis(510));
    }

    #[tokio::test(start_paused = true)]
    async fn buckets_of_other_regions_and_groups_are_their_own() {
        let budgets = Budgets::default();
        for _ in 0..8 {
            take(&budgets, Kind::Action).await.0.unwrap();
        }
        let elsewhere = Instant::now();
        budgets.take("route53", &"eu-west-1".into(), LIMIT, Kind::Action).await.unwrap();
        let other = Limit { group: "other", ..LIMIT };
        budgets.take("route53", &"us-east-1".into(), other, Kind::Action).await.unwrap();
        assert_eq!(elsewhere.elapsed(), Duration::ZERO);
    }
}
