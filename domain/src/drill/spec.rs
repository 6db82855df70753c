//! What a `Drill` manifest means once it is valid.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{DrillName, Region, ServiceName, SignalName};

/// A drill as its manifest declares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillSpec {
    /// Its name.
    pub name: DrillName,
    /// Labels, for people.
    pub labels: BTreeMap<String, String>,
    /// The service that is practised on.
    pub service: ServiceName,
    /// What is practised.
    pub kind: DrillKind,
    /// The Region that is left, or taken for lost; absent: the one that serves (active-active: the first that does).
    pub from: Option<Region>,
    /// Where the service goes; absent: the standby, or whatever Region an evacuation would choose.
    pub to: Option<Region>,
    /// When it runs by itself; absent: only when a person says so.
    pub schedule: Option<Schedule>,
    /// What is expected, in a sentence.
    pub hypothesis: String,
    /// Any of these ends the drill and returns.
    pub guardrails: Vec<Guardrail>,
    /// How long to stay before returning, milliseconds.
    pub hold_ms: u64,
    /// Who says that it returns.
    pub comes_back: ComesBack,
    /// How many people must approve before it starts.
    pub approvals: u32,
}

/// What is practised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrillKind {
    /// The applied plan against a copy of what is seen, in the simulated AWS, with faults. Touches nothing.
    Simulate,
    /// A graceful move, a hold, a return.
    Switchover,
    /// Traffic alone leaves a Region and comes back; writers stay where they are.
    Evacuate,
    /// The fleet is shown a Region that is lost: it must see, prove, decide and move by itself.
    RegionLoss,
}

/// When a drill runs by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// When its window opens: five-field cron.
    pub cron: String,
    /// IANA time zone of the cron expression and of the blackouts.
    pub timezone: String,
    /// The drill runs within this time of the opening, hold included, or not at all, milliseconds.
    pub window_ms: u64,
    /// Days on which no window opens.
    pub blackouts: Vec<Blackout>,
}

/// Days without drills, both included; `2026-12-24`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blackout {
    /// First day.
    pub from: String,
    /// Last day.
    pub until: String,
}

/// What ends a drill early.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guardrail {
    /// It has lasted too long, from its first move on.
    MaxDuration {
        /// Milliseconds.
        ms: u64,
    },
    /// A signal of the service is bad by quorum for so long.
    Signal {
        /// Signal.
        signal: SignalName,
        /// Where.
        region: Region,
        /// Milliseconds.
        unhealthy_for_ms: u64,
    },
    /// A CloudWatch alarm is in ALARM.
    Alarm {
        /// Its name.
        name: String,
        /// Where it is.
        region: Region,
    },
}

impl Guardrail {
    /// Under which signal name daemons report the alarm of a guardrail. No signal of a manifest can be called so.
    #[must_use]
    pub fn alarm_signal(name: &str) -> SignalName {
        SignalName::new(format!("alarm:{name}"))
    }
}

impl fmt::Display for Guardrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxDuration { ms } => write!(f, "lasts at most {} s", ms / 1_000),
            Self::Signal { signal, region, unhealthy_for_ms } => {
                write!(f, "{signal} in {region} is not bad for {} s", unhealthy_for_ms / 1_000)
            }
            Self::Alarm { name, region } => write!(f, "alarm {name} in {region} is not in ALARM"),
        }
    }
}

/// Who says that a drill returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComesBack {
    /// The end of the hold.
    Automatic,
    /// A person, with `failback`.
    Manual,
}

impl DrillKind {
    /// The word users see and write.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Simulate => "simulate",
            Self::Switchover => "switchover",
            Self::Evacuate => "evacuate",
            Self::RegionLoss => "region-loss",
        }
    }
}
