//! `failoverd recover --force-new-fleet --from FILE`: every disk is lost; shows what a backup knows, what the histories know
//! since, and, with the fleet's name given, begins a new generation from both.

use std::fmt::Write as _;
use std::path::Path;

use failoverd_domain::fleet::{
    Actor, Backup, EventHead, FleetState, LARGEST_BACKUP, POSITIONS_PASSED_OVER, Restoring, Since,
};
use failoverd_domain::format::Format;
use failoverd_domain::ids::{FleetId, Generation, LogIndex, Region};
use failoverd_domain::time::Timestamp;
use failoverd_domain::traffic::fence_name;
use tokio::runtime::Runtime;

use super::arguments::Recover;
use super::recover::{confirmed, who};
use super::refusal::Refusal;
use crate::adapters::clock::SystemClock;
use crate::adapters::postgres::{DatabaseUrl, Limits, PostgresHistory};
use crate::config::Config;
use crate::consensus::{Disk, RecoverError, restore};
use crate::ports::{Clock, History, HistoryError, holds};

/// Read at once.
const PAGE: u32 = 1_000;

/// Shows what there is, and does it when told to by the fleet's name.
///
/// # Errors
/// [`Refusal::Backup`], [`Refusal::Recover`], [`Refusal::Unconfirmed`].
pub fn recover(asked: &Recover, from: &Path, config: &Config, file: &Path, runtime: &Runtime) -> Result<(), Refusal> {
    let disk = Disk::Directory(config.data_dir.clone());
    if disk.exists().map_err(RecoverError::from)? {
        return Err(RecoverError::Occupied { place: disk.place() }.into());
    }
    let backup = read(from, config).map_err(|cause| Refusal::Backup { file: from.to_owned(), cause })?;
    let histories = histories(asked, config)?;
    let (since, behind) =
        runtime.block_on(read_since(&histories, &config.fleet, &backup.state.head)).map_err(|cause| {
            Refusal::Backup { file: from.to_owned(), cause: format!("it cannot be restored from yet: {cause}") }
        })?;
    let now = SystemClock.now();
    let known = backup.about.generation.max(since.generation);
    let generation = asked.generation.map_or_else(|| next_generation(known, now), Generation);
    if generation <= known {
        let why = format!("nothing was changed: generation {known} was there already, --generation must be above it");
        return Err(Refusal::Unconfirmed(why));
    }
    let shown = Shown {
        from,
        backup: &backup,
        since: &since,
        behind: &behind,
        generation,
        now,
        has_history: !histories.is_empty(),
    };
    super::say(&shown.words())?;
    let mut typed = format!("failoverd recover --force-new-fleet --from {}", from.display());
    // Not as it was typed: it may hold a password.
    typed.extend(asked.history.iter().map(|_| " --history URL"));
    if asked.without_history {
        typed += " --without-history";
    }
    let typed = format!("{typed} --generation {generation} --config {} --yes {}", file.display(), config.fleet);
    confirmed(asked, config, &typed)?;
    let mut state = backup.state;
    let index = LogIndex(state.applied.max(since.index).0.saturating_add(POSITIONS_PASSED_OVER));
    let actor = Actor::Operator(who());
    let taken_at = backup.about.taken_at;
    let how = Restoring { index, at: now, actor: &actor, on: &config.region, generation, taken_at, since: &since };
    let events = state.restore(&how);
    restore(&disk, &config.region, Format::NEWEST, backup.about.term, &state, &events)?;
    super::say(&done(&state, generation))
}

fn read(from: &Path, config: &Config) -> Result<Backup, String> {
    let length = std::fs::metadata(from).map_err(|error| format!("it cannot be read: {error}"))?.len();
    if length > LARGEST_BACKUP as u64 {
        return Err(format!("it has {length} bytes, and a backup has {LARGEST_BACKUP} at most"));
    }
    let bytes = std::fs::read(from).map_err(|error| format!("it cannot be read: {error}"))?;
    let backup = Backup::read(&bytes, Format::NEWEST).map_err(|error| error.to_string())?;
    if backup.about.fleet != config.fleet {
        return Err(format!("it is of fleet {}, and this daemon is of {}", backup.about.fleet, config.fleet));
    }
    if !backup.state.members.contains_key(&config.region) {
        let members: Vec<&str> = backup.state.members.keys().map(Region::as_str).collect();
        return Err(format!(
            "{} was none of its daemons ({}): recover on one of those",
            config.region,
            members.join(", ")
        ));
    }
    Ok(backup)
}

/// The histories to be read, unless the person says that there is none.
fn histories(asked: &Recover, config: &Config) -> Result<Vec<DatabaseUrl>, Refusal> {
    if asked.without_history {
        return Ok(Vec::new());
    }
    let own = config.database.iter().map(|database| database.url.as_str());
    let urls = own.chain(asked.history.iter().map(String::as_str));
    // The parser's words may repeat the URL, and with it the password.
    let wrong = |_| Refusal::Unconfirmed("--history: write postgres://user@host:port/database".to_owned());
    let urls: Vec<DatabaseUrl> = urls.map(|url| url.parse().map_err(wrong)).collect::<Result<_, _>>()?;
    if urls.is_empty() {
        return Err(Refusal::Unconfirmed(
            "nothing was changed: the histories in Postgres know what was agreed after the backup, and this daemon has none: \
             name those of the other Regions (--history URL, several times), or, if all of them are lost, --without-history"
                .to_owned(),
        ));
    }
    Ok(urls)
}

/// A history, by where it is.
struct Found {
    place: String,
    history: PostgresHistory,
    newest: EventHead,
}

/// What the histories know since the backup; all must tell the same. Those that end before it are named.
async fn read_since(urls: &[DatabaseUrl], fleet: &FleetId, head: &EventHead) -> Result<(Since, Vec<String>), String> {
    let mut found = Vec::new();
    for url in urls {
        let place = format!("{url:?}");
        let history = PostgresHistory::connect(url.clone(), fleet.clone(), Limits::default());
        let newest = history.head().await.map_err(|error| unread(&place, &error))?;
        found.push(Found { place, history, newest });
    }
    let Some(longest) = found.iter().max_by_key(|found| found.newest.seq) else {
        return Ok((Since::after(head), Vec::new()));
    };
    let since = follow(&longest.history, head).await.map_err(|why| format!("{}: {why}", longest.place))?;
    for other in &found {
        let same = holds(&longest.history, &other.newest).await.map_err(|error| unread(&longest.place, &error))?;
        if !same {
            let (one, two, seq) = (&other.place, &longest.place, other.newest.seq);
            return Err(format!("{one} and {two} tell different histories (event {seq}): set the wrong one aside"));
        }
    }
    let ends_before = found.iter().filter(|found| found.newest.seq < head.seq);
    let behind = ends_before.map(|found| format!("{} ends at event {}", found.place, found.newest.seq)).collect();
    Ok((since, behind))
}

fn unread(place: &str, error: &HistoryError) -> String {
    format!(
        "{place}: {error}; make it reachable. If it is lost, say --without-history, and see to it that no daemon finds it \
         again as it is (docs/runbook.md, \"Every disk is lost\")"
    )
}

/// Everything after `head`, which must be in it as it is, unless it ends before.
async fn follow(history: &PostgresHistory, head: &EventHead) -> Result<Since, String> {
    let mut since = Since::after(head);
    if history.head().await.map_err(|error| error.to_string())?.seq < head.seq {
        return Ok(since);
    }
    if !holds(history, head).await.map_err(|error| error.to_string())? {
        return Err(format!(
            "event {} is another there than in the backup: it is not the history of this fleet",
            head.seq
        ));
    }
    loop {
        let page = history.range(since.head.seq + 1, PAGE).await.map_err(|error| error.to_string())?;
        if page.is_empty() {
            return Ok(since);
        }
        page.iter().try_for_each(|event| since.take(event))?;
    }
}

/// Above what was known, and above whatever a recovery that nobody here knows of may have begun: those count in ones, and
/// restored fleets by the minute in which they are.
fn next_generation(known: Generation, now: Timestamp) -> Generation {
    let minute = now.to_utc().format("%Y%m%d%H%M").to_string();
    Generation(minute.parse().unwrap_or(0).max(known.0.saturating_add(1)))
}

/// What a person must know before they say yes.
struct Shown<'a> {
    from: &'a Path,
    backup: &'a Backup,
    since: &'a Since,
    behind: &'a [String],
    generation: Generation,
    now: Timestamp,
    has_history: bool,
}

impl Shown<'_> {
    fn words(&self) -> String {
        let Self { from, backup, since, behind, generation, .. } = self;
        let (about, state) = (&backup.about, &backup.state);
        let mut text = format!(
            "{}: a backup of fleet {}, made by {} {} at {} ({} ago)\n\
             generation {}, entry {}, event {}, term {}, format {}\n",
            from.display(),
            about.fleet,
            about.taken_by,
            about.version,
            about.taken_at,
            age(self.now.since(about.taken_at)),
            about.generation,
            about.index,
            about.seq,
            about.term,
            about.format,
        );
        for (name, service) in &state.services {
            let serving: Vec<&str> = state.serving(service).into_iter().map(Region::as_str).collect();
            let _ = writeln!(text, "service {name}: epoch {}, {} served then", service.epoch, serving.join(", "));
        }
        for run in state.runs.values().filter(|run| !run.state.is_closed()) {
            let _ = writeln!(text, "run {} was open then: it will be closed, and nothing is put back", run.id);
        }
        text +=
            "\nLost is whatever was agreed after it: runs, switches that were turned, manifests, drills, consents.\n";
        match (self.has_history, since.events) {
            (false, _) => text += "No history was read: nobody can say what that is.\n",
            (true, 0) => text += "The histories know of nothing after it.\n",
            (true, events) => {
                let _ = writeln!(
                    text,
                    "The histories know {events} events after it; this is what a person must know of them:"
                );
            }
        }
        for (at, message) in &since.shown {
            let _ = writeln!(text, "  {at}  {message}");
        }
        for place in *behind {
            let _ = writeln!(
                text,
                "{place}, before the backup. What lies between comes from another Region's history; if none has it, let an empty \
                 database begin there: insert into history_anchor (seq, hash, removed) values ({seq}, '{hash}', {seq})",
                seq = state.head.seq,
                hash = state.head.hash,
            );
        }
        let _ = write!(
            text,
            "\nA new fleet of one will begin in generation {generation}. No daemon of the old one may be left: this is for when \
             every disk is lost. Of one that still runs the zones refuse records, as theirs is an older generation, but nothing \
             stops what it does to databases. The zones say which generation wrote last; it must be below {generation}, else say a \
             higher one (--generation):\n",
        );
        for service in state.services.values() {
            let fence = fence_name(&service.spec.name, &service.spec.traffic.hosted_zone);
            let _ = writeln!(text, "  dig +short TXT {fence}");
        }
        text +=
            "Route 53 is told nothing, and nothing is written, of any service until a person has said where it is.\n";
        text
    }
}

fn age(ms: u64) -> String {
    let minutes = ms / 60_000;
    match (minutes / (24 * 60), minutes / 60) {
        (0, 0) => format!("{minutes} min"),
        (0, hours) => format!("{hours} h {} min", minutes % 60),
        (days, hours) => format!("{days} d {} h", hours % 24),
    }
}

fn done(state: &FleetState, generation: Generation) -> String {
    let mut text = format!(
        "done: this disk is of generation {generation}. Start the daemon as usual; it leads alone. The others start on empty \
         directories with --join {generation} and are let in by `failoverctl fleet replace REGION`.\n"
    );
    for name in state.unconfirmed() {
        let _ = writeln!(text, "say where {name} is: failoverctl fleet confirm {name} --serves REGION");
    }
    text += "Automatic action is paused until `failoverctl resume`.\n";
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_above_any_that_was_counted_up_to() {
        let now = Timestamp(1_795_449_607_123);
        assert_eq!(next_generation(Generation(3), now), Generation(202_611_231_600));
        assert_eq!(next_generation(Generation(202_611_231_600), now), Generation(202_611_231_601));
    }

    #[test]
    fn ages_are_said_in_two_units_at_most() {
        let said: Vec<String> = [90_000, 2 * 3_600_000 + 60_000, 50 * 3_600_000].into_iter().map(age).collect();
        assert_eq!(said, ["1 min", "2 h 1 min", "2 d 2 h"]);
    }
}
