//! Crash everywhere: each kind of step fails, for now or for good, is lost, is done again and is interrupted at every write of the journal and
//! every call of AWS around it. Whatever happens at one moment, the run ends where it was to end, and nothing is done twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use failoverd::sim::fleet::{EU_WEST, SERVICE, SPREAD, Shop, SimulatedFleet, Spread, US_EAST, US_WEST, region};
use failoverd::sim::tripwire::{Mishap, Moment, Side};
use failoverd::sim::world::Draws;
use failoverd_domain::fleet::{Command, Run, RunState, StepState};
use failoverd_domain::ids::{Region, ServiceName};
use failoverd_domain::plan::{Mode, Movement, StepKind};
use failoverd_domain::sabotage::{Sabotage, commit};

use crate::outages::{seconds, steady};
use crate::simulation::{on_all_cores, virtually};

/// How a run comes about in which steps are put to the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Story {
    /// A person moves the service in order.
    Switchover,
    /// Its Region's endpoints fail, and it is moved by force.
    Failover,
    /// A person takes a Region out of a service that both serve, and its database with it.
    Evacuation,
    /// That Region comes back.
    Restore,
}

const STORIES: [Story; 4] = [Story::Switchover, Story::Failover, Story::Evacuation, Story::Restore];
/// Those in which the writer moves.
const MOVES: [Story; 3] = [Story::Switchover, Story::Failover, Story::Evacuation];

/// Which stories try a kind of step, under a number of its own. **A new kind has no story until it has one here.**
const fn tried(kind: &StepKind) -> (usize, &'static [Story]) {
    match kind {
        StepKind::Fence { .. } => (0, &MOVES),
        StepKind::Drain { .. } => (1, &[Story::Switchover]),
        StepKind::Promote { .. } => (2, &MOVES),
        StepKind::CheckData { .. } => (3, &STORIES),
        StepKind::FlipSwitch { .. } => (4, &STORIES),
        StepKind::VerifyAnswer => (5, &STORIES),
    }
}

/// One more than the greatest number above.
const KINDS: usize = 6;

impl Story {
    const fn service(self) -> &'static str {
        match self {
            Self::Switchover | Self::Failover => SERVICE,
            Self::Evacuation | Self::Restore => SPREAD,
        }
    }

    fn shop(self) -> Shop {
        let spread = Spread { routing: "weighted", failover: "manual", restore_pause_s: 1, database: true };
        Shop {
            fence: true,
            unfenced: "proceed",
            loss_over_budget: "proceed",
            more_stores: self == Self::Switchover,
            instance: matches!(self, Self::Switchover | Self::Failover),
            spread: (self.service() == SPREAD).then_some(spread),
            ..Shop::default()
        }
    }

    /// What has happened before.
    async fn prepare(self, fleet: &mut SimulatedFleet) {
        if self == Self::Restore {
            Self::Evacuation.begin(fleet).await;
            assert!(fleet.until(seconds(300), |fleet| self.is_over(fleet)).await);
        }
        fleet.run_for(seconds(5)).await;
    }

    async fn begin(self, fleet: &mut SimulatedFleet) {
        let (us, eu) = (region(US_EAST), region(EU_WEST));
        let search = |movement| {
            let at = fleet.leader().unwrap();
            fleet.decision(&at, SPREAD, movement, &us, Some(Mode::Graceful)).unwrap()
        };
        match self {
            Self::Switchover => {
                fleet.failover(&eu, Some(Mode::Graceful)).await.unwrap();
            }
            Self::Failover => fleet.aws.set_endpoint(&us, &SERVICE.into(), false),
            Self::Evacuation => {
                fleet.ask(search(Movement::Evacuate)).await.unwrap();
            }
            Self::Restore => {
                fleet.ask(search(Movement::Restore)).await.unwrap();
            }
        }
    }

    fn run(self, fleet: &SimulatedFleet) -> Option<Run> {
        let of = ServiceName::from(self.service());
        let runs = fleet.state();
        runs.runs.values().filter(|run| run.service == of).max_by_key(|run| run.decided_index).cloned()
    }

    fn is_over(self, fleet: &SimulatedFleet) -> bool {
        let settled = fleet
            .state()
            .services
            .get(self.service())
            .is_some_and(|service| fleet.state().phase(service) == failoverd_domain::fleet::ServicePhase::Steady);
        settled && self.run(fleet).is_some_and(|run| run.state.is_closed())
    }

    /// What a person says to a run that waits because a step failed for good.
    fn answer(self, fleet: &SimulatedFleet) -> Option<Command> {
        let run = self.run(fleet).filter(|run| run.state == RunState::Paused)?;
        let failed = run.steps.iter().find(|(_, progress)| progress.state == StepState::Failed && !progress.retryable);
        failed.map(|(step, _)| Command::Retry { run: run.id.clone(), step: step.clone() })
    }
}

/// What came of a story.
struct Told {
    moments: Vec<Moment>,
    run: Run,
    effects: Vec<(String, Region, String)>,
    faults: Vec<String>,
}

/// Plays it; the one who dies at the moment given comes back at once, or after another had time to lead.
async fn play(story: Story, trap: Option<(usize, Mishap)>) -> Told {
    let mut fleet = steady(7, story.shop()).await;
    // Not the daemon of the Region that is left.
    assert!(fleet.make_leader(&region(US_WEST)).await);
    story.prepare(&mut fleet).await;
    let before = fleet.aws.effects().len();
    fleet.tripwire.set(trap);
    story.begin(&mut fleet).await;
    let ended = |fleet: &SimulatedFleet| {
        fleet.tripwire.dead().is_some() || story.is_over(fleet) || story.answer(fleet).is_some()
    };
    let mut in_time = fleet.until_exactly(seconds(300), ended).await;
    let mut faults = Vec::new();
    if let Some(answer) = story.answer(&fleet) {
        if trap.is_none_or(|(_, mishap)| mishap != Mishap::Denied) {
            faults.push(format!("nothing was denied, and yet it waits: {answer:?}"));
        }
        fleet.ask(answer).await.unwrap();
        in_time = fleet.until(seconds(300), |fleet| story.is_over(fleet)).await;
    }
    if let Some(dead) = fleet.tripwire.dead() {
        fleet.crash(&dead).await;
        fleet.tripwire.bury();
        let soon = trap.is_some_and(|(number, _)| number % 2 == 0);
        fleet.run_for(if soon { Duration::from_millis(500) } else { seconds(20) }).await;
        fleet.start(&dead).await;
        in_time = fleet.until(seconds(300), |fleet| story.is_over(fleet)).await;
    }
    let moments = fleet.tripwire.passed();
    if !in_time {
        faults.push(format!("the run does not end by itself: {:?}", story.run(&fleet).map(|run| run.state)));
    }
    let run = story.run(&fleet).expect("a run");
    fleet.aws.set_endpoint(&region(US_EAST), &SERVICE.into(), true);
    if story != Story::Evacuation {
        fleet.come_to_rest(&mut Draws::new(1)).await;
    }
    faults.extend(fleet.judge.violations());
    let writer = if story.service() == SPREAD { fleet.writer_of("search-global") } else { fleet.writer() };
    let instance = fleet.aws.with(|world| world.instance(&region(EU_WEST), "legacy-euw1"));
    if instance.is_some_and(|instance| !instance.is_writer()) {
        faults.push("the instance of eu-west-1 does not write".to_owned());
    }
    if run.state != RunState::Succeeded || writer != Some(region(EU_WEST)) {
        faults.push(format!("run {} is {}, {writer:?} writes", run.id, run.state.word()));
    }
    let effects = fleet.aws.effects().into_iter().skip(before).filter(|effect| effect.changed);
    let effects = effects.map(|effect| (effect.operation.to_owned(), effect.region, effect.arguments)).collect();
    if !faults.is_empty() {
        faults.push(fleet.judge.log().join("\n"));
    }
    Told { moments, run, effects, faults }
}

/// What must not happen twice in a run: moves of a writer, and stopping it.
fn doubled(effects: &[(String, Region, String)]) -> Vec<String> {
    let mut seen = BTreeMap::new();
    for effect in effects.iter().filter(|(operation, ..)| operation != "ChangeResourceRecordSets") {
        *seen.entry(effect).or_insert(0) += 1;
    }
    seen.into_iter()
        .filter(|(_, times)| *times > 1)
        .map(|(effect, times)| format!("{times} times: {effect:?}"))
        .collect()
}

/// The trial, on trial: a step that acts before its intent is agreed, and one that takes silence for success.
#[test]
fn what_is_broken_on_purpose_is_found_at_some_moment() {
    for what in [Sabotage::ActBeforeJournal, Sabotage::IgnoreUnknown] {
        let _broken = commit(what);
        let moments = virtually(7, play(Story::Failover, None)).moments;
        let tried = moments.iter().enumerate().filter(|(_, moment)| moment.what.contains("FailoverGlobalCluster"));
        let found = tried.map(|(number, moment)| (moment.clone(), number)).find(|(_, number)| {
            let told = virtually(7, play(Story::Failover, Some((*number, Mishap::Lost))));
            !told.faults.is_empty() || !doubled(&told.effects).is_empty()
        });
        assert!(found.is_some(), "{what:?} is not found among {moments:?}");
    }
}

#[test]
fn whatever_goes_wrong_at_any_moment_the_run_ends_where_it_was_to_end() {
    let mut trials = Vec::new();
    let mut met: BTreeMap<usize, BTreeSet<Story>> = BTreeMap::new();
    for story in STORIES {
        let told = virtually(7, play(story, None));
        assert!(told.faults.is_empty(), "{story:?}: {:#?}", told.faults);
        for step in &told.run.plan.steps {
            let (number, stories) = tried(&step.kind);
            assert!(stories.contains(&story), "{story:?} has a {} that it is not to have", step.kind.word());
            let intent = format!("intent {}", step.name);
            assert!(
                told.moments.iter().any(|moment| moment.what == intent),
                "{intent} is not passed: {:?}",
                told.moments
            );
            met.entry(number).or_default().insert(story);
        }
        for (number, moment) in told.moments.iter().enumerate() {
            let mishaps: &[Mishap] = match moment.side {
                Side::Before if moment.what.starts_with("call ") => {
                    &[Mishap::Death, Mishap::Lost, Mishap::Refused, Mishap::Denied]
                }
                Side::Before => &[Mishap::Death, Mishap::Lost, Mishap::Refused],
                Side::After => &[Mishap::Death, Mishap::Lost],
            };
            trials.extend(mishaps.iter().map(|mishap| (story, number, *mishap, moment.clone())));
        }
    }
    assert!(met.keys().copied().eq(0..KINDS), "not every kind of step is tried: {met:?}");

    let failures = on_all_cores(&trials, |(story, number, mishap, moment)| {
        let told = virtually(7, play(*story, Some((*number, *mishap))));
        let mut faults = told.faults;
        faults.extend(doubled(&told.effects));
        if told.moments.get(*number) != Some(moment) {
            faults.push("the moment did not come again".to_owned());
        }
        let what = format!("{story:?}, {mishap:?} {:?} {} at {}", moment.side, moment.what, moment.at);
        (!faults.is_empty()).then(|| format!("{what}:\n{}", faults.join("\n")))
    });
    let failures: Vec<String> = failures.into_iter().flatten().collect();
    println!("{} trials", trials.len());
    assert!(failures.is_empty(), "{} of {} trials failed:\n{}", failures.len(), trials.len(), failures.join("\n\n"));
}
