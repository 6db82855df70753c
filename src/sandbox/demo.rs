//! The demo: a Region dies, the fleet notices, agrees and moves, and the history shows it. Everything said is read
//! from where a user would read it: DNS answers over real DNS, events from the surviving Region's database.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::data::loss::newest_acknowledged;
use failoverd_domain::fleet::{
    EventKind, FleetState, ForecastOutcome, HistoryEvent, Part, Run, RunState, ServicePhase, what_if_region_vanishes,
};
use failoverd_domain::health::Matrix;
use failoverd_domain::ids::{Region, RunId, ServiceName};
use failoverd_domain::invariant::{
    AnswerWatch, EffectSeen, answer_follows_entries, effects_have_intents, history_is_whole,
};
use failoverd_domain::route53::RecordType;
use failoverd_domain::service::{Store, StoreKind};
use tokio::time::{Instant, sleep};

use super::fleet::{CHECKOUT, REGIONS, Sandbox, SandboxError};
use super::stopwatch::{Sight, Stopwatch};
use crate::adapters::dns::AuthoritativeDns;
use crate::api::proto::control_service_client::ControlServiceClient;
use crate::api::proto::{ApplyRequest, ManifestFile};
use crate::daemon::Daemon;
use crate::ports::Dns;

const SERVICE: &str = "checkout";
const BROKEN: &str = "us-east-1";
const SURVIVOR: &str = "eu-west-1";
/// Between two looks at the history.
const LOOK: Duration = Duration::from_millis(150);
/// Between two looks at what is measured, once something is.
const GLANCE: Duration = Duration::from_millis(10);
/// For the fleet to form and the service to be steady, and for it to move and settle.
const PATIENCE: Duration = Duration::from_secs(90);

/// Who tells what is going on.
pub trait Narrator: Send {
    /// A new part of the story.
    fn heading(&mut self, text: &str);
    /// Something that happened, with the seconds since the Region broke where it has.
    fn event(&mut self, since_break: Option<Duration>, text: &str);
}

/// What the demo found.
#[derive(Clone, Debug)]
pub struct Ending {
    /// The run that moved the service.
    pub run: RunId,
    /// What was checked: what, whether it held, and what was seen.
    pub checks: Vec<(String, bool, String)>,
    /// Where the time went, from the first failed probe to the moved answer.
    pub parts: Vec<Part>,
}

impl Ending {
    /// Whether everything held.
    #[must_use]
    pub fn held(&self) -> bool {
        self.checks.iter().all(|(_, held, _)| *held)
    }
}

/// One play.
pub struct Demo<'a> {
    sandbox: &'a mut Sandbox,
    narrator: &'a mut dyn Narrator,
    dns: AuthoritativeDns,
    names: Vec<(String, RecordType)>,
    broken_at: Option<Instant>,
    next_event: u64,
    answers: Vec<Vec<String>>,
    watch: AnswerWatch,
    strange_answers: Vec<String>,
    stopwatch: Stopwatch,
}

impl<'a> Demo<'a> {
    /// A play in this sandbox.
    ///
    /// # Errors
    /// The name server cannot be asked.
    pub fn new(sandbox: &'a mut Sandbox, narrator: &'a mut dyn Narrator) -> Result<Self, SandboxError> {
        let dns = AuthoritativeDns::new(&[sandbox.settings().addresses.dns()]).map_err(SandboxError::Machine)?;
        Ok(Self {
            sandbox,
            narrator,
            dns,
            names: Vec::new(),
            broken_at: None,
            next_event: 1,
            answers: Vec::new(),
            watch: AnswerWatch::default(),
            strange_answers: Vec::new(),
            stopwatch: Stopwatch::default(),
        })
    }

    /// Plays it to its end.
    ///
    /// # Errors
    /// Something did not happen in time; the message says what.
    pub async fn play(mut self) -> Result<Ending, SandboxError> {
        self.narrator.heading("A fleet of three: us-east-1 and eu-west-1 host services, us-west-2 is the witness");
        self.until("the fleet to form", |state| {
            state.members.values().all(|member| member.switch.is_some()) && !state.members.is_empty()
        })
        .await?;
        self.say_leader();
        self.narrator.heading("failoverctl apply -f examples/checkout.yaml");
        self.apply().await?;
        self.until("checkout to be steady", |state| phase(state) == Some(ServicePhase::Steady)).await?;
        self.until_reports_are_in().await?;
        self.say_where("before");
        self.narrator.heading("us-east-1 vanishes: daemon, endpoints, database, Regional APIs");
        self.sandbox.break_region(BROKEN).await?;
        self.broken_at = Some(Instant::now());
        self.until("checkout to have moved", |state| {
            newest_run(state).is_some_and(|run| run.state == RunState::Succeeded)
        })
        .await?;
        self.say_where("after");
        self.narrator
            .heading("Settlement: silence must mean reality, so that losing every daemon would change nothing");
        self.until("checkout to be settled", |state| phase(state) == Some(ServicePhase::Steady)).await?;
        self.until_history_is_complete().await?;
        self.verdict().await
    }

    fn daemon(&self) -> Result<&Daemon, SandboxError> {
        let survivor = self.sandbox.daemon(&Region::from(SURVIVOR));
        survivor.ok_or_else(|| SandboxError::Machine(format!("the daemon of {SURVIVOR} is gone")))
    }

    fn state(&self) -> Result<Arc<FleetState>, SandboxError> {
        Ok(self.daemon()?.handles().agreement.state().borrow().clone())
    }

    fn say(&mut self, text: &str) {
        self.narrator.event(self.broken_at.map(|at| at.elapsed()), text);
    }

    /// Tells events and answers as they come until `done`.
    async fn until(&mut self, what: &str, done: impl Fn(&FleetState) -> bool) -> Result<(), SandboxError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.tell_events().await?;
            self.look_at_answer().await?;
            if done(&*self.state()?) {
                self.tell_events().await?;
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(SandboxError::Machine(format!("gave up waiting for {what}")));
            }
            self.glance().await?;
        }
    }

    /// The pause between two looks, in which the stopwatch runs once the Region is broken.
    async fn glance(&mut self) -> Result<(), SandboxError> {
        let until = Instant::now() + LOOK;
        if self.broken_at.is_none() {
            sleep(LOOK).await;
        }
        while Instant::now() < until {
            self.measure()?;
            self.look_at_answer().await?;
            sleep(GLANCE).await;
        }
        Ok(())
    }

    fn measure(&mut self) -> Result<(), SandboxError> {
        let snapshot = self.daemon()?.handles().snapshot();
        let sight = Sight { now: snapshot.now, state: &snapshot.state, matrix: &snapshot.matrix, view: &snapshot.view };
        self.stopwatch.look(&sight, self.sandbox.aws(), &SERVICE.into(), &BROKEN.into());
        Ok(())
    }

    /// The fleet can only bound a loss once canaries have been read on the other side.
    async fn until_reports_are_in(&mut self) -> Result<(), SandboxError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let snapshot = self.daemon()?.handles().snapshot();
            let forecast = what_if_region_vanishes(
                snapshot.now,
                &snapshot.state,
                &snapshot.matrix,
                &snapshot.view,
                &Region::from(BROKEN),
            );
            let reason = forecast.first().map(|forecast| (forecast.outcome, forecast.reason.clone()));
            match reason {
                Some((ForecastOutcome::FailsOver, reason)) if canaries_are_known(&snapshot.state, &snapshot.matrix) => {
                    self.say(&format!("if {BROKEN} vanished now, checkout would fail over by itself: {reason}"));
                    return Ok(());
                }
                Some((_, reason)) if Instant::now() >= deadline => {
                    return Err(SandboxError::Machine(format!("the fleet is not armed: {reason}")));
                }
                _ => sleep(LOOK).await,
            }
        }
    }

    async fn apply(&mut self) -> Result<(), SandboxError> {
        let broken = |error: &dyn std::fmt::Display| SandboxError::Machine(format!("apply: {error}"));
        let address = format!("http://{}", self.sandbox.settings().addresses.grpc(1));
        let mut client = ControlServiceClient::connect(address).await.map_err(|error| broken(&error))?;
        let file = ManifestFile { name: "examples/checkout.yaml".to_owned(), content: CHECKOUT.as_bytes().to_vec() };
        let request = ApplyRequest { files: vec![file], prune: false, dry_run: false, confirm: Vec::new() };
        client.apply(request).await.map_err(|error| broken(&error.message()))?;
        let state = self.state()?;
        if let Some(service) = state.services.get(SERVICE) {
            self.names =
                service.spec.traffic.records.iter().map(|record| (record.name.clone(), record.record_type)).collect();
        }
        Ok(())
    }

    /// Events as the surviving Region's database has them.
    async fn tell_events(&mut self) -> Result<(), SandboxError> {
        let history = self.daemon()?.handles().history.clone();
        let Ok(events) = history.range(self.next_event, 200).await else { return Ok(()) };
        for event in events {
            self.next_event = event.seq + 1;
            if self.broken_at.is_some() {
                self.stopwatch.hear(&event);
            }
            self.say(&format!("[{}] {}", event.kind.word(), event.message));
            if event.kind == EventKind::Decided {
                self.tell_decision(&event);
            }
        }
        Ok(())
    }

    fn tell_decision(&mut self, event: &HistoryEvent) {
        let text = |value: &serde_json::Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        for guard in event.data["guards"].as_array().into_iter().flatten() {
            let mark = if guard["ok"].as_bool() == Some(true) { "yes" } else { "no " };
            self.say(&format!("    guard {:<14} {mark}  {}", text(guard, "guard"), text(guard, "reason")));
        }
        for loss in event.data["loss"].as_array().into_iter().flatten() {
            let bound = loss["bound"].as_u64().map_or("unknown".to_owned(), |ms| format!("at most {ms} ms"));
            self.say(&format!("    loss  {:<14} {bound} ({})", text(loss, "store"), text(loss, "reason")));
        }
    }

    async fn look_at_answer(&mut self) -> Result<(), SandboxError> {
        let Some((name, record_type)) = self.names.first().cloned() else { return Ok(()) };
        let Ok(answer) = self.dns.ask(&name, record_type).await.map(|heard| heard.values) else { return Ok(()) };
        if answer.is_empty() {
            return Ok(());
        }
        if self.answers.last() != Some(&answer) {
            if self.broken_at.is_some() {
                self.stopwatch.answer_moved(self.daemon()?.handles().snapshot().now);
            }
            self.say(&format!("[dns] {name} {record_type} now answers {}", answer.join(" ")));
            self.answers.push(answer.clone());
        }
        let state = self.state()?;
        if let Some(region) = region_of(&state, &answer)
            && let Some(strange) = answer_follows_entries(&mut self.watch, &state, &ServiceName::from(SERVICE), &region)
        {
            self.strange_answers.push(strange.to_string());
        }
        Ok(())
    }

    fn say_leader(&mut self) {
        let leader =
            self.daemon().ok().and_then(|daemon| daemon.handles().agreement.leadership().borrow().leader.clone());
        self.say(&format!("leader: {}", leader.map_or("none".to_owned(), |leader| leader.to_string())));
    }

    fn say_where(&mut self, when: &str) {
        let writers: Vec<String> =
            self.writers().into_iter().map(|(cluster, writer)| format!("{cluster} writes in {writer}")).collect();
        let answer = self.answers.last().map(|answer| answer.join(" ")).unwrap_or_default();
        let name = self.names.first().map(|(name, _)| name.clone()).unwrap_or_default();
        self.say(&format!("{when}: {name} -> {answer}; {}", writers.join(", ")));
    }

    fn writers(&self) -> Vec<(String, String)> {
        let Ok(state) = self.state() else { return Vec::new() };
        let Some(service) = state.services.get(SERVICE) else { return Vec::new() };
        let clusters: BTreeSet<&str> = service
            .spec
            .data
            .iter()
            .filter_map(|store| match &store.kind {
                StoreKind::Aurora { global_cluster, .. } => Some(global_cluster.as_str()),
                _ => None,
            })
            .collect();
        self.sandbox.aws().with(|world| {
            let all = world.clusters().filter(|cluster| clusters.contains(cluster.id.as_str()));
            all.map(|cluster| (cluster.id.clone(), cluster.writer().map_or("nobody".to_owned(), ToString::to_string)))
                .collect()
        })
    }

    async fn until_history_is_complete(&mut self) -> Result<(), SandboxError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.tell_events().await?;
            if self.next_event > self.state()?.head.seq {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(SandboxError::Machine("gave up waiting for the history".to_owned()));
            }
            sleep(LOOK).await;
        }
    }

    async fn verdict(self) -> Result<Ending, SandboxError> {
        let state = self.state()?;
        let run = newest_run(&state).ok_or_else(|| SandboxError::Machine("there was no run".to_owned()))?;
        let spec = state.services.get(SERVICE).map(|service| service.spec.clone());
        let parts =
            spec.and_then(|spec| self.stopwatch.parts(&spec, &run.plan, self.sandbox.aws())).unwrap_or_default();
        let run = run.id.clone();
        let history = self.daemon()?.handles().history.clone();
        let read = history.range(1, 100_000).await.map_err(|error| SandboxError::Machine(error.to_string()))?;
        let mut checks = Vec::new();
        let moved = self.answers.len() == 2
            && self
                .answers
                .last()
                .and_then(|answer| region_of(&state, answer))
                .is_some_and(|region| region.as_str() == SURVIVOR);
        let answers: Vec<String> = self.answers.iter().map(|answer| answer.join(" ")).collect();
        checks.push(("the DNS answer moved, once".to_owned(), moved, answers.join(" -> ")));
        let writers = self.writers();
        let database = !writers.is_empty() && writers.iter().all(|(_, writer)| writer == SURVIVOR);
        let seen: Vec<String> = writers.iter().map(|(cluster, writer)| format!("{cluster}: {writer}")).collect();
        checks.push(("the database moved".to_owned(), database, seen.join(", ")));
        let whole = history_is_whole(&read, &state.head);
        let seen =
            whole.map_or_else(|| format!("{} events, chained by hash", read.len()), |violation| violation.to_string());
        checks.push((
            "the history is complete (I8)".to_owned(),
            read.len() as u64 == state.head.seq && seen.contains("chained"),
            seen,
        ));
        let broken: Vec<&str> = read
            .iter()
            .filter(|event| event.kind == EventKind::Violation)
            .map(|event| event.message.as_str())
            .collect();
        let every = format!("judged at each of {} entries by every daemon", state.applied);
        checks.push((
            "I1 to I8 held".to_owned(),
            broken.is_empty(),
            if broken.is_empty() { every } else { broken.join("; ") },
        ));
        let effects = self.effects();
        let unasked = effects_have_intents(&effects, &read);
        let seen = unasked
            .as_ref()
            .map_or_else(|| format!("{} effects, each with its intent", effects.len()), ToString::to_string);
        checks.push(("nothing was done without intent (I7)".to_owned(), unasked.is_none(), seen));
        let strange = self.strange_answers.join("; ");
        let seen = if strange.is_empty() {
            "every answer was one that the log had agreed on".to_owned()
        } else {
            strange.clone()
        };
        checks.push(("answers followed the log (I9)".to_owned(), strange.is_empty(), seen));
        let (whole, ms) = self.stopwatch.adds_up(&parts);
        let seen = format!("{} parts, {ms} ms from the first failed probe to the moved answer", parts.len());
        checks.push((
            "the time is accounted for, nothing below its floor".to_owned(),
            whole && !parts.is_empty(),
            seen,
        ));
        Ok(Ending { run, checks, parts })
    }

    /// What the simulated AWS saw done, by the kind of step that does such a thing.
    fn effects(&self) -> Vec<EffectSeen> {
        let kind = |operation: &str| match operation {
            "FailoverGlobalCluster" | "SwitchoverGlobalCluster" => Some("promote"),
            "ChangeResourceRecordSets" | "CreateHealthCheck" | "UpdateHealthCheck" => Some("settle"),
            _ => None,
        };
        let seen = self.sandbox.aws().effects().into_iter().filter_map(|effect| {
            let step_word = kind(effect.operation)?;
            Some(EffectSeen { at: effect.at, operation: effect.operation.to_owned(), step_word })
        });
        seen.collect()
    }
}

fn phase(state: &FleetState) -> Option<ServicePhase> {
    state.services.get(SERVICE).map(|service| state.phase(service))
}

/// Whether every store's canary has been heard of, so that its loss can be bounded by more than CloudWatch's lag.
fn canaries_are_known(state: &FleetState, matrix: &Matrix) -> bool {
    let Some(service) = state.services.get(SERVICE) else { return false };
    let known =
        |store: &Store| newest_acknowledged(matrix, &service.spec.name, &store.name, &service.primary).is_some();
    service.spec.data.iter().filter(|store| store.canary.is_some()).all(known)
}

fn newest_run(state: &FleetState) -> Option<&Run> {
    state.runs.values().filter(|run| run.service.as_str() == SERVICE).max_by_key(|run| run.decided_index)
}

/// Which Region's values an answer is.
fn region_of(state: &FleetState, answer: &[String]) -> Option<Region> {
    let record = state.services.get(SERVICE)?.spec.traffic.records.first()?;
    let is_answer = |target: &failoverd_domain::service::Target| match &target.endpoint {
        failoverd_domain::service::Endpoint::Values(values) => values.iter().all(|value| answer.contains(value)),
        failoverd_domain::service::Endpoint::Alias(_) => false,
    };
    REGIONS.into_iter().map(Region::from).find(|region| record.targets.get(region).is_some_and(is_answer))
}
