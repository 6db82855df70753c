//! What one observer says of one service in one Region, before it is put into words.
//!
//! Judging a thousand services a second must not write a thousand essays: words are made only for what is not well.

use super::diagnosis::{Opinion, View};
use super::matrix::{Matrix, Received};
use super::reading::{SignalReading, Status};
use crate::ids::Region;
use crate::service::{ServiceSpec, Signal, Weight};
use crate::time::Timestamp;

/// One observer's look at one service in one Region.
pub(super) struct Look<'a> {
    pub(super) observer: &'a Region,
    /// Its report, if it is fresh and the observer is not isolated.
    pub(super) received: Option<&'a Received>,
    pub(super) voice: Voice<'a>,
    /// Bad: all required signals breached and bad now. Good: all required good and none breached.
    pub(super) status: Status,
    pub(super) held_ms: u64,
    /// Some signal, required or advisory, is breached.
    pub(super) any_breached: bool,
    /// Some signal is bad at this moment.
    pub(super) any_bad: bool,
    pub(super) readings: &'a [SignalReading],
    pub(super) spec: &'a ServiceSpec,
}

/// Why an observer counts or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Voice<'a> {
    Counts,
    /// Its newest report arrived so long ago; `None`: never.
    Silent(Option<u64>),
    Isolated,
    /// It reports, but has no fresh reading of this required signal.
    NotRead(&'a Signal),
}

/// Looks at one service in one Region through one observer's eyes.
pub(super) fn look<'a>(
    now: Timestamp,
    view: &View,
    spec: &'a ServiceSpec,
    region: &Region,
    matrix: &'a Matrix,
    observer: &'a Region,
) -> Look<'a> {
    let mut look = Look {
        observer,
        received: None,
        voice: Voice::Counts,
        status: Status::Unknown,
        held_ms: 0,
        any_breached: false,
        any_bad: false,
        readings: &[],
        spec,
    };
    let Some(received) = matrix.fresh(now, observer, view.stale_after_ms) else {
        look.voice = Voice::Silent(matrix.of(observer).map(|received| now.since(received.at)));
        return look;
    };
    if matrix.isolated(now, view, observer) {
        look.voice = Voice::Isolated;
        return look;
    }
    look.received = Some(received);
    look.readings = match received.rehearsal(view, &spec.name, region) {
        Some(rehearsal) => &rehearsal.signals,
        None => received.signals(&spec.name, region),
    };
    look.weigh(now, view, received);
    look
}

/// How old a reading of this signal may be: one that is asked more rarely than reports go stale would else never count.
fn limit_ms(view: &View, signal: &Signal) -> u64 {
    view.stale_after_ms.max(signal.probe.interval_ms().unwrap_or(0).saturating_mul(2))
}

impl<'a> Look<'a> {
    fn weigh(&mut self, now: Timestamp, view: &View, received: &Received) {
        let (mut required, mut bad, mut good) = (0, 0, 0);
        let mut held_ms = u64::MAX;
        for signal in &self.spec.health.signals {
            let reading = self
                .reading(signal)
                .filter(|reading| received.age_now_ms(now, reading.age_ms) <= limit_ms(view, signal));
            if signal.weight == Weight::Required {
                required += 1;
                let Some(reading) = reading else {
                    self.voice = Voice::NotRead(signal);
                    continue;
                };
                bad += usize::from(reading.breached && reading.status == Status::Bad);
                good += usize::from(!reading.breached && reading.status == Status::Good);
                held_ms = held_ms.min(received.age_now_ms(now, reading.held_ms));
            }
            if let Some(reading) = reading {
                // A breach that nobody can see any more is neither over nor proof.
                self.any_breached |= reading.breached && reading.status != Status::Unknown;
                self.any_bad |= reading.status == Status::Bad;
            }
        }
        if self.counts() && required > 0 {
            self.status = match required {
                _ if bad == required => Status::Bad,
                _ if good == required => Status::Good,
                _ => Status::Unknown,
            };
            self.held_ms = held_ms;
        }
    }

    pub(super) fn counts(&self) -> bool {
        self.voice == Voice::Counts
    }

    /// The reading of one signal, of any age.
    pub(super) fn reading(&self, signal: &Signal) -> Option<&'a SignalReading> {
        self.readings.iter().find(|reading| reading.signal == signal.name)
    }

    pub(super) fn opinion(&self) -> Opinion {
        Opinion {
            observer: self.observer.clone(),
            status: self.status,
            counts: self.counts(),
            detail: self.detail(),
            held_ms: self.held_ms,
        }
    }

    fn detail(&self) -> String {
        match self.voice {
            Voice::Silent(None) => "has never been heard".to_owned(),
            Voice::Silent(Some(ms)) => format!("silent for {} s", ms / 1_000),
            Voice::Isolated => "reaches no peer and no reference endpoint".to_owned(),
            Voice::NotRead(signal) => format!("has no fresh reading of {}", signal.name),
            Voice::Counts if self.status == Status::Good && !self.any_bad && !self.any_breached => "good".to_owned(),
            Voice::Counts => self.signals_in_short(),
        }
    }

    fn signals_in_short(&self) -> String {
        let words = self.spec.health.signals.iter().filter_map(|signal| self.reading(signal)).map(|reading| {
            let word = match (reading.status, reading.breached) {
                (Status::Good, false) => "good",
                (Status::Good, true) => "good again, not for long enough",
                (Status::Bad, true) => "bad",
                (Status::Bad, false) => "bad, not for long enough",
                (Status::Unknown, _) => "cannot tell",
            };
            format!("{}: {word} ({})", reading.signal, reading.detail)
        });
        words.collect::<Vec<_>>().join("; ")
    }
}
