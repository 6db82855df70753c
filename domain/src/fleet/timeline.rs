//! Where the time of a move went: its parts, and what none of them can go below with the settings as they are.
//!
//! Only what the fleet itself agreed on goes in, so that every daemon says the same. What it cannot know, when Route 53's
//! own checks turned, is inside `answer`.

use super::run::{Run, StepState};
use crate::plan::StepKind;
use crate::service::{ServiceSpec, SwitchTransport};
use crate::time::Timestamp;
use crate::traffic::{CHECK_INTERVAL_S, SWITCH_FAILURE_THRESHOLD};

/// One part of a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// `detect`, `decide`, `data`, `commit`, `checkers` or `answer`.
    pub name: &'static str,
    /// How long it took, milliseconds.
    pub ms: u64,
    /// What it cannot be shorter than with these settings, milliseconds; 0 where no setting holds it up.
    pub floor_ms: u64,
    /// Where the floor comes from, for people.
    pub floor: String,
}

/// Cuts a stretch of time into parts that follow each other: together they are the whole, whatever clocks say.
#[derive(Clone, Debug)]
pub struct Cutter {
    at: Timestamp,
    parts: Vec<Part>,
}

impl Cutter {
    /// Begins at an instant.
    #[must_use]
    pub const fn new(at: Timestamp) -> Self {
        Self { at, parts: Vec::new() }
    }

    /// Ends a part; an instant before the last one (another daemon's clock) ends it where it began.
    pub fn cut(&mut self, name: &'static str, until: Timestamp, floor_ms: u64, floor: impl Into<String>) {
        let ms = until.since(self.at);
        self.at = self.at.max(until);
        match self.parts.iter_mut().find(|part| part.name == name) {
            Some(part) => part.ms += ms,
            None => self.parts.push(Part { name, ms, floor_ms, floor: floor.into() }),
        }
    }

    /// The parts, in the order in which they began.
    #[must_use]
    pub fn parts(self) -> Vec<Part> {
        self.parts
    }
}

/// The parts of a run whose answer was verified, from the breach (or the decision, where nothing was broken) to the
/// verified answer; none of any other. `spec` is its service as it is now, where there is one.
#[must_use]
pub fn parts(run: &Run, spec: Option<&ServiceSpec>) -> Vec<Part> {
    parts_by(run, spec.map(Floors::of))
}

/// What a manifest says of how short parts can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floors {
    /// A breach must have lasted so long, milliseconds.
    pub breach_after_ms: u64,
    /// How the switch reaches Route 53.
    pub switch: SwitchTransport,
}

impl Floors {
    const fn of(spec: &ServiceSpec) -> Self {
        Self { breach_after_ms: spec.health.breach_after_ms, switch: spec.traffic.switch }
    }
}

/// The same, where only the floors are known of the service.
#[must_use]
pub fn parts_by(run: &Run, floors: Option<Floors>) -> Vec<Part> {
    let (Some(started), Some(verified)) = (run.started_at, run.verified_at) else { return Vec::new() };
    let mut cutter = Cutter::new(run.breach_at.unwrap_or(run.decided_at));
    if run.breach_at.is_some() {
        let (breach_ms, words) = floors.map_or((0, "the service is gone".to_owned()), |floors| {
            (floors.breach_after_ms, "breach_after".to_owned())
        });
        cutter.cut("detect", run.decided_at, breach_ms, words);
    }
    let announced_ms = run.announce_until.map_or(0, |until| until.since(run.decided_at));
    let words = if announced_ms > 0 { "announce" } else { "nothing was announced" };
    cutter.cut("decide", started, announced_ms, words);
    let of = |wanted: fn(&StepKind) -> bool| {
        let step = run.plan.steps.iter().find(|step| wanted(&step.kind))?;
        run.steps.get(&step.name).filter(|progress| progress.state == StepState::Succeeded)
    };
    let data = "what the stores take";
    if let Some(flip) = of(|kind| matches!(kind, StepKind::FlipSwitch { .. })) {
        let (asked, done) = (flip.started_at.unwrap_or(started), flip.finished_at.unwrap_or(verified));
        cutter.cut("data", asked, 0, data);
        cutter.cut("commit", done, 0, "a majority's round trip");
        // Whoever turns the switch first has the stores afterwards.
        let moves_after = run.plan.steps.iter().filter_map(|step| {
            let is_data = !matches!(step.kind, StepKind::FlipSwitch { .. } | StepKind::VerifyAnswer);
            run.steps.get(&step.name).filter(|progress| is_data && progress.started_at >= Some(done))?.finished_at
        });
        if let Some(last) = moves_after.max() {
            cutter.cut("data", last.min(verified), 0, data);
        }
    }
    let (floor_ms, words) = match floors.map(|floors| floors.switch) {
        Some(SwitchTransport::Http) => {
            let polls = u64::from(SWITCH_FAILURE_THRESHOLD - 1);
            let words = format!(
                "Route 53's checkers ask every {CHECK_INTERVAL_S} s, {SWITCH_FAILURE_THRESHOLD} answer decides"
            );
            (polls * u64::from(CHECK_INTERVAL_S) * 1_000, words)
        }
        _ => (0, "Route 53".to_owned()),
    };
    cutter.cut("answer", verified, floor_ms, words);
    cutter.parts()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::tests::fixture::Bench;

    fn at(run: &mut Run, step: &str, from: u64, to: u64) {
        let progress = run.steps.entry(step.into()).or_default();
        progress.state = StepState::Succeeded;
        progress.started_at = Some(Timestamp(from));
        progress.finished_at = Some(Timestamp(to));
    }

    fn moved() -> (Run, ServiceSpec) {
        let (fleet, id) = Bench::running();
        let mut run = fleet.run(&id).clone();
        run.breach_at = Some(Timestamp(10_000));
        run.decided_at = Timestamp(45_000);
        run.announce_until = Some(Timestamp(75_000));
        run.started_at = Some(Timestamp(75_200));
        run.verified_at = Some(Timestamp(95_000));
        let flip = run.plan.steps.iter().find(|step| matches!(step.kind, StepKind::FlipSwitch { .. }));
        let flip = flip.unwrap().name.to_string();
        at(&mut run, &flip, 84_000, 84_100);
        (run, (*fleet.shop().spec).clone())
    }

    fn brief(parts: &[Part]) -> Vec<(&str, u64, u64)> {
        parts.iter().map(|part| (part.name, part.ms, part.floor_ms)).collect()
    }

    #[test]
    fn the_parts_add_up_to_the_whole_each_with_its_floor() {
        let (run, spec) = moved();
        let parts = parts(&run, Some(&spec));
        let breach_ms = spec.health.breach_after_ms;
        let expected = [
            ("detect", 35_000, breach_ms),
            ("decide", 30_200, 30_000),
            ("data", 8_800, 0),
            ("commit", 100, 0),
            ("answer", 10_900, 0),
        ];
        assert_eq!(brief(&parts), expected);
        assert_eq!(Some(parts.iter().map(|part| part.ms).sum()), run.rto_ms());
        assert!(parts[4].floor.contains("every 10 s"), "{parts:?}");
    }

    #[test]
    fn what_moves_after_the_switch_is_data_too() {
        let (mut run, spec) = moved();
        let promote = run.plan.steps.iter().find(|step| step.is_point_of_no_return()).unwrap().name.to_string();
        at(&mut run, &promote, 84_200, 90_000);
        let parts = parts(&run, Some(&spec));
        assert_eq!(brief(&parts)[2..], [("data", 8_800 + 5_900, 0), ("commit", 100, 0), ("answer", 5_000, 0)]);
    }

    #[test]
    fn a_persons_run_begins_with_its_decision_and_one_that_moved_nothing_has_no_parts() {
        let (mut run, spec) = moved();
        run.breach_at = None;
        run.announce_until = None;
        let parts_of = |run: &Run| parts(run, Some(&spec));
        assert_eq!(brief(&parts_of(&run))[0], ("decide", 30_200, 0));
        // A clock that is behind does not make the whole longer.
        run.started_at = Some(Timestamp(44_000));
        let whole: u64 = parts_of(&run).iter().map(|part| part.ms).sum();
        assert_eq!(whole, 50_000);
        run.verified_at = None;
        assert!(parts_of(&run).is_empty());
    }
}
