//! Names and numbers that must not be mixed up.

use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(String);

        impl $type {
            /// The name as given; no check is made here (manifests and configuration are checked where they are read).
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// The bare text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl From<&str> for $type {
            fn from(name: &str) -> Self {
                Self(name.to_owned())
            }
        }

        impl From<String> for $type {
            fn from(name: String) -> Self {
                Self(name)
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

macro_rules! number {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(pub u64);

        impl $type {
            /// The one after this one.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

name!(/// The fleet: all daemons that agree with each other.
    FleetId);
name!(/// An AWS Region where a daemon runs. One daemon per Region, so this is also the daemon's name.
    Region);
name!(/// What fails over as one unit.
    ServiceName);
name!(/// One data store of a service, unique within it.
    StoreName);
name!(/// One health input of a service, unique within it.
    SignalName);
name!(/// Services that share one switch; by default the service's own name.
    SwitchGroup);
name!(/// One execution of a plan: `<service>-<n>`, n counting the service's runs.
    RunId);
name!(/// One execution of a drill: `<drill>.<n>`, n counting the drill's executions.
    DrillRunId);
name!(/// A drill that was applied.
    DrillName);
name!(/// One step of a plan, unique within it, for example `promote/orders-db`.
    StepName);
name!(/// A Route 53 health check's id.
    HealthCheckId);

number!(/// Raised once for every change of who serves a service.
    Epoch);
number!(/// Raised only by disaster recovery of the fleet itself.
    Generation);
number!(/// Position of an entry in the replicated log.
    LogIndex);
