//! What the readings mean, by quorum of fresh observers.
//!
//! Must never count an observer that is stale or cut off, nor count "cannot tell" as bad.

use serde::{Deserialize, Serialize};

use super::matrix::Matrix;
use super::opinion::{Look, look};
use super::reading::Status;
use super::sentence;
use crate::ids::{DrillRunId, Region};
use crate::sabotage::{self, Sabotage};
use crate::service::ServiceSpec;
use crate::time::Timestamp;

/// What the readings mean for one service in one Region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Diagnosis {
    /// All required signals good by quorum.
    Healthy,
    /// Something is bad, but not all that is required, or not by quorum.
    Degraded,
    /// All required signals bad by quorum; the Region itself still answers.
    ServiceDown,
    /// All required signals bad by quorum, and the Region's daemon is silent or its control plane away too.
    RegionDown,
    /// The service is fine; the Region's AWS API is not.
    ControlPlaneOnly,
    /// The one who asks sees neither peers nor references: its view counts for nothing.
    ObserverIsolated,
    /// Not enough fresh readings to tell.
    Unknown,
}

impl Diagnosis {
    /// Whether this is a proven breach.
    #[must_use]
    pub const fn is_breach(self) -> bool {
        matches!(self, Self::ServiceDown | Self::RegionDown)
    }

    /// The word users see.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::ServiceDown => "service-down",
            Self::RegionDown => "region-down",
            Self::ControlPlaneOnly => "control-plane-only",
            Self::ObserverIsolated => "observer-isolated",
            Self::Unknown => "unknown",
        }
    }
}

/// A diagnosis with what it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The verdict.
    pub diagnosis: Diagnosis,
    /// One sentence: why.
    pub because: String,
    /// How long the weakest of the agreeing observers has seen it so, milliseconds.
    pub held_ms: u64,
    /// What each observer of the fleet says.
    pub opinions: Vec<Opinion>,
}

/// What one observer says of one service in one Region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opinion {
    /// Observer.
    pub observer: Region,
    /// Bad only when all required signals are bad past hysteresis.
    pub status: Status,
    /// Whether it counts (fresh and not isolated).
    pub counts: bool,
    /// Its signals in short, or why it does not count.
    pub detail: String,
    /// How long it has been so.
    pub held_ms: u64,
}

/// Who looks at the matrix, and by which limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The daemon that asks.
    pub me: Region,
    /// Every daemon of the fleet.
    pub members: Vec<Region>,
    /// Reports and readings older than this do not count.
    pub stale_after_ms: u64,
    /// Where a drill shows the fleet a lost Region, what it shows counts, not what is really read there. For the
    /// decision of that drill alone; nobody else looks like this.
    pub rehearses: Option<DrillRunId>,
}

impl View {
    /// The same, with what a drill shows.
    #[must_use]
    pub fn rehearsing(&self, drill: &DrillRunId) -> Self {
        Self { rehearses: Some(drill.clone()), ..self.clone() }
    }

    /// How many of the fleet are a majority.
    #[must_use]
    pub fn majority(&self) -> usize {
        if sabotage::is(Sabotage::SkipQuorum) {
            return 1;
        }
        self.members.len() / 2 + 1
    }
}

/// Judges one service in one Region.
///
/// Broken means: a majority of the whole fleet counts, sees every required signal breached *and* bad at this moment
/// (a service that came back by itself is not broken, even before hysteresis lets go of the breach), and outnumbers
/// those who see it good.
#[must_use]
pub fn diagnose(now: Timestamp, view: &View, spec: &ServiceSpec, region: &Region, matrix: &Matrix) -> Finding {
    if matrix.isolated(now, view, &view.me) {
        return isolated_finding(view);
    }
    let looks: Vec<Look<'_>> = view.members.iter().map(|who| look(now, view, spec, region, matrix, who)).collect();
    let case = Case { now, view, region, matrix, looks: &looks };
    let diagnosis = case.diagnosis();
    Finding {
        diagnosis,
        because: case.because(diagnosis),
        held_ms: case.held_ms(diagnosis),
        opinions: looks.iter().map(Look::opinion).collect(),
    }
}

fn isolated_finding(view: &View) -> Finding {
    Finding {
        diagnosis: Diagnosis::ObserverIsolated,
        because: format!(
            "{} reaches no other daemon and no reference endpoint: it is cut off itself, so what it sees counts for nothing",
            view.me
        ),
        held_ms: 0,
        opinions: Vec::new(),
    }
}

/// What all observers say, put together.
pub(super) struct Case<'a> {
    pub(super) now: Timestamp,
    pub(super) view: &'a View,
    pub(super) region: &'a Region,
    pub(super) matrix: &'a Matrix,
    pub(super) looks: &'a [Look<'a>],
}

impl Case<'_> {
    fn diagnosis(&self) -> Diagnosis {
        let (bad, good, majority) = (self.count(Status::Bad), self.count(Status::Good), self.view.majority());
        if bad >= majority && bad > good {
            let whole_region = self.region_is_silent() || self.reference_is_bad() || self.control_plane_is_bad();
            return if whole_region { Diagnosis::RegionDown } else { Diagnosis::ServiceDown };
        }
        if self.looks.iter().filter(|look| look.counts()).count() < majority {
            return Diagnosis::Unknown;
        }
        let something_is_breached = self.counting().any(|look| look.any_breached);
        match good >= majority {
            true if something_is_breached => Diagnosis::Degraded,
            true if self.control_plane_is_bad() => Diagnosis::ControlPlaneOnly,
            true => Diagnosis::Healthy,
            false if something_is_breached || self.counting().any(|look| look.any_bad) => Diagnosis::Degraded,
            false => Diagnosis::Unknown,
        }
    }

    pub(super) fn counting(&self) -> impl Iterator<Item = &Look<'_>> {
        self.looks.iter().filter(|look| look.counts())
    }

    fn count(&self, status: Status) -> usize {
        self.counting().filter(|look| look.status == status).count()
    }

    /// Whether the Region's own daemon is not heard. A Region without a daemon cannot be silent.
    pub(super) fn region_is_silent(&self) -> bool {
        self.view.members.contains(self.region)
            && self.matrix.fresh(self.now, self.region, self.view.stale_after_ms).is_none()
    }

    /// Whether a majority says that the Region's reference endpoint does not answer.
    pub(super) fn reference_is_bad(&self) -> bool {
        self.majority_says(|report| report.references.get(self.region) == Some(&false))
    }

    /// Whether a majority says that the Region's AWS API does not answer.
    pub(super) fn control_plane_is_bad(&self) -> bool {
        self.majority_says(|report| report.control_planes.get(self.region) == Some(&Status::Bad))
    }

    /// Asked of everyone whose report counts, even while they have not read this service's signals yet.
    fn majority_says(&self, says: impl Fn(&super::reading::Report) -> bool) -> bool {
        let heard = self.looks.iter().filter_map(|look| look.received);
        heard.filter(|received| says(&received.report)).count() >= self.view.majority()
    }

    fn because(&self, diagnosis: Diagnosis) -> String {
        match diagnosis {
            Diagnosis::Healthy => sentence::healthy(self),
            Diagnosis::Degraded => sentence::degraded(self),
            Diagnosis::ServiceDown | Diagnosis::RegionDown => sentence::broken(self),
            Diagnosis::ControlPlaneOnly => sentence::control_plane_only(self),
            Diagnosis::Unknown | Diagnosis::ObserverIsolated => sentence::unknown(self),
        }
    }

    /// How long the weakest of those has seen it so who carry the verdict; 0 where no quorum does.
    fn held_ms(&self, diagnosis: Diagnosis) -> u64 {
        let carried_by = match diagnosis {
            Diagnosis::ServiceDown | Diagnosis::RegionDown => Status::Bad,
            Diagnosis::Healthy | Diagnosis::ControlPlaneOnly => Status::Good,
            Diagnosis::Degraded | Diagnosis::ObserverIsolated | Diagnosis::Unknown => return 0,
        };
        self.counting().filter(|look| look.status == carried_by).map(|look| look.held_ms).min().unwrap_or(0)
    }
}
