//! Answers to the other daemons' messages. Nothing that arrives may make this daemon panic.

use std::sync::atomic::Ordering;

use super::handle::Consensus;
use super::hearing::refusal_of_a_leader;
use super::message::{Answer, Envelope, HandleError, Message, Reply, VERSION};
use super::sense::{self, Known};
use super::store::check_entry;
use super::types::NodeId;
use failoverd_domain::format::{TooNew, at_the_head_of, newest_in};
use failoverd_domain::ids::{Generation, LogIndex, Region};
use openraft::error::RaftError;
use openraft::raft::VoteResponse;
use openraft::storage::RaftLogStorage;
use serde::Deserialize;
use serde_json::{Value, json};

/// The part of a message that every version has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Consensus {
    /// Answers a consensus message of another daemon.
    ///
    /// # Errors
    /// The bytes are no message of this fleet, or consensus has stopped here.
    pub async fn handle_raft(&self, bytes: &[u8]) -> Result<Vec<u8>, HandleError> {
        self.handle_raft_of(bytes, |_| true).await
    }

    /// The same for a message of somebody of whom is known for which Regions it speaks.
    ///
    /// # Errors
    /// As there, and when the message says that it is from a Region for which its sender does not speak.
    pub async fn handle_raft_of(
        &self,
        bytes: &[u8],
        speaks_for: impl Fn(&Region) -> bool + Send,
    ) -> Result<Vec<u8>, HandleError> {
        match self.open(bytes) {
            Ok(envelope) => self.hear(envelope, speaks_for).await,
            Err(error) => {
                self.tell_of(&error);
                // Who leads is heard all the same: whoever is too old for its fleet is not to stand against its leader.
                if let (HandleError::TooNew(_), Some(envelope)) = (&error, sign_of_life(bytes))
                    && self.check_address(&envelope).is_ok()
                    && let Err(error) = self.hear(envelope, speaks_for).await
                {
                    tracing::debug!(%error, "what is too new is of nobody that is heard");
                }
                Err(error)
            }
        }
    }

    async fn hear(
        &self,
        envelope: Envelope,
        speaks_for: impl Fn(&Region) -> bool + Send,
    ) -> Result<Vec<u8>, HandleError> {
        if !speaks_for(&envelope.from) {
            let why = format!("it says that it is from {}, for which its sender does not speak", envelope.from);
            return Err(HandleError::Stranger(why));
        }
        let inner = &self.inner;
        if envelope.generation < inner.me.generation {
            return self.supersede(&envelope);
        }
        if let Some(at) = self.dismissed(&envelope).await {
            tracing::warn!(peer = %envelope.from, "a daemon of a Region that was removed asks: it is told to stop");
            return self.say(Reply::AnotherDisk, None, Some(at));
        }
        if matches!(envelope.message, Message::ReadPosition) && self.is_gone(&envelope.from) {
            // It asks that before it stands; only once it does, it can be told.
            return self.say(Reply::ReadPosition(None), None, None);
        }
        self.check_sense(&envelope)?;
        inner.hearing.note(&envelope.from);
        let recognised = inner.acquaintances.recognise(&envelope.from, envelope.disk);
        let reply = if recognised.map_err(|error| HandleError::Stopped(error.in_full()))? {
            self.answer(envelope.message).await?
        } else {
            Reply::AnotherDisk
        };
        self.say(reply, None, None)
    }

    fn say(
        &self,
        reply: Reply,
        superseded: Option<Generation>,
        dismissed: Option<LogIndex>,
    ) -> Result<Vec<u8>, HandleError> {
        let answer = Answer { disk: self.inner.disk, superseded, dismissed, reply };
        serde_json::to_vec(&answer).map_err(|error| HandleError::Nonsense(error.to_string()))
    }

    /// Whoever was left behind in an older generation is told so, and nothing it says is heard.
    fn supersede(&self, envelope: &Envelope) -> Result<Vec<u8>, HandleError> {
        let (from, me) = (&envelope.from, &self.inner.me);
        if from == &me.region || !self.is_member(from) {
            return Err(HandleError::Stranger(format!("{from} is no other member of this fleet")));
        }
        tracing::warn!(peer = %from, generation = %envelope.generation, "a daemon of an older generation asks: it is told to stop");
        self.say(Reply::AnotherDisk, Some(me.generation), None)
    }

    /// The entry that removed the sender's Region, where it comes with the disk of then; or with any, where it stands for
    /// election without belonging here: whoever waits to be added, or is being filled, does not stand. Until its vote is
    /// taken, the others may need it to agree, and it is heard. One with a longer log than ours may have come back without our
    /// knowledge: whoever is gone is never ahead of a log without it.
    async fn dismissed(&self, envelope: &Envelope) -> Option<LogIndex> {
        let (state, from) = (self.inner.state.borrow().clone(), &envelope.from);
        let gone = state.gone.get(from)?;
        let stands = match &envelope.message {
            Message::Vote(request) => {
                request.last_log_id <= self.inner.log.clone().get_log_state().await.ok()?.last_log_id
            }
            _ => false,
        };
        let has_node = self.has_node(from);
        let belongs = state.members.contains_key(from) || has_node;
        let another = self.inner.acquaintances.disk_of(from).is_some_and(|disk| disk != envelope.disk);
        let is_out = gone.disks.contains(&envelope.disk) && (!has_node || another);
        (is_out || (stands && !belongs)).then_some(gone.at)
    }

    /// Its Region was removed, and it is nobody that anybody here knows.
    fn is_gone(&self, region: &Region) -> bool {
        self.inner.state.borrow().gone.contains_key(region) && !self.is_member(region)
    }

    fn has_node(&self, region: &Region) -> bool {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow();
        metrics.membership_config.membership().nodes().any(|(_, member)| member == region)
    }

    fn is_member(&self, region: &Region) -> bool {
        self.inner.config.members.contains_key(region) || self.has_node(region)
    }

    fn open(&self, bytes: &[u8]) -> Result<Envelope, HandleError> {
        let nonsense = |error: serde_json::Error| HandleError::Nonsense(error.to_string());
        let Versioned { version } = serde_json::from_slice(bytes).map_err(nonsense)?;
        if version != VERSION {
            return Err(HandleError::Version { found: version });
        }
        let envelope: Envelope = serde_json::from_slice(bytes).map_err(|error| self.unreadable(bytes, &error))?;
        self.check_address(&envelope)?;
        self.check_format(&envelope)?;
        Ok(envelope)
    }

    fn check_address(&self, envelope: &Envelope) -> Result<(), HandleError> {
        let me = &self.inner.me;
        if envelope.fleet != me.fleet || envelope.generation > me.generation || envelope.to != me.region {
            return Err(HandleError::Stranger(format!(
                "from {} of fleet {} generation {} for {}, but this is {me}",
                envelope.from, envelope.fleet, envelope.generation, envelope.to
            )));
        }
        Ok(())
    }

    /// Who is no member is a stranger; a member that talks nonsense is not listened to, and counted.
    fn check_sense(&self, envelope: &Envelope) -> Result<(), HandleError> {
        let inner = &self.inner;
        let from = &envelope.from;
        if !self.is_member(from) || from == &inner.me.region {
            return Err(HandleError::Stranger(format!("{from} is no other member of this fleet")));
        }
        let known = {
            let metrics = inner.raft.metrics();
            let metrics = metrics.borrow();
            Known { term: metrics.current_term, last_log: metrics.last_log_index, applied: metrics.last_applied }
        };
        let sense = sense::check(envelope, &known);
        sense.map_err(|why| {
            if let Some(times) = inner.nonsense.refuse(from.as_str()) {
                tracing::error!(peer = %from, why, times, "a peer talks nonsense: it is not listened to");
            }
            HandleError::Nonsense(why)
        })
    }

    /// What a newer build has written is not taken.
    fn check_format(&self, envelope: &Envelope) -> Result<(), TooNew> {
        let reads = self.inner.config.reads;
        match &envelope.message {
            Message::Append(request) => request.entries.iter().try_for_each(|entry| check_entry(entry, reads)),
            Message::InstallSnapshot(request) if request.offset == 0 => {
                TooNew::check(at_the_head_of(&request.data), reads, || "a snapshot".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn unreadable(&self, bytes: &[u8], error: &serde_json::Error) -> HandleError {
        match TooNew::check(newest_in(bytes), self.inner.config.reads, || "a log entry".to_owned()) {
            Ok(()) => HandleError::Nonsense(error.to_string()),
            Err(newer) => newer.into(),
        }
    }

    /// A daemon that cannot read what the others write stands still: a person must know, once.
    fn tell_of(&self, error: &HandleError) {
        if let HandleError::TooNew(newer) = error
            && self.inner.too_new.fetch_max(newer.found.0, Ordering::Relaxed) < newer.found.0
        {
            tracing::error!(%error, "this daemon is too old for its fleet: it takes nothing in until it is upgraded");
        }
    }

    /// What one that stands hears from a leader that a majority acknowledges, unless it hands leadership over.
    fn refuses_to_give_way(&self) -> Option<VoteResponse<NodeId>> {
        let inner = &self.inner;
        if inner.stepping_aside.load(Ordering::Relaxed) {
            return None;
        }
        refusal_of_a_leader(&inner.raft.metrics().borrow(), inner.config.election_timeout_min)
    }

    async fn answer(&self, message: Message) -> Result<Reply, HandleError> {
        let raft = &self.inner.raft;
        Ok(match message {
            Message::Append(request) => Reply::Append(raft.append_entries(request).await.map_err(stopped)?),
            Message::Vote(request) => Reply::Vote(match self.refuses_to_give_way() {
                Some(refusal) => refusal,
                None => raft.vote(request).await.map_err(stopped)?,
            }),
            Message::InstallSnapshot(request) => match raft.install_snapshot(request).await {
                Err(RaftError::Fatal(error)) => return Err(HandleError::Stopped(error.to_string())),
                installed => Reply::InstallSnapshot(installed),
            },
            Message::CallElection => {
                let called = raft.trigger().elect().await;
                called.map_err(|error| HandleError::Stopped(error.to_string()))?;
                Reply::CallElection
            }
            Message::ReadPosition => Reply::ReadPosition(super::leadership::read_position(raft).await),
            Message::Reach(region) => Reply::Reach(self.reach(&region).await),
            Message::Introduce => Reply::Introduce(self.introduction()),
        })
    }
}

/// Out of a message with entries or a snapshot, whatever is in them: that its sender leads.
fn sign_of_life(bytes: &[u8]) -> Option<Envelope> {
    let mut envelope: Value = serde_json::from_slice(bytes).ok()?;
    let message = envelope.get_mut("message")?;
    let sent = message.get("append").or_else(|| message.get("install_snapshot"))?;
    *message =
        json!({ "append": { "vote": sent.get("vote")?, "prev_log_id": null, "entries": [], "leader_commit": null } });
    serde_json::from_value(envelope).ok()
}

fn stopped(error: RaftError<NodeId>) -> HandleError {
    HandleError::Stopped(error.to_string())
}
