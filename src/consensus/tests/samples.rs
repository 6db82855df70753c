//! Messages, answers and disks of every format that was ever written mean today what they meant then.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::fleet::{Applied, Entry, FleetState, HistoryEvent, Role};
use failoverd_domain::format::Format;
use failoverd_domain::health::Report;
use failoverd_domain::ids::Region;
use failoverd_domain::traffic::{LookUp, Sighting};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use super::fleet::{Fleet, Served, config, pause, simulate};
use crate::consensus::message::{Answer, Envelope, Message, Reply};
use crate::consensus::{Consensus, ConsensusConfig, Disk, FILE_NAME};
use crate::ports::{Agreement, ProposeError};
use crate::sim::bus::Endpoint;

#[path = "../../../tests/samples/keeper.rs"]
pub(crate) mod keeper;

use keeper::{Samples, assert_keeps, variant_of, variants};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples");
/// Whose disk it is.
const HOME: &str = "eu-west-1";

/// Messages with their answers.
type Heard = Arc<Mutex<Vec<(Vec<u8>, Vec<u8>)>>>;

/// Writes down what passes by.
struct Overheard {
    served: Served,
    heard: Heard,
}

#[async_trait]
impl Endpoint for Overheard {
    async fn raft(&self, message: Vec<u8>) -> Result<Vec<u8>, String> {
        let answer = self.served.raft(message.clone()).await?;
        self.heard.lock().unwrap().push((message, answer.clone()));
        Ok(answer)
    }

    async fn share(&self, report: Report) -> Result<(), String> {
        self.served.share(report).await
    }

    async fn events(&self, from_seq: u64, limit: u32) -> Result<Vec<HistoryEvent>, String> {
        self.served.events(from_seq, limit).await
    }

    async fn forward(&self, entry: Entry) -> Result<Applied, ProposeError> {
        self.served.forward(entry).await
    }

    async fn look_up(&self, asked: LookUp) -> Result<Sighting, String> {
        self.served.look_up(asked).await
    }
}

/// Messages of every kind with their answers, as daemons exchange them.
fn conversation() -> (Vec<String>, Vec<String>) {
    let heard = Heard::default();
    simulate(51, async {
        let mut fleet = Fleet::formed(51).await;
        let listen = |fleet: &Fleet| {
            for (region, consensus) in &fleet.running {
                let overheard = Overheard { served: Served(consensus.clone()), heard: heard.clone() };
                fleet.bus.attach(region.clone(), Arc::new(overheard));
            }
        };
        listen(&fleet);
        let leader = fleet.leader().await;
        let [first, second] = Fleet::others(&leader);
        fleet.commit(pause()).await;
        fleet.stop(&first).await;
        for _ in 0..60 {
            fleet.commit(pause()).await;
        }
        fleet.start(&first).await.unwrap();
        listen(&fleet);
        fleet.settle().await;
        fleet.running[&leader].step_aside(&second).await;
        fleet.settle().await;
        // Somebody comes with another disk than the one it was met with.
        let (message, _) = heard.lock().unwrap()[0].clone();
        let mut swapped: Value = serde_json::from_slice(&message).unwrap();
        swapped["disk"] = 7.into();
        let to = Region::from(swapped["to"].as_str().unwrap());
        let message = serde_json::to_vec(&swapped).unwrap();
        let answer = fleet.running[&to].handle_raft(&message).await.unwrap();
        heard.lock().unwrap().push((message, answer));
        // A Region is to be added.
        let (message, _) = heard.lock().unwrap()[0].clone();
        for asked in [json!({ "reach": "ap-south-1" }), json!("introduce")] {
            let mut said: Value = serde_json::from_slice(&message).unwrap();
            said["message"] = asked;
            let to = Region::from(said["to"].as_str().unwrap());
            let message = serde_json::to_vec(&said).unwrap();
            let answer = fleet.running[&to].handle_raft(&message).await.unwrap();
            heard.lock().unwrap().push((message, answer));
        }
    });
    let (mut messages, mut answers, mut kinds) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (message, answer) in heard.lock().unwrap().iter() {
        let (asked, answered): (Value, Value) =
            (serde_json::from_slice(message).unwrap(), serde_json::from_slice(answer).unwrap());
        let entries = asked["message"]["append"]["entries"].as_array().is_some_and(|entries| !entries.is_empty());
        if kinds.insert((variant_of(&asked["message"]), variant_of(&answered["reply"]), entries)) {
            messages.push(asked.to_string());
            answers.push(answered.to_string());
        }
    }
    (messages, answers)
}

fn reads_again<T: Serialize + DeserializeOwned>(text: &str) -> (T, Value) {
    let value: Value = serde_json::from_str(text).unwrap();
    let read: T = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_keeps(&value, &serde_json::to_value(&read).unwrap(), "message");
    (read, value)
}

#[test]
fn stored_messages_and_answers_say_what_they_said() {
    for samples in keeper::all(ROOT) {
        let messages = samples.kept_lines("messages.jsonl", || conversation().0);
        let answers = samples.kept_lines("answers.jsonl", || conversation().1);
        let mut kinds = (BTreeSet::new(), BTreeSet::new());
        let mut entries = 0;
        for text in &messages {
            let (envelope, value) = reads_again::<Envelope>(text);
            kinds.0.insert(variant_of(&value["message"]));
            if let Message::Append(request) = envelope.message {
                entries += request.entries.len();
            }
        }
        for text in &answers {
            kinds.1.insert(variant_of(&reads_again::<Answer>(text).1["reply"]));
        }
        assert!(entries > 0, "entries travel in messages");
        if samples.is_newest() {
            assert_eq!(kinds.0, variants::<Message>().into_iter().collect(), "a message without a sample");
            assert_eq!(kinds.1, variants::<Reply>().into_iter().collect(), "an answer without a sample");
        }
    }
}

fn alone() -> ConsensusConfig {
    ConsensusConfig { members: [(Region::from(HOME), Role::Member)].into(), ..config(HOME) }
}

async fn started(directory: &Path) -> Consensus {
    let disk = Disk::Directory(directory.to_owned());
    let peers = crate::sim::bus::Bus::new(1).peers(HOME.into());
    let consensus = Consensus::start(alone(), &disk, peers, &TaskTracker::new(), None).await.unwrap();
    let mut leadership = consensus.leadership();
    let leads = leadership.wait_for(|seen| seen.is_me && seen.caught_up);
    assert!(tokio::time::timeout(Duration::from_secs(60), leads).await.is_ok(), "it does not go on");
    consensus
}

/// What a daemon holds: its state, and the events that no history has confirmed.
async fn held(consensus: &Consensus) -> (FleetState, Vec<HistoryEvent>) {
    let state = consensus.state().borrow().clone();
    (FleetState::clone(&state), consensus.outbox().pending(0, 10_000).await)
}

/// The disk of a daemon that has applied a story, part of it before its newest snapshot.
fn disk_of(samples: &Samples) -> (Vec<u8>, FleetState, Vec<HistoryEvent>) {
    let entries = samples.lines_of("entries/game-day.jsonl");
    let directory = tempfile::tempdir().unwrap();
    let (state, events) = simulate(52, async {
        let consensus = started(directory.path()).await;
        for text in &entries {
            consensus.propose(serde_json::from_str(text).unwrap()).await.unwrap();
        }
        consensus.outbox().confirm(3).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let held = held(&consensus).await;
        consensus.shutdown().await;
        held
    });
    let bytes = std::fs::read(directory.path().join(FILE_NAME)).unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&bytes).unwrap();
    (packed.finish().unwrap(), state, events)
}

#[test]
fn a_stored_disk_goes_on_where_it_stood() {
    for samples in keeper::all(ROOT) {
        let made = std::cell::OnceCell::new();
        let made = || made.get_or_init(|| disk_of(&samples));
        let packed = samples.kept("disk/consensus.redb.gz", || made().0.clone());
        let stored = samples.kept("disk/state.json", || serde_json::to_vec(&made().1).unwrap());
        let events = samples
            .kept_lines("disk/events.jsonl", || made().2.iter().map(|it| serde_json::to_string(it).unwrap()).collect());

        let directory = tempfile::tempdir().unwrap();
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap();
        std::fs::write(directory.path().join(FILE_NAME), bytes).unwrap();
        simulate(53, async {
            let consensus = started(directory.path()).await;
            let (state, pending) = held(&consensus).await;
            let stored: FleetState = serde_json::from_slice(&stored).unwrap();
            assert!(state.applied > stored.applied, "it was elected anew, with an entry of its own");
            assert_eq!(FleetState { applied: stored.applied, ..state }, stored);
            let read: Vec<HistoryEvent> = events.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
            assert_eq!(pending, read, "what the history has not confirmed is still there");
            assert_eq!(pending.first().map(|event| event.seq), Some(4), "and what it has is not");
            assert!(consensus.propose(pause()).await.unwrap().result.is_ok(), "and it takes in more");
            consensus.shutdown().await;
        });
    }
}
