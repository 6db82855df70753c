//! Writers that are behind the times, against a zone that does what Route 53 does: every order of a small case, and
//! random ones of larger cases.
//!
//! A writer is a leader of some term, with the wish that it took from the state as agreed then and the log index of its
//! own intent. It reads the zone, asks [`settle`], packs what comes out, and sends; between any two of these the others
//! act. A call may be answered, take effect without an answer, or take effect later, when nobody waits for it any more.
//! Nothing here confirms leadership: that is what a paused process has done just before it was paused.
//!
//! After every write, each service's mark is not older than the one before it, and the records beside it are what the
//! writer of that mark wanted. Once the newest writer has found nothing left to do, its wish stands, whatever still
//! arrives. Each rule that this rests on is broken in a test below, and is missed.

use std::collections::{HashMap, HashSet};

use super::*;

/// What one writer wants of one service.
#[derive(Clone)]
struct Wish {
    mark: FenceMark,
    desired: Desired,
}

/// A rule that writers follow, or do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    AsShipped,
    /// Goes on although the mark that was read is a newer writer's.
    IgnoresNewerMarks,
    /// Replaces whatever stands there.
    Upserts,
    /// Sends records without their fence, as if a piece could be split.
    LeavesTheFenceOut,
    /// Leaves a mark alone that was written for an older manifest of the same epoch.
    KeepsTheMarkOfAnOlderManifest,
}

/// Writers from the oldest to the newest, each with a wish for every service, and the zone as they find it.
struct Case {
    writers: Vec<Vec<Wish>>,
    zone: Vec<RecordSet>,
    attempts: u8,
}

fn scene(service: usize, at_home: bool, ttl_s: u32) -> Scene {
    let mut scene = Scene::new(3, at_home);
    scene.spec.name = format!("s{service}").as_str().into();
    scene.spec.traffic.switch = SwitchTransport::None;
    scene.spec.health.signals.clear();
    let record = &mut scene.spec.traffic.records[0];
    (record.name, record.ttl_s) = (format!("s{service}.example.com"), Some(ttl_s));
    scene
}

/// Generation, epoch, index of the intent, index of the manifest, TTL of the manifest. An odd epoch serves from home.
type Agreed = (u64, u64, u64, u64, u32);

fn wish(service: usize, (generation, epoch, index, since, ttl_s): Agreed) -> Wish {
    let desired = scene(service, epoch % 2 == 1, ttl_s).desired();
    let mark = FenceMark { epoch: Epoch(epoch), ..mark(generation, index + service as u64) };
    Wish { mark, desired: Desired { since: LogIndex(since), ..desired } }
}

/// `services` alike, a writer for each of `agreed`; the first of them has finished before the others begin.
fn case(services: usize, agreed: &[Agreed], attempts: u8) -> Case {
    let writers: Vec<Vec<Wish>> =
        agreed.iter().map(|agreed| (0..services).map(|service| wish(service, *agreed)).collect()).collect();
    let mut model = Model::default();
    for Wish { mark, desired } in &writers[0] {
        model.settle(desired, mark);
    }
    Case { writers, zone: in_order(model.records), attempts }
}

fn in_order(mut records: Vec<RecordSet>) -> Vec<RecordSet> {
    records.sort_by(|a, b| (&a.name, &a.set_identifier).cmp(&(&b.name, &b.set_identifier)));
    records
}

/// What was met before goes by its number.
struct Known<T> {
    all: Vec<T>,
    by_text: HashMap<String, usize>,
}

impl<T: Clone + std::fmt::Debug> Known<T> {
    fn new() -> Self {
        Self { all: Vec::new(), by_text: HashMap::new() }
    }

    fn number(&mut self, thing: T) -> usize {
        let next = self.all.len();
        let number = *self.by_text.entry(format!("{thing:?}")).or_insert(next);
        if number == next {
            self.all.push(thing);
        }
        number
    }
}

type Pieces = Vec<Piece<usize>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// Will read.
    Idle,
    /// Has read, and is about to send that.
    Ready(usize),
    /// Found nothing left to do.
    Done,
}

/// Where everybody is. Zones and batches go by their numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    zone: usize,
    writers: Vec<(u8, Phase)>,
    /// Calls that nobody waits for any more.
    late: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Move {
    Read(usize),
    Send(usize),
    /// Takes effect; the answer is lost.
    SendUnheard(usize),
    /// Takes effect later.
    SendLate(usize),
    Arrive(usize),
}

struct Lab {
    case: Case,
    rule: Rule,
    zones: Known<Vec<RecordSet>>,
    batches: Known<Pieces>,
    reads: HashMap<(usize, usize), usize>,
    writes: HashMap<(usize, usize), Result<usize, String>>,
}

impl Lab {
    fn new(case: Case, rule: Rule) -> (Self, State) {
        let mut lab = Self {
            zones: Known::new(),
            batches: Known::new(),
            reads: HashMap::new(),
            writes: HashMap::new(),
            case,
            rule,
        };
        let zone = lab.zones.number(lab.case.zone.clone());
        let writers = vec![(lab.case.attempts, Phase::Idle); lab.case.writers.len()];
        (lab, State { zone, writers, late: Vec::new() })
    }

    /// What a writer makes of the zone: the pieces that it would send.
    fn read(&mut self, zone: usize, writer: usize) -> Result<usize, String> {
        if let Some(known) = self.reads.get(&(zone, writer)) {
            return Ok(*known);
        }
        let newest = writer + 1 == self.case.writers.len();
        let records = self.zones.all[zone].clone();
        let mut pieces = Pieces::new();
        for (key, wish) in self.case.writers[writer].clone().into_iter().enumerate() {
            match self.next(&wish, &records).as_slice() {
                [] => {}
                [SettleAction::ChangeRecords { changes }] => pieces.push(Piece { key, changes: changes.clone() }),
                // Somebody newer was here.
                [SettleAction::Refused { .. }] if !newest => {}
                other => return Err(format!("writer {writer} is stopped at s{key}: {other:?}")),
            }
        }
        let number = self.batches.number(pieces);
        self.reads.insert((zone, writer), number);
        Ok(number)
    }

    fn next(&self, Wish { mark, desired }: &Wish, records: &[RecordSet]) -> Vec<SettleAction> {
        let since = match self.rule {
            Rule::KeepsTheMarkOfAnOlderManifest => LogIndex(0),
            _ => desired.since,
        };
        let desired = &Desired { since, ..desired.clone() };
        let mut actions = settle(desired, mark, &[], records);
        if self.rule == Rule::IgnoresNewerMarks && matches!(actions[..], [SettleAction::Refused { .. }]) {
            let bold = FenceMark { generation: Generation(99), ..mark.clone() };
            actions = settle(desired, &bold, &[], records);
        }
        let fence = desired.fence_name();
        for action in &mut actions {
            let SettleAction::ChangeRecords { changes } = action else { continue };
            if self.rule == Rule::LeavesTheFenceOut {
                changes.retain(|change| match change {
                    Change::Create(set) | Change::Delete(set) => set.name != fence,
                });
            }
            for change in changes {
                if let Change::Create(set) = change
                    && set.name == fence
                {
                    set.values = vec![mark.to_string()];
                }
            }
        }
        actions.retain(|action| !matches!(action, SettleAction::ChangeRecords { changes } if changes.is_empty()));
        actions
    }

    /// The zone after a call, or why Route 53 refuses it. `Err` outside: what must not happen has happened.
    fn write(&mut self, zone: usize, batch: usize) -> Result<Result<usize, String>, String> {
        if let Some(known) = self.writes.get(&(zone, batch)) {
            return Ok(known.clone());
        }
        let before = Model { records: self.zones.all[zone].clone(), ..Model::default() };
        let mut after = before.clone();
        let (packed, refused) = pack(self.batches.all[batch].clone());
        assert!(packed.len() == 1 && refused.is_empty(), "small cases fit in one batch");
        let changes: Vec<Change> = packed[0].changes().cloned().collect();
        let done = match self.rule {
            Rule::Upserts => {
                upsert(&mut after, &changes);
                Ok(())
            }
            _ => after.change(&changes),
        };
        let result = match done {
            Ok(()) => {
                self.examine(&before.records, &after.records)?;
                Ok(self.zones.number(in_order(after.records)))
            }
            Err(words) => Err(words),
        };
        self.writes.insert((zone, batch), result.clone());
        Ok(result)
    }

    /// Marks never go back, and what stands beside one is what its writer wanted.
    fn examine(&self, before: &[RecordSet], after: &[RecordSet]) -> Result<(), String> {
        for service in 0..self.case.writers[0].len() {
            let was = mark_in(before, &self.case.writers[0][service].desired);
            let Some(is) = mark_in(after, &self.case.writers[0][service].desired) else {
                return Err(format!("s{service} has no mark any more"));
            };
            let age = |mark: &FenceMark| (mark.generation, mark.epoch, mark.index);
            if was.as_ref().is_some_and(|was| age(was) > age(&is)) {
                return Err(format!("the mark of s{service} went back from {} to {is}", was.unwrap()));
            }
            let writer = self.case.writers.iter().find(|writer| writer[service].mark == is).unwrap();
            if !stands(&writer[service], after) {
                return Err(format!("beside {is} stands what its writer did not want"));
            }
        }
        Ok(())
    }

    fn moves(&self, state: &State) -> Vec<Move> {
        let mut moves = Vec::new();
        for (writer, (attempts, phase)) in state.writers.iter().enumerate() {
            match phase {
                Phase::Idle if *attempts > 0 => moves.push(Move::Read(writer)),
                Phase::Ready(_) => {
                    moves.extend([Move::Send(writer), Move::SendUnheard(writer), Move::SendLate(writer)])
                }
                Phase::Idle | Phase::Done => {}
            }
        }
        moves.extend((0..state.late.len()).map(Move::Arrive));
        moves
    }

    fn make(&mut self, state: &State, made: Move) -> Result<State, String> {
        let mut next = state.clone();
        match made {
            Move::Read(writer) => {
                let batch = self.read(state.zone, writer)?;
                let nothing = self.batches.all[batch].is_empty();
                next.writers[writer].1 = if nothing { Phase::Done } else { Phase::Ready(batch) };
            }
            Move::Send(writer) => {
                let Phase::Ready(batch) = state.writers[writer].1 else { unreachable!() };
                match self.write(state.zone, batch)? {
                    Ok(zone) => {
                        next.zone = zone;
                        next.writers[writer] = (state.writers[writer].0 - 1, Phase::Idle);
                    }
                    Err(words) => next.writers[writer] = self.without_the_guilty(state.writers[writer], batch, &words),
                }
            }
            Move::SendUnheard(writer) => {
                let Phase::Ready(batch) = state.writers[writer].1 else { unreachable!() };
                next.zone = self.write(state.zone, batch)?.unwrap_or(state.zone);
                next.writers[writer] = (state.writers[writer].0 - 1, Phase::Idle);
            }
            Move::SendLate(writer) => {
                let Phase::Ready(batch) = state.writers[writer].1 else { unreachable!() };
                next.late.push(batch);
                next.late.sort_unstable();
                next.writers[writer] = (state.writers[writer].0 - 1, Phase::Idle);
            }
            Move::Arrive(at) => {
                let batch = next.late.remove(at);
                next.zone = self.write(state.zone, batch)?.unwrap_or(state.zone);
            }
        }
        self.newest_stands(&next)?;
        Ok(next)
    }

    /// As the packer: the piece that is named leaves, and the others are tried again.
    fn without_the_guilty(&mut self, (attempts, _): (u8, Phase), batch: usize, words: &str) -> (u8, Phase) {
        let pieces = self.batches.all[batch].clone();
        let innocent: Pieces = pieces.iter().filter(|piece| !piece.is_named_in(words)).cloned().collect();
        assert!(innocent.len() < pieces.len(), "{words} names nobody");
        if innocent.is_empty() {
            (attempts - 1, Phase::Idle)
        } else {
            (attempts, Phase::Ready(self.batches.number(innocent)))
        }
    }

    fn newest_stands(&self, state: &State) -> Result<(), String> {
        let (newest, (_, phase)) = (self.case.writers.last().unwrap(), state.writers.last().unwrap());
        if *phase == Phase::Done
            && let Some(wish) = newest.iter().find(|wish| !stands(wish, &self.zones.all[state.zone]))
        {
            return Err(format!("the newest writer ({}) had finished, and its wish does not stand", wish.mark));
        }
        Ok(())
    }

    /// Lets the newest writer go on until it finds nothing left to do.
    fn finish(&mut self, state: &State) -> Result<(), String> {
        let mut state = state.clone();
        let newest = state.writers.len() - 1;
        for _ in 0..20 {
            let made = match state.writers[newest].1 {
                Phase::Done => return Ok(()),
                Phase::Idle => Move::Read(newest),
                Phase::Ready(_) => Move::Send(newest),
            };
            state.writers[newest].0 = 2;
            state = self.make(&state, made)?;
        }
        Err("the newest writer does not come to an end".to_owned())
    }
}

fn upsert(model: &mut Model, changes: &[Change]) {
    let key = |record: &RecordSet| (record.name.clone(), record.record_type, record.set_identifier.clone());
    for change in changes {
        match change {
            // What will be there afterwards is simply put there; only what leaves is deleted.
            Change::Delete(gone) => model.records.retain(|held| key(held) != key(gone)),
            Change::Create(new) => {
                model.records.retain(|held| key(held) != key(new));
                model.records.push(new.clone());
            }
        }
    }
}

fn mark_in(records: &[RecordSet], desired: &Desired) -> Option<FenceMark> {
    let name = desired.fence_name();
    records.iter().find(|record| record.name == name)?.values[0].parse().ok()
}

/// Whether the service's records, the fence left out, are those of this wish and no others.
fn stands(Wish { desired, .. }: &Wish, records: &[RecordSet]) -> bool {
    let public = &desired.public[0].0;
    let (below, fence) = (format!(".{public}"), desired.fence_name());
    let is_own = |record: &&RecordSet| record.name == *public || record.name.ends_with(&below);
    let own: Vec<&RecordSet> = records.iter().filter(is_own).filter(|record| record.name != fence).collect();
    own.len() == desired.records.len() && desired.records.iter().all(|wanted| own.contains(&&wanted.record))
}

/// Every order there is. How many states were met, or what must not have happened.
fn every_order(case: Case, rule: Rule) -> Result<usize, String> {
    let (mut lab, first) = Lab::new(case, rule);
    let mut seen = HashSet::from([first.clone()]);
    let mut open = vec![first];
    while let Some(state) = open.pop() {
        let moves = lab.moves(&state);
        if moves.is_empty() {
            lab.finish(&state)?;
        }
        for made in moves {
            let next = lab.make(&state, made)?;
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    Ok(seen.len())
}

/// One order at random.
fn some_order(lab: &mut Lab, first: &State, seed: u64) -> Result<usize, String> {
    let mut dice = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut state = first.clone();
    for step in 0.. {
        let moves = lab.moves(&state);
        if moves.is_empty() {
            lab.finish(&state)?;
            return Ok(step);
        }
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let made = moves[usize::try_from(dice >> 33).unwrap() % moves.len()];
        state = lab.make(&state, made).map_err(|problem| format!("seed {seed}, step {step}: {problem}"))?;
    }
    unreachable!()
}

/// The move away and back again, each under an epoch of its own.
const THERE_AND_BACK: [Agreed; 4] = [(1, 1, 10, 5, 60), (1, 2, 20, 5, 60), (1, 3, 30, 5, 60), (1, 4, 40, 5, 60)];
/// A manifest that is changed and changed back, under one epoch.
const CHANGED_AND_BACK: [Agreed; 4] = [(1, 1, 10, 5, 60), (1, 1, 20, 15, 77), (1, 1, 30, 25, 60), (1, 1, 40, 35, 77)];
/// A fleet that was formed anew counts from the beginning.
const ANOTHER_LIFE: [Agreed; 4] = [(1, 1, 70, 5, 60), (1, 2, 80, 5, 60), (1, 3, 90, 5, 60), (2, 1, 7, 3, 60)];

fn small_cases() -> Vec<(&'static str, Case)> {
    let empty = |case: Case| Case { zone: Vec::new(), ..case };
    vec![
        ("there and back", case(1, &THERE_AND_BACK, 3)),
        ("changed and back", case(1, &CHANGED_AND_BACK, 3)),
        ("another life", case(1, &ANOTHER_LIFE, 3)),
        ("from an empty zone", empty(case(1, &THERE_AND_BACK[..3], 3))),
        ("two services in one batch", case(2, &THERE_AND_BACK, 2)),
        ("two services, changed and back", case(2, &CHANGED_AND_BACK, 2)),
        ("two services from an empty zone", empty(case(2, &THERE_AND_BACK[..3], 2))),
    ]
}

#[test]
fn in_every_order_no_stale_writer_leaves_older_records() {
    let mut states = 0;
    for (name, case) in small_cases() {
        let met = every_order(case, Rule::AsShipped).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        println!("{name}: {met} states");
        states += met;
    }
    assert!(states > 100_000, "only {states}: too little was tried");
}

/// Three services of one zone that changed at different times, and five leaders, of whom one leads twice.
fn large_case() -> Case {
    let agreed = [
        [(1, 1, 10, 5, 60), (1, 1, 10, 5, 60), (1, 1, 10, 5, 60)],
        [(1, 2, 20, 5, 60), (1, 1, 20, 15, 77), (1, 1, 10, 5, 60)],
        [(1, 3, 30, 5, 60), (1, 2, 30, 15, 77), (1, 1, 30, 25, 60)],
        [(1, 3, 40, 35, 61), (1, 3, 40, 15, 77), (1, 1, 40, 38, 77)],
        [(1, 4, 50, 35, 61), (1, 3, 50, 45, 60), (1, 2, 50, 38, 77)],
        [(1, 5, 60, 35, 61), (1, 4, 60, 45, 60), (1, 3, 60, 55, 60)],
    ];
    let writers = agreed.map(|of_each| of_each.into_iter().enumerate().map(|(at, agreed)| wish(at, agreed)).collect());
    Case { writers: writers.into(), zone: case(3, &[(1, 1, 10, 5, 60)], 1).zone, attempts: 4 }
}

fn many_orders(rule: Rule) -> Result<usize, String> {
    let (mut lab, first) = Lab::new(large_case(), rule);
    (1..=5_000).map(|seed| some_order(&mut lab, &first, seed)).sum()
}

#[test]
fn in_random_orders_of_many_writers_and_packed_batches_neither() {
    let steps = many_orders(Rule::AsShipped).unwrap();
    assert!(steps > 50_000, "{steps}");
}

#[test]
fn each_rule_that_this_rests_on_is_missed_when_it_is_broken() {
    let broken = |rule| {
        let found =
            small_cases().into_iter().filter_map(|(name, case)| every_order(case, rule).err().map(|it| (name, it)));
        let found: Vec<_> = found.collect();
        println!("{rule:?}: {found:#?}");
        (found, many_orders(rule).is_err())
    };
    for rule in [Rule::IgnoresNewerMarks, Rule::Upserts, Rule::LeavesTheFenceOut] {
        let (found, at_random) = broken(rule);
        assert!(!found.is_empty() && at_random, "{rule:?}: {found:?}");
    }
    let (found, _) = broken(Rule::KeepsTheMarkOfAnOlderManifest);
    assert!(found.iter().any(|(name, _)| *name == "changed and back"), "{found:?}");
}
