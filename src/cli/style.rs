//! How instants, durations and words look to people.

pub use failoverd_domain::report::duration;
use failoverd_domain::time::Timestamp;
use prost_types::Timestamp as ProtoTime;

/// How to show things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// More columns.
    pub wide: bool,
    /// On a terminal, instants are shown relative to this one (the daemon's clock, not ours).
    pub now: Option<Timestamp>,
}

impl Style {
    /// The same, with the instant that the daemon answered at, where instants are shown relative to it.
    #[must_use]
    pub fn at(self, answered: Option<&crate::api::proto::Answered>) -> Self {
        let now = self.now.and_then(|_| answered?.at.as_ref().map(timestamp));
        Self { now, ..self }
    }

    /// An instant: `3m ago` on a terminal, RFC 3339 elsewhere, `-` when there is none.
    #[must_use]
    pub fn time(&self, at: Option<&ProtoTime>) -> String {
        match (at.map(timestamp), self.now) {
            (None, _) => "-".to_owned(),
            (Some(at), None) => at.rfc3339(),
            (Some(at), Some(now)) if at > now => format!("in {}", duration(at.since(now))),
            (Some(at), Some(now)) => format!("{} ago", duration(now.since(at))),
        }
    }
}

/// The instant of a message.
#[must_use]
pub fn timestamp(at: &ProtoTime) -> Timestamp {
    let ms = at.seconds.saturating_mul(1000).saturating_add(i64::from(at.nanos) / 1_000_000);
    Timestamp(u64::try_from(ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        let shown = [0, 999, 4_250, 5_000, 42_000, 90_000, 7_500_000, 86_400_000].map(duration);
        assert_eq!(shown, ["0ms", "999ms", "4.2s", "5s", "42s", "1m30s", "2h5m", "1d"]);
    }

    #[test]
    fn instants_are_relative_on_a_terminal_only() {
        let at = ProtoTime { seconds: 1_764_000_000, nanos: 0 };
        assert_eq!(Style::default().time(Some(&at)), "2025-11-24T16:00:00.000Z");
        let style = Style { wide: false, now: Some(Timestamp(1_764_000_090_000)) };
        assert_eq!(style.time(Some(&at)), "1m30s ago");
    }
}
