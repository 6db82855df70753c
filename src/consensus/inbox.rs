//! Answers to the other daemons' messages. Nothing that arrives may make this daemon panic.

use super::handle::Consensus;
use super::message::{Answer, Envelope, HandleError, Message, Reply, VERSION};
use super::types::NodeId;
use failoverd_domain::ids::Region;
use openraft::error::RaftError;
use serde::Deserialize;

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
        let envelope = self.open(bytes)?;
        if !speaks_for(&envelope.from) {
            let why = format!("it says that it is from {}, for which its sender does not speak", envelope.from);
            return Err(HandleError::Stranger(why));
        }
        let inner = &self.inner;
        let recognised = inner.acquaintances.recognise(&envelope.from, envelope.disk);
        let reply = if recognised.map_err(|error| HandleError::Stopped(error.in_full()))? {
            self.answer(envelope.message).await?
        } else {
            Reply::AnotherDisk
        };
        serde_json::to_vec(&Answer { disk: inner.disk, reply })
            .map_err(|error| HandleError::Nonsense(error.to_string()))
    }

    fn open(&self, bytes: &[u8]) -> Result<Envelope, HandleError> {
        let nonsense = |error: serde_json::Error| HandleError::Nonsense(error.to_string());
        let Versioned { version } = serde_json::from_slice(bytes).map_err(nonsense)?;
        if version != VERSION {
            return Err(HandleError::Version { found: version });
        }
        let envelope: Envelope = serde_json::from_slice(bytes).map_err(nonsense)?;
        let me = &self.inner.me;
        if envelope.fleet != me.fleet || envelope.generation != me.generation || envelope.to != me.region {
            return Err(HandleError::Stranger(format!(
                "from {} of fleet {} generation {} for {}, but this is {me}",
                envelope.from, envelope.fleet, envelope.generation, envelope.to
            )));
        }
        Ok(envelope)
    }

    async fn answer(&self, message: Message) -> Result<Reply, HandleError> {
        let raft = &self.inner.raft;
        Ok(match message {
            Message::Append(request) => Reply::Append(raft.append_entries(request).await.map_err(stopped)?),
            Message::Vote(request) => Reply::Vote(raft.vote(request).await.map_err(stopped)?),
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
        })
    }
}

fn stopped(error: RaftError<NodeId>) -> HandleError {
    HandleError::Stopped(error.to_string())
}
