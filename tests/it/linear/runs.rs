//! What clients may see of runs: everything that is answered has a revision, and by revision there is one story.

use std::collections::BTreeMap;

use failoverd::api::proto::RunState;

use super::clients::{Act, Record, SeenRun};

/// How far a run has come; it never goes back.
fn stage(state: RunState) -> u8 {
    match state {
        RunState::Unspecified | RunState::AwaitingApproval => 0,
        RunState::Announced => 1,
        RunState::Running | RunState::Paused => 2,
        RunState::Succeeded | RunState::Failed | RunState::Aborted => 3,
    }
}

/// The runs that an answer tells of.
fn runs(record: &Record) -> &[SeenRun] {
    match &record.act {
        Act::SawService { runs, .. } => runs,
        Act::Move { run } => run.as_slice(),
        _ => &[],
    }
}

/// How many runs clients began.
pub fn begun(records: &[Record]) -> u64 {
    records.iter().filter(|record| record.returned.is_some() && matches!(record.act, Act::Move { .. })).count() as u64
}

/// The first pair of answers that no one story has room for.
pub fn offence(records: &[Record]) -> Option<String> {
    let answered: Vec<&Record> = records.iter().filter(|record| record.returned.is_some()).collect();
    let pairs = answered.iter().flat_map(|one| answered.iter().map(move |two| (*one, *two)));
    let wrong = |(one, two): (&Record, &Record)| contradiction(one, two).map(|why| (why, one.clone(), two.clone()));
    let in_one =
        answered.iter().find_map(|record| alone(record).map(|why| (why, (*record).clone(), (*record).clone())));
    let (why, one, two) = in_one.or_else(|| pairs.clone().find_map(wrong)).or_else(|| twice(&answered))?;
    Some(format!("{why}:\n{one:?}\n{two:?}"))
}

/// What one answer may not say.
fn alone(record: &Record) -> Option<&'static str> {
    let Act::SawService { epoch, runs, .. } = &record.act else { return None };
    if runs.iter().filter(|run| stage(run.state) < 3).count() > 1 {
        return Some("two runs of one service are open");
    }
    runs.iter().any(|run| run.epoch.is_some_and(|of_run| of_run > *epoch)).then_some("a run is ahead of its service")
}

/// What two answers may not say, `one` being invoked, or numbered, before `two` where that matters.
fn contradiction(one: &Record, two: &Record) -> Option<&'static str> {
    let (mine, theirs) = (one.revision?, two.revision?);
    if one.returned? < two.invoked {
        match (one.is_read(), two.is_read()) {
            (false, false) if mine >= theirs => return Some("changes are not numbered in the order of time"),
            (true, false) if mine >= theirs => return Some("an answer knew a change before it was asked for"),
            (_, true) if one.session == two.session && mine > theirs => return Some("answers went backwards"),
            _ => {}
        }
    }
    let (Act::SawService { epoch, first, .. }, Act::SawService { epoch: later, first: then, .. }) =
        (&one.act, &two.act)
    else {
        return missing(one, two);
    };
    if mine == theirs && (epoch, first, runs(one)) != (later, then, runs(two)) {
        return Some("one revision, two answers");
    }
    if mine < theirs && epoch > later {
        return Some("an epoch went back");
    }
    let moved_on = |run: &SeenRun| {
        let seen = runs(two).iter().find(|seen| seen.id == run.id)?;
        let back = stage(seen.state) < stage(run.state);
        let undone = stage(run.state) == 3 && seen.state != run.state;
        let renamed = run.epoch.is_some() && seen.epoch != run.epoch;
        (back || undone || renamed).then_some("a run went back, or changed what it was")
    };
    (mine < theirs).then(|| runs(one).iter().find_map(moved_on)).flatten()
}

/// As many runs with a verdict stay among the answers; older ones are in the history alone.
const CLOSED_ARE_TOLD: usize = 3;

/// A run that began is in every later answer, until newer ones have taken its place.
fn missing(one: &Record, two: &Record) -> Option<&'static str> {
    let (Act::Move { run: Some(run) }, Act::SawService { runs, .. }) = (&one.act, &two.act) else { return None };
    let closed = runs.iter().filter(|seen| stage(seen.state) == 3).count();
    let lost = one.revision <= two.revision && closed < CLOSED_ARE_TOLD && !runs.iter().any(|seen| seen.id == run.id);
    lost.then_some("a run that began is gone")
}

/// No two runs have an epoch in common, and none is begun twice.
fn twice(answered: &[&Record]) -> Option<(&'static str, Record, Record)> {
    let mut of_epoch: BTreeMap<u64, (&str, &Record)> = BTreeMap::new();
    let mut begun: BTreeMap<&str, &Record> = BTreeMap::new();
    for record in answered {
        for run in runs(record) {
            let Some(epoch) = run.epoch else { continue };
            let (first, seen) = of_epoch.entry(epoch).or_insert((&run.id, record));
            if *first != run.id {
                return Some(("two runs have one epoch", (*seen).clone(), (*record).clone()));
            }
        }
        let Act::Move { run: Some(run) } = &record.act else { continue };
        if let Some(before) = begun.insert(&run.id, record) {
            return Some(("one run was begun twice", before.clone(), (*record).clone()));
        }
    }
    None
}

mod tests {
    use super::*;

    fn saw(session: usize, at: usize, revision: u64, epoch: u64, runs: Vec<SeenRun>) -> Record {
        let act = Act::SawService { first: true, epoch, runs };
        Record { session, invoked: at, returned: Some(at + 1), revision: Some(revision), act }
    }

    fn run(id: &str, state: RunState, epoch: u64) -> SeenRun {
        SeenRun { id: id.to_owned(), state, epoch: (epoch > 0).then_some(epoch) }
    }

    fn why(records: &[Record]) -> String {
        offence(records).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn one_story_is_told_as_such_and_every_other_is_found() {
        use RunState::{Aborted, Announced, Running, Succeeded};
        let one = |state, epoch| vec![run("a", state, epoch)];
        let whole = [
            saw(1, 1, 5, 1, one(Announced, 0)),
            saw(2, 3, 4, 1, Vec::new()),
            saw(1, 5, 8, 2, one(Running, 2)),
            saw(1, 7, 9, 2, one(Succeeded, 2)),
        ];
        assert_eq!(offence(&whole), None);
        let with = |record| why(&[&whole[..], &[record]].concat());
        assert_eq!(with(saw(1, 9, 8, 2, one(Running, 2))), "answers went backwards:");
        assert_eq!(with(saw(3, 9, 8, 2, one(Announced, 0))), "one revision, two answers:");
        assert_eq!(with(saw(3, 9, 12, 1, one(Succeeded, 1))), "an epoch went back:");
        assert_eq!(with(saw(3, 9, 12, 2, one(Aborted, 2))), "a run went back, or changed what it was:");
        assert_eq!(with(saw(3, 9, 12, 2, vec![run("b", Running, 2)])), "two runs have one epoch:");
        assert_eq!(with(saw(3, 9, 12, 2, vec![run("b", Running, 3)])), "a run is ahead of its service:");
        let open = vec![run("b", Announced, 0), run("c", Announced, 0)];
        assert_eq!(with(saw(3, 9, 12, 2, open)), "two runs of one service are open:");
        let begins = Record { act: Act::Move { run: Some(run("d", Announced, 0)) }, ..saw(3, 9, 12, 2, Vec::new()) };
        assert_eq!(with(begins.clone()), "");
        let early = Record { revision: Some(3), ..begins.clone() };
        assert_eq!(with(early), "an answer knew a change before it was asked for:");
        assert_eq!(why(&[begins.clone(), saw(4, 20, 13, 2, Vec::new())]), "a run that began is gone:");
        let again = Record { invoked: 20, returned: Some(21), revision: Some(14), ..begins.clone() };
        assert_eq!(why(&[begins.clone(), again]), "one run was begun twice:");
        let before = Record { invoked: 20, returned: Some(21), revision: Some(11), act: Act::Pause(true), session: 9 };
        assert_eq!(why(&[begins, before]), "changes are not numbered in the order of time:");
    }
}
