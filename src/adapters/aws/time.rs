//! AWS's time: the daemon's clock, put right by the `Date` that every answer of AWS carries.
//!
//! AWS refuses what is signed minutes off its own clock, and files words and figures by it: with `switch: cloudwatch` a
//! daemon whose machine is hours off would speak into a minute at which no alarm looks. The SDK corrects signatures too, but
//! in each client for itself, so that the first change of each would be refused, and it does not say what it found.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use aws_smithy_types::date_time::Format;
use failoverd_domain::time::Timestamp;

use crate::ports::Clock;

/// `Date` tells whole seconds.
const SECOND_MS: i64 = 1_000;
/// By so much more than the way of a call explains the clocks must differ before another difference is taken: a time that
/// goes back and forth by seconds would make the word before a turned switch look like the later one.
const SLACK_MS: i64 = 5_000;

/// AWS's time as far as one process knows it; until the first answer, the daemon's own.
#[derive(Clone)]
pub(super) struct AwsTime {
    clock: Arc<dyn Clock>,
    /// AWS's clock minus the daemon's.
    ahead_ms: Arc<AtomicI64>,
}

impl AwsTime {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, ahead_ms: Arc::default() }
    }

    /// AWS said `date`, some time between two instants of the daemon's clock.
    fn hear(&self, sent: Timestamp, date: Timestamp, arrived: Timestamp) {
        let (sent, date, arrived) = (sent.0.cast_signed(), date.0.cast_signed(), arrived.0.cast_signed());
        let (least, most) = (date - arrived, date + SECOND_MS - sent);
        let held = self.ahead_ms.load(Ordering::Relaxed);
        if (least - SLACK_MS..=most + SLACK_MS).contains(&held) {
            return;
        }
        let ahead_ms = least.midpoint(most);
        self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
        tracing::warn!(ahead_ms, "AWS's clock and this daemon's differ: what AWS files by its clock goes by that");
    }
}

impl Clock for AwsTime {
    fn now(&self) -> Timestamp {
        Timestamp(self.clock.now().0.saturating_add_signed(self.ahead_ms.load(Ordering::Relaxed)))
    }
}

impl std::fmt::Debug for AwsTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AwsTime").field("ahead_ms", &self.ahead_ms).finish_non_exhaustive()
    }
}

/// Signatures, and the age of credentials.
impl TimeSource for AwsTime {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(Clock::now(self).0)
    }
}

/// When an attempt was sent, by the daemon's clock.
#[derive(Debug)]
struct Sent(Timestamp);

impl Storable for Sent {
    type Storer = StoreReplace<Self>;
}

/// Hears the time in the answers of a client.
impl Intercept for AwsTime {
    fn name(&self) -> &'static str {
        "AWS's time"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        bag.interceptor_state().store_put(Sent(self.clock.now()));
        Ok(())
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let sent = bag.load::<Sent>().map(|sent| sent.0);
        if let Some((sent, date)) = sent.zip(date(context.response())) {
            self.hear(sent, date, self.clock.now());
        }
        Ok(())
    }
}

/// When it was answered; nothing where somebody on the way answered out of a cache.
fn date(response: &HttpResponse) -> Option<Timestamp> {
    let headers = response.headers();
    let date = headers.get("date").filter(|_| headers.get("age").is_none())?;
    let date = DateTime::from_str(date, Format::HttpDate).ok()?.to_millis().ok()?;
    u64::try_from(date).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct At(u64);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp(self.0)
        }
    }

    const NOW: u64 = 1_800_000_000_000;
    const HOUR: u64 = 3_600_000;

    /// By how much it is ahead of the daemon's clock after calls, each: sent, said by AWS, arrived; all after `NOW`.
    fn after(calls: &[(u64, u64, u64)]) -> i64 {
        let time = AwsTime::new(Arc::new(At(NOW)));
        for (sent, date, arrived) in calls {
            let [sent, date, arrived] = [sent, date, arrived].map(|ms| Timestamp(NOW + ms));
            time.hear(sent, date, arrived);
        }
        Clock::now(&time).0.cast_signed() - NOW.cast_signed()
    }

    #[test]
    fn a_clock_that_is_right_stays_as_it_is_however_slow_an_answer_comes() {
        assert_eq!(after(&[]), 0);
        assert_eq!(after(&[(0, 0, 50), (1_000, 1_000, 9_000), (0, 8_000, 9_000), (0, 0, 600_000)]), 0);
        assert_eq!(after(&[(0, 4_000, 100)]), 0, "seconds are not worth a time that goes back and forth");
    }

    #[test]
    fn one_that_is_hours_off_is_put_right_by_the_first_answer_and_stays_so() {
        let ahead = after(&[(0, 3 * HOUR, 100)]);
        assert_eq!(ahead, 3 * 3_600_000 + 450, "the middle of what the call leaves open");
        assert_eq!(after(&[(0, 3 * HOUR, 100), (2_000, 3 * HOUR + 1_000, 2_100)]), ahead);
        let behind = after(&[(5 * HOUR, HOUR, 5 * HOUR + 100)]);
        assert_eq!(behind, -4 * 3_600_000 + 450);
        assert_eq!(
            after(&[(5 * HOUR, HOUR, 5 * HOUR + 100), (2 * HOUR, 2 * HOUR, 2 * HOUR)]),
            500,
            "and set right since"
        );
    }
}
