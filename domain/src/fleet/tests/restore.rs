//! A fleet goes on from a backup: what it does not know it neither says nor does.

use std::collections::BTreeSet;

use super::active_active::{ask, many, sound};
use super::drills::drill;
use super::fixture::*;
use crate::drill::DrillKind;
use crate::fleet::*;
use crate::format::Format;
use crate::ids::{Generation, LogIndex, Region};
use crate::plan::{Mode, Movement};
use crate::service::SwitchTransport;
use crate::time::Timestamp;
use crate::traffic::voices;

const GENERATION: Generation = Generation(202_611_231_600);

/// Everything is lost; what was agreed after `backup` is known to the history alone.
pub(super) fn restored(backup: &Bench, since: &Since) -> Bench {
    let mut bench = backup.clone();
    let (index, actor) = (LogIndex(bench.state.applied.0 + POSITIONS_PASSED_OVER), person());
    let (on, taken_at) = (Region::from(EU), bench.now);
    bench.now = bench.now.plus_ms(3_600_000);
    let how = Restoring { index, at: bench.now, actor: &actor, on: &on, generation: GENERATION, taken_at, since };
    let events = bench.state.restore(&how);
    bench.events.extend(events);
    bench
}

fn nothing_since(bench: &Bench) -> Since {
    Since::after(&bench.state.head)
}

pub(super) fn confirm(serving: &[&str], writers: &str) -> Command {
    let serving = serving.iter().map(|region| Region::from(*region)).collect();
    Command::Confirm { service: "shop".into(), serving, writers: writers.into() }
}

#[test]
fn nothing_is_said_or_done_of_a_service_until_a_person_has_said_where_it_is() {
    let mut spec = shop();
    spec.traffic.switch = SwitchTransport::Cloudwatch;
    let backup = Bench::serving_spec(spec);
    assert!(!voices(&backup.state).is_empty());
    let mut bench = restored(&backup, &nothing_since(&backup));
    assert_eq!((bench.state.generation, bench.state.paused, bench.state.format), (GENERATION, true, Format(2)));
    assert_eq!(bench.phase(), ServicePhase::Attention);
    assert_eq!(bench.state.unconfirmed(), [&"shop".into()]);
    assert!(voices(&bench.state).is_empty(), "Route 53 keeps what it was told last");
    assert!(bench.state.why_stay().is_empty(), "nothing rests on daemons that say nothing");

    let (group, region) = ("shop".into(), US.into());
    let epoch = bench.shop().epoch;
    let spec_index = bench.shop().spec_index;
    for (actor, command) in [
        (person(), Command::SetSwitch { group, region, on: false, run: None }),
        (daemon(), Command::SettleIntent { service: "shop".into(), epoch, work: vec!["records".into()] }),
        (daemon(), Command::Settled { service: "shop".into(), epoch, spec_index, seen: LogIndex(0) }),
        (person(), Command::Resume { service: None }),
    ] {
        assert_eq!(bench.refused(actor, command), "UNCONFIRMED");
    }
    let asked = bench.propose(breach(), &by_person(Mode::Forced)).unwrap_err();
    assert!(asked.code == "UNCONFIRMED" && asked.reason.contains("failoverctl fleet confirm shop"), "{asked:?}");

    assert_eq!(bench.refused(daemon(), confirm(&[EU], EU)), "NOT_A_PERSON");
    assert_eq!(bench.refused(person(), confirm(&[WITNESS], WITNESS)), "UNKNOWN_REGION");
    for (serving, writers) in [(&[EU][..], US), (&[EU, US], EU), (&[], EU)] {
        assert_eq!(bench.refused(person(), confirm(serving, writers)), "INVALID_PLACE");
    }
    bench.ok(person(), confirm(&[EU], EU));
    assert_eq!((&bench.shop().primary, &bench.shop().chosen), (&EU.into(), &EU.into()));
    assert_eq!(bench.shop().epoch, epoch.next());
    assert!(bench.state.switches["shop"].bits.values().all(|bit| !bit.on), "the pair's bit says: not the first Region");
    assert_eq!(voices(&bench.state).len(), 1);
    assert_eq!(bench.refused(person(), confirm(&[US], US)), "CONFIRMED");
    bench.settle();
    assert_eq!(bench.phase(), ServicePhase::Steady);
    bench.ok(person(), Command::Resume { service: None });
    assert_eq!(bench.state.restored, None);
    assert_eq!(verify_chain(&EventHead::default(), &bench.events), Ok(bench.state.head.clone()));
}

#[test]
fn what_was_under_way_is_closed_and_nothing_is_put_back() {
    let (mut backup, run) = Bench::running();
    backup.step(&run, "fence/orders-db", done());
    let intent = backup.intent(&run, "promote/orders-db");
    backup.ok(daemon(), intent);
    let before = backup.shop().primary.clone();
    let bench = restored(&backup, &nothing_since(&backup));
    assert_eq!(bench.run(&run).state, RunState::Aborted);
    assert_eq!(bench.run(&run).progress(&"promote/orders-db".into()).state, StepState::Unknown);
    assert!(bench.run(&run).verdict.as_ref().unwrap().contains("restored from a backup"));
    assert_eq!(bench.shop().primary, before, "the switch is where the backup had it, and says nothing");
    assert!(bench.shop().attention.as_ref().unwrap().contains("fleet confirm"));
    assert_eq!(verify_chain(&EventHead::default(), &bench.events), Ok(bench.state.head.clone()));
}

#[test]
fn no_number_is_used_twice_and_the_history_goes_on_behind_what_it_knows() {
    let backup = Bench::serving();
    // What the fleet agreed on later, and nobody has any more but the history.
    let mut lost = backup.clone();
    let run = lost.decide(lost.asked(Mode::Forced));
    lost.finish(&run);
    lost.settle();
    let mut cart = shop();
    cart.name = "cart".into();
    lost.ok(person(), apply(vec![cart]));
    let actor = person();
    let generation = lost.state.recover(lost.state.applied.next(), lost.now, &actor, &Region::from(EU));
    lost.events.push(generation);

    let mut since = nothing_since(&backup);
    for event in &lost.events[backup.events.len()..] {
        since.take(event).unwrap();
    }
    assert_eq!((&since.head, since.generation, since.index), (&lost.state.head, Generation(1), lost.state.applied));
    assert!(since.shown.iter().any(|(_, said)| said.contains("eu-west-1 serves")), "{:?}", since.shown);
    assert!(
        !since.shown.iter().any(|(_, said)| said.contains("settled") || said.contains("intent")),
        "{:?}",
        since.shown
    );

    let mut bench = restored(&backup, &since);
    bench.events = [lost.events.clone(), bench.events[backup.events.len()..].to_vec()].concat();
    assert_eq!(
        verify_chain(&EventHead::default(), &bench.events),
        Ok(bench.state.head.clone()),
        "one unbroken history"
    );
    let first = &bench.events[lost.events.len()];
    assert!(first.message.contains(&format!("the {} events before this one", since.events)), "{}", first.message);
    assert!(first.index > lost.state.applied);
    assert!(bench.shop().epoch > lost.shop().epoch && bench.shop().runs > lost.shop().runs);

    // One that the backup did not know: it may be anywhere, and its runs have names already.
    let mut cart = shop();
    cart.name = "cart".into();
    bench.ok(person(), apply(vec![cart]));
    let cart = &bench.state.services["cart"];
    assert!(cart.epoch > lost.state.services["cart"].epoch && cart.runs >= 1_000);
    assert_eq!(bench.state.unconfirmed(), [&"cart".into(), &"shop".into()]);
    bench.ok(person(), confirm(&[US], US));
    assert_eq!(bench.refused(person(), Command::Resume { service: None }), "UNCONFIRMED");
    bench.ok(person(), Command::Delete { service: "cart".into() });
    bench.ok(person(), Command::Resume { service: None });
    let run = bench.decide(bench.asked(Mode::Forced));
    assert!(lost.state.runs.keys().all(|old| *old != run), "{run}");
}

#[test]
fn events_that_do_not_follow_a_backup_are_not_taken() {
    let bench = Bench::serving();
    let mut since = Since::after(&EventHead::default());
    assert!(since.take(&bench.events[1]).unwrap_err().contains("is missing"));
    let changed = HistoryEvent { message: "all was well".into(), ..bench.events[0].clone() };
    assert!(since.take(&changed).unwrap_err().contains("was changed"));
    assert_eq!(since, Since::after(&EventHead::default()));
}

#[test]
fn of_an_active_active_service_every_region_and_the_writer_are_said() {
    let backup = Bench::serving_spec(many());
    let mut bench = restored(&backup, &nothing_since(&backup));
    bench.ok(person(), confirm(&[EU], EU));
    let on: BTreeSet<_> =
        bench.state.switches["shop"].bits.iter().filter(|(_, bit)| bit.on).map(|(at, _)| at).collect();
    assert_eq!((on, &bench.shop().primary), ([&Region::from(EU)].into(), &Region::from(EU)));
    // Where one was coming back it is there, whole, or it is not: nobody counts its waves any more.
    let mut waves = restored(&returning(), &nothing_since(&returning()));
    waves.ok(person(), confirm(&[EU], EU));
    waves.ok(person(), Command::SetSwitch { group: "shop".into(), region: US.into(), on: true, run: None });
    assert_eq!(waves.state.share(waves.shop(), &US.into()), Some(1), "what it had is what it has");
    let mut waves = restored(&returning(), &nothing_since(&returning()));
    waves.ok(person(), confirm(&[US, EU], EU));
    assert_eq!(waves.state.share(waves.shop(), &US.into()), Some(100));
    let mut both = restored(&backup, &nothing_since(&backup));
    both.ok(person(), confirm(&[US, EU], EU));
    assert_eq!(both.state.serving(both.shop()).len(), 2);
    assert_eq!(both.shop().primary, Region::from(EU));
}

/// us-east-1 has left, and has its first wave.
fn returning() -> Bench {
    let mut bench = Bench::serving_spec(many());
    for movement in [Movement::Evacuate, Movement::Restore] {
        let run = bench.decide(ask(&bench, movement, US, Mode::Graceful, sound()).unwrap());
        bench.finish(&run);
        bench.settle();
    }
    bench
}

#[test]
fn a_drill_that_was_open_is_over_and_says_why() {
    let mut backup = Bench::serving();
    let drills = vec![drill(DrillKind::Switchover)];
    backup.ok(person(), Command::Apply { specs: vec![], drills, prune: false, tokens: vec![] });
    backup.ok(person(), Command::OpenDrill { drill: "gameday".into(), scheduled_for: None });
    let bench = restored(&backup, &nothing_since(&backup));
    let (_, run) = bench.state.drill_runs.iter().next().unwrap();
    assert!(run.is_closed(), "{run:?}");
    let said = bench.events.last().unwrap();
    assert!(said.message.contains("restored from a backup"), "{}", said.message);
}

fn small() -> Backup {
    let mut state = Bench::formed().state;
    state.members.retain(|region, _| region.as_str() == EU);
    Backup::of(state, 3, Timestamp(1_795_449_607_123), EU.into(), "0.1.0")
}

#[test]
fn a_backup_says_what_it_holds_and_comes_back() {
    let bench = Bench::serving();
    let backup = Backup::of(bench.state.clone(), 3, NOW, EU.into(), "0.1.0");
    let file = backup.write().unwrap();
    assert!(file.starts_with(b"failoverd backup 1\n{\"format\":"));
    let read = Backup::read(&file, Format::NEWEST).unwrap();
    assert_eq!(read, backup);
    let about = read.about;
    assert_eq!((about.fleet.as_str(), about.index, about.seq), ("prod", bench.state.applied, bench.state.head.seq));
}

#[test]
fn a_backup_of_which_a_bit_has_turned_is_refused_wherever_it_is() {
    let file = small().write().unwrap();
    let mut turned = file.clone();
    for at in 0..file.len() {
        for bit in 0..8 {
            turned[at] ^= 1 << bit;
            assert!(Backup::read(&turned, Format::NEWEST).is_err(), "byte {at}, bit {bit}");
            turned[at] = file[at];
        }
    }
    for length in 0..file.len() {
        assert!(Backup::read(&file[..length], Format::NEWEST).is_err(), "cut off at {length}");
    }
    let longer = [file.as_slice(), b"\n"].concat();
    assert!(matches!(Backup::read(&longer, Format::NEWEST), Err(BackupError::Damaged(_))));
    assert_eq!(Backup::read(&file, Format::NEWEST), Ok(small()));
}

#[test]
fn a_backup_that_says_of_itself_what_it_does_not_hold_is_refused() {
    let changes: [fn(&mut Backup); 6] = [
        |it| it.about.fleet = "other".into(),
        |it| it.about.generation = Generation(9),
        |it| it.about.index = it.about.index.next(),
        |it| it.about.seq += 1,
        |it| it.about.format = Format(2),
        |it| (it.about.fleet, it.state.fleet) = ("".into(), "".into()),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut backup = small();
        change(&mut backup);
        let refused = Backup::read(&backup.write().unwrap(), Format::NEWEST).unwrap_err();
        assert!(refused.to_string().contains("what it says of itself is not what it holds"), "{at}: {refused}");
    }
    let file = String::from_utf8(small().write().unwrap()).unwrap();
    let refused = Backup::read(file.replacen("backup 1", "backup 0", 1).as_bytes(), Format::NEWEST).unwrap_err();
    assert!(refused.to_string().contains("no number that was ever written"), "{refused}");
}

#[test]
fn a_backup_of_a_newer_build_says_so() {
    let file = String::from_utf8(small().write().unwrap()).unwrap();
    let newer = file.replacen("backup 1", "backup 2", 1);
    let refused = Backup::read(newer.as_bytes(), Format::NEWEST).unwrap_err();
    assert_eq!(refused, BackupError::NewerLayout { found: 2 });
    let mut state = Bench::serving().state;
    state.format = Format(Format::NEWEST.0 + 1);
    let newer = Backup::of(state, 3, NOW, EU.into(), "9.9.9").write().unwrap();
    let refused = Backup::read(&newer, Format::NEWEST).unwrap_err();
    assert!(matches!(&refused, BackupError::TooNew(_)), "{refused}");
    assert_eq!(Backup::read(b"PK\x03\x04", Format::NEWEST), Err(BackupError::Other));
}
