//! How much is logged: set by configuration, and for a while by whoever looks for something.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing_subscriber::EnvFilter;

/// openraft reports every unreachable peer as an error, several lines each; what matters of it is logged here.
const QUIET: &str = "openraft";
/// What is logged where nobody says anything.
pub(super) const DEFAULT: &str = "info";

/// A text that is no filter.
#[derive(Debug, thiserror::Error)]
#[error("{filter:?} is not a log filter ({cause}); write a level like `debug`, or `info,failoverd=debug`")]
pub struct LogFilterError {
    filter: String,
    cause: String,
}

/// Puts a filter in force.
type Apply = Arc<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>;

/// A filter that is in force for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Override {
    filter: String,
    until: Instant,
}

/// How much a process logs.
#[derive(Clone)]
pub struct LogControl {
    apply: Apply,
    base: String,
    overridden: Arc<watch::Sender<Option<Override>>>,
}

/// What is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logs {
    /// The filter.
    pub filter: String,
    /// What it goes back to, and in how long; absent where it is that.
    pub back: Option<(String, Duration)>,
}

impl LogControl {
    /// Control over a filter that `apply` puts in force; `base` is in force now and again after each override.
    #[must_use]
    pub fn new(base: String, apply: impl Fn(EnvFilter) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self { apply: Arc::new(apply), base, overridden: Arc::new(watch::channel(None).0) }
    }

    /// Where several daemons share a process, and in tests: nothing is changed.
    #[must_use]
    pub fn fixed() -> Self {
        Self::new(DEFAULT.to_owned(), |_| Err("several daemons share this process's log".to_owned()))
    }

    /// A filter out of what people write. openraft stays quiet unless it is named.
    ///
    /// # Errors
    /// [`LogFilterError`].
    pub fn parse(filter: &str) -> Result<EnvFilter, LogFilterError> {
        let whole = if filter.contains(QUIET) { filter.to_owned() } else { format!("{filter},{QUIET}=off") };
        EnvFilter::try_new(whole)
            .map_err(|error| LogFilterError { filter: filter.to_owned(), cause: error.to_string() })
    }

    /// Logs by another filter for a while.
    ///
    /// # Errors
    /// In words: no filter, or one that cannot be put in force here.
    pub fn set(&self, filter: &str, lasts: Duration) -> Result<Logs, String> {
        let parsed = Self::parse(filter).map_err(|error| error.to_string())?;
        (self.apply)(parsed)?;
        tracing::warn!(filter, for_s = lasts.as_secs(), "the log filter was changed");
        self.overridden.send_replace(Some(Override { filter: filter.to_owned(), until: Instant::now() + lasts }));
        Ok(self.get())
    }

    /// Goes back to what is configured.
    ///
    /// # Errors
    /// In words: it cannot be changed here.
    pub fn reset(&self) -> Result<Logs, String> {
        let base = Self::parse(&self.base).map_err(|error| error.to_string())?;
        (self.apply)(base)?;
        if self.overridden.send_replace(None).is_some() {
            tracing::warn!(filter = self.base, "the log filter is the configured one again");
        }
        Ok(self.get())
    }

    /// What is in force.
    #[must_use]
    pub fn get(&self) -> Logs {
        match &*self.overridden.borrow() {
            None => Logs { filter: self.base.clone(), back: None },
            Some(set) => {
                let left = set.until.saturating_duration_since(Instant::now());
                Logs { filter: set.filter.clone(), back: Some((self.base.clone(), left)) }
            }
        }
    }

    /// Whether another filter than the configured one is in force.
    #[must_use]
    pub fn is_overridden(&self) -> bool {
        self.overridden.borrow().is_some()
    }

    /// Ends overrides when their time is over. Runs for ever.
    pub async fn keep(self) {
        let mut changed = self.overridden.subscribe();
        loop {
            let until = changed.borrow_and_update().as_ref().map(|set| set.until);
            let over = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = changed.changed() => {}
                () = over => if let Err(error) = self.reset() {
                    tracing::error!(error, "the log filter could not be put back");
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn control() -> (LogControl, Arc<Mutex<Vec<String>>>) {
        let applied = Arc::new(Mutex::new(Vec::new()));
        let seen = applied.clone();
        let control = LogControl::new("info".to_owned(), move |filter| {
            seen.lock().unwrap().push(filter.to_string());
            Ok(())
        });
        (control, applied)
    }

    #[tokio::test(start_paused = true)]
    async fn an_override_ends_by_itself() {
        let (control, applied) = control();
        control.set("debug", Duration::from_secs(600)).unwrap();
        assert!(control.is_overridden());
        let keeping = tokio::time::timeout(Duration::from_secs(599), control.clone().keep());
        assert!(keeping.await.is_err() && control.is_overridden());
        let _ = tokio::time::timeout(Duration::from_secs(2), control.clone().keep()).await;
        assert_eq!(control.get(), Logs { filter: "info".to_owned(), back: None });
        assert_eq!(*applied.lock().unwrap(), ["openraft=off,debug", "openraft=off,info"]);
    }

    #[tokio::test]
    async fn a_filter_that_is_none_changes_nothing() {
        let (control, applied) = control();
        let refused = control.set("failoverd=loud", Duration::from_secs(1)).unwrap_err();
        assert!(refused.contains("is not a log filter"), "{refused}");
        assert!(!control.is_overridden() && applied.lock().unwrap().is_empty());
    }

    #[test]
    fn openraft_stays_quiet_unless_it_is_named() {
        assert_eq!(LogControl::parse("warn").unwrap().to_string(), "openraft=off,warn");
        assert_eq!(LogControl::parse("info,openraft=debug").unwrap().to_string(), "openraft=debug,info");
    }
}
