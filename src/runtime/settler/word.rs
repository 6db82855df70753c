//! What the settler last made of each service: the only thing of it that others see.

use std::collections::BTreeMap;

use failoverd_domain::ids::ServiceName;
use failoverd_domain::time::Timestamp;
use tokio::sync::watch;

use super::Unsettled;

/// The word on each service. Empty while another daemon leads.
pub type Words = BTreeMap<ServiceName, Word>;

/// What the settler last made of a service, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// When it was said.
    pub at: Timestamp,
    /// What was found.
    pub standing: Standing,
}

/// How what stands in AWS compares with what is agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Everything is as it should be.
    Clean,
    /// This is being written now.
    Writes(Vec<String>),
    /// Something takes its time, or could not be asked; it is looked at again by itself.
    Waits(String),
    /// A person must look.
    Stuck(String),
}

/// The settler's end of the channel.
pub(super) struct Speaker(watch::Sender<Words>);

impl Speaker {
    /// A speaker that has said nothing yet, and where it is heard.
    pub(super) fn new() -> (Self, watch::Receiver<Words>) {
        let (sender, heard) = watch::channel(Words::new());
        (Self(sender), heard)
    }

    /// Says something of a service.
    pub(super) fn say(&self, service: &ServiceName, at: Timestamp, standing: Standing) {
        self.0.send_modify(|words| {
            words.insert(service.clone(), Word { at, standing });
        });
    }

    /// How a round ended, in a word.
    pub(super) fn conclude(&self, service: &ServiceName, at: Timestamp, ended: &Result<(), Unsettled>) {
        let standing = match ended {
            Ok(()) => Standing::Clean,
            Err(Unsettled::Yield(reason)) => Standing::Waits(reason.clone()),
            Err(Unsettled::Call(error)) => Standing::Waits(error.to_string()),
            Err(Unsettled::Stuck(reason)) => Standing::Stuck(reason.clone()),
        };
        self.say(service, at, standing);
    }

    /// Keeps the words on services for which `stays` holds.
    pub(super) fn retain(&self, stays: impl Fn(&ServiceName) -> bool) {
        self.0.send_if_modified(|words| {
            let before = words.len();
            words.retain(|service, _| stays(service));
            words.len() != before
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_word_on_a_service_is_the_one_that_is_heard() {
        let (speaker, heard) = Speaker::new();
        let (shop, cart) = (ServiceName::new("shop"), ServiceName::new("cart"));
        speaker.say(&shop, Timestamp(1), Standing::Writes(vec!["create check x".into()]));
        speaker.conclude(&shop, Timestamp(2), &Err(Unsettled::Stuck("api.example.com is foreign".into())));
        speaker.conclude(&cart, Timestamp(3), &Ok(()));
        let stuck = Word { at: Timestamp(2), standing: Standing::Stuck("api.example.com is foreign".into()) };
        assert_eq!(heard.borrow()[&shop], stuck);
        assert_eq!(heard.borrow()[&cart].standing, Standing::Clean);
        speaker.retain(|service| service == &cart);
        assert_eq!(heard.borrow().keys().collect::<Vec<_>>(), [&cart]);
        speaker.retain(|_| false);
        assert!(heard.borrow().is_empty(), "who does not lead says nothing");
    }
}
