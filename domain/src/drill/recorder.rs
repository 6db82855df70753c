//! What every daemon keeps of the matrix, so that whoever leads can put a move on record: a little of everything while
//! nothing goes on, more while something does. Bounded, whatever happens and however long it lasts.
//!
//! A service's tape is a table: a column for each observer, Region and signal, a row for each sample, four bytes a cell.

use std::collections::{BTreeMap, VecDeque};

use super::curves::{Curve, Curves, ThroughSeen};
use super::run::DrillPhase;
use super::streaks::Streaks;
use crate::fleet::{Command, FleetState, Run};
use crate::health::{Matrix, Received, Status, View};
use crate::ids::{Region, ServiceName, SignalName};
use crate::time::Timestamp;

/// Between two samples while nothing goes on.
const IDLE_MS: u64 = 5_000;
/// Between two samples while a service is being moved.
const BUSY_MS: u64 = 1_000;
/// How long samples are kept while nothing goes on.
const KEPT_MS: u64 = 180_000;
/// What belongs to a run: so long before its breach or its decision, and so long after its end.
const BEFORE_MS: u64 = 60_000;
/// See [`BEFORE_MS`].
pub const RECORDED_AFTER_MS: u64 = 10_000;
/// Samples of a run that nobody could put on record are kept so long after its end.
const UNRECORDED_MS: u64 = 900_000;
/// Rows of one tape.
const MOST_ROWS: usize = 900;
/// Of these every other one goes when there are too many.
const OLDER_ROWS: usize = 600;
/// Points of one record: it travels through the log.
const MOST_POINTS: usize = 20_000;
/// Under which name what was asked by the public name is recorded.
pub const THROUGH: &str = "through";

/// Everything that was seen lately, by service.
#[derive(Debug, Default)]
pub struct Recorder {
    tapes: BTreeMap<ServiceName, Tape>,
}

#[derive(Debug, Default)]
struct Tape {
    columns: Vec<Column>,
    rows: VecDeque<Row>,
    through: BTreeMap<Region, Streaks>,
}

#[derive(Debug)]
struct Column {
    observer: Region,
    region: Option<Region>,
    signal: SignalName,
    /// When the newest reading was taken: one that is seen twice is one point.
    newest: Timestamp,
}

#[derive(Debug)]
struct Row {
    at: Timestamp,
    /// One for each column that there was.
    cells: Box<[Cell]>,
}

/// A status and a latency in four bytes. Of two, the greater is the worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Cell(u32);

const STATUS_SHIFT: u32 = 30;
const LATENCY_MASK: u32 = (1 << STATUS_SHIFT) - 1;

impl Cell {
    fn new(status: Status, latency_ms: Option<u64>) -> Self {
        let status = match status {
            Status::Good => 1,
            Status::Unknown => 2,
            Status::Bad => 3,
        };
        let most = u64::from(LATENCY_MASK);
        let latency = latency_ms.map_or(0, |ms| ms.saturating_add(1).min(most));
        Self(status << STATUS_SHIFT | u32::try_from(latency).unwrap_or(LATENCY_MASK))
    }

    /// `None`: nothing was read.
    fn read(self) -> Option<(Status, Option<u64>)> {
        let status = match self.0 >> STATUS_SHIFT {
            1 => Status::Good,
            2 => Status::Unknown,
            3 => Status::Bad,
            _ => return None,
        };
        Some((status, (self.0 & LATENCY_MASK).checked_sub(1).map(u64::from)))
    }
}

impl Recorder {
    /// Takes a sample of every service that is due.
    pub fn take(&mut self, now: Timestamp, state: &FleetState, matrix: &Matrix, view: &View) {
        self.tapes.retain(|name, _| state.services.contains_key(name));
        let doings = doings(now, state);
        for name in state.services.keys() {
            let doing = doings.get(name).copied().unwrap_or_default();
            let tape = self.tapes.entry(name.clone()).or_default();
            let every_ms = if doing.is_busy { BUSY_MS } else { IDLE_MS };
            // A clock that stepped back must not stop the tape.
            let is_due = tape.rows.back().is_none_or(|row| now < row.at || now.since(row.at) >= every_ms);
            if is_due {
                tape.take(now, name, matrix, view);
                tape.forget(doing.keep_from.unwrap_or(now).min(now.minus_ms(KEPT_MS)));
            }
        }
    }

    /// What was seen of a service between two instants; `None` where nothing is held of that time.
    #[must_use]
    pub fn curves(&self, service: &ServiceName, from: Timestamp, until: Timestamp) -> Option<Curves> {
        self.tapes.get(service)?.curves(from, until)
    }

    /// What is put on record of a run. Where nothing is held of it, as this daemon has started since, the record is empty
    /// and says so by that.
    #[must_use]
    pub fn record(&self, run: &Run) -> Command {
        let from = begins(run);
        let until = run.finished_at.unwrap_or(run.decided_at).plus_ms(RECORDED_AFTER_MS);
        let nothing = || Curves { from, curves: Vec::new(), through: None };
        let curves = self.curves(&run.service, from, until).unwrap_or_else(nothing);
        Command::Record { run: run.id.clone(), curves: Box::new(curves) }
    }
}

/// Runs to be put on record now: they did something, have ended, and are not on record yet.
#[must_use]
pub fn to_record(now: Timestamp, state: &FleetState) -> Vec<&Run> {
    let is_over = |run: &&Run| run.finished_at.is_some_and(|at| now.since(at) >= RECORDED_AFTER_MS);
    let runs = state.runs.values().filter(|run| run.state.is_closed() && !run.recorded && run.epoch.is_some());
    runs.filter(is_over).collect()
}

/// What goes on with a service, as far as the tape must know.
#[derive(Clone, Copy, Default)]
struct Doing {
    is_busy: bool,
    keep_from: Option<Timestamp>,
}

/// Where the record of a run begins.
fn begins(run: &Run) -> Timestamp {
    run.breach_at.unwrap_or(run.decided_at).min(run.decided_at).minus_ms(BEFORE_MS)
}

fn doings(now: Timestamp, state: &FleetState) -> BTreeMap<&ServiceName, Doing> {
    let mut doings: BTreeMap<&ServiceName, Doing> = BTreeMap::new();
    for run in state.runs.values() {
        let ended_ms = run.finished_at.map(|at| now.since(at));
        let doing = doings.entry(&run.service).or_default();
        doing.is_busy |= !run.state.is_closed() || ended_ms.is_some_and(|ms| ms <= RECORDED_AFTER_MS);
        let is_kept = !run.recorded && ended_ms.is_none_or(|ms| ms <= UNRECORDED_MS);
        if is_kept {
            doing.keep_from = Some(doing.keep_from.map_or(begins(run), |held| held.min(begins(run))));
        }
    }
    for drill in state.drill_runs.values() {
        use DrillPhase::{Detecting, Moving, Returning};
        doings.entry(&drill.spec.service).or_default().is_busy |= matches!(drill.phase, Detecting | Moving | Returning);
    }
    doings
}

impl Tape {
    fn take(&mut self, now: Timestamp, service: &ServiceName, matrix: &Matrix, view: &View) {
        let mut row = Sample { now, cells: vec![Cell::default(); self.columns.len()], next: 0 };
        for observer in &view.members {
            let Some(received) = matrix.fresh(now, observer, view.stale_after_ms) else { continue };
            for reading in received.all_signals(service) {
                let cell = Cell::new(reading.status, reading.latency_ms);
                let at = read_at(received, reading.age_ms);
                let key = (observer, Some(&reading.region), reading.signal.as_str());
                row.put(&mut self.columns, key, at, cell);
            }
            for shown in received.report.rehearsals.iter().filter(|shown| &shown.service == service) {
                for reading in &shown.signals {
                    // Beside what was really read, and never to be taken for it.
                    let name = format!("{} (shown by {})", reading.signal, shown.drill);
                    let cell = Cell::new(reading.status, None);
                    let at = read_at(received, reading.age_ms);
                    row.put(&mut self.columns, (observer, Some(&reading.region), &name), at, cell);
                }
            }
            for through in received.report.through.iter().filter(|through| &through.service == service) {
                let at = read_at(received, through.age_ms);
                let cell = Cell::new(through.status, through.latency_ms);
                if row.put(&mut self.columns, (observer, None, THROUGH), at, cell) {
                    self.through.entry(observer.clone()).or_default().note(at, through.status);
                }
            }
        }
        self.rows.push_back(Row { at: now, cells: row.cells.into_boxed_slice() });
        if self.rows.len() > MOST_ROWS {
            self.thin_out();
        }
    }

    /// Of every two older rows one stays, with the worse of the two in each column.
    fn thin_out(&mut self) {
        let newer = self.rows.split_off(OLDER_ROWS.min(self.rows.len()));
        let older = std::mem::take(&mut self.rows);
        let mut older = older.into_iter();
        while let Some(first) = older.next() {
            let row = match older.next() {
                None => first,
                Some(mut second) => {
                    for (cell, before) in second.cells.iter_mut().zip(&first.cells) {
                        *cell = (*cell).max(*before);
                    }
                    second
                }
            };
            self.rows.push_back(row);
        }
        self.rows.extend(newer);
    }

    fn forget(&mut self, from: Timestamp) {
        while self.rows.front().is_some_and(|row| row.at < from) {
            self.rows.pop_front();
        }
        for streaks in self.through.values_mut() {
            streaks.forget(from);
        }
        self.through.retain(|_, streaks| !streaks.is_empty());
        // Columns that nothing is held of any more: of an earlier manifest, or of a drill that is over.
        let used = |n: usize| self.rows.iter().any(|row| row.cells.get(n).is_some_and(|cell| *cell != Cell::default()));
        let gone: Vec<bool> = (0..self.columns.len()).map(|n| !used(n)).collect();
        if gone.iter().filter(|gone| **gone).count() * 2 > self.columns.len() {
            let stays = |n: usize| !gone.get(n).copied().unwrap_or(false);
            let mut n = 0;
            self.columns.retain(|_| {
                n += 1;
                stays(n - 1)
            });
            for row in &mut self.rows {
                let cells = row.cells.iter().enumerate().filter(|(n, _)| stays(*n)).map(|(_, cell)| *cell);
                row.cells = cells.collect();
            }
        }
    }

    fn curves(&self, from: Timestamp, until: Timestamp) -> Option<Curves> {
        let rows: Vec<&Row> = self.rows.iter().filter(|row| row.at >= from && row.at <= until).collect();
        let began = rows.first()?.at;
        let mut each: Vec<(&Column, Vec<(Timestamp, Cell)>)> = Vec::new();
        for (n, column) in self.columns.iter().enumerate() {
            let points = rows.iter().map(|row| (row.at, row.cells.get(n).copied().unwrap_or_default()));
            let mut points: Vec<(Timestamp, Cell)> = points.filter(|(_, cell)| *cell != Cell::default()).collect();
            // A clock that stepped back.
            points.sort_by_key(|(at, _)| *at);
            if !points.is_empty() {
                each.push((column, points));
            }
        }
        while each.iter().map(|(_, points)| points.len()).sum::<usize>() > MOST_POINTS {
            let halved = each.into_iter().map(|(column, points)| (column, halve(&points)));
            each = halved.collect();
        }
        let curves = each.into_iter().map(|(column, points)| in_words(began, column, &points)).collect();
        Some(Curves { from: began, curves, through: self.through_seen(from, until) })
    }

    fn through_seen(&self, from: Timestamp, until: Timestamp) -> Option<ThroughSeen> {
        let each: Vec<ThroughSeen> = self.through.values().map(|streaks| streaks.seen(from, until)).collect();
        let asked = each.iter().map(|seen| seen.asked).sum();
        let erred = || each.iter().filter(|seen| seen.errors > 0);
        // Nobody is well before all are.
        let well_since = erred().map(|seen| seen.well_since).collect::<Option<Vec<_>>>();
        let seen = ThroughSeen {
            asked,
            errors: each.iter().map(|seen| seen.errors).sum(),
            longest_gap_ms: each.iter().map(|seen| seen.longest_gap_ms).max().unwrap_or(0),
            well_since: well_since.and_then(|all| all.into_iter().max()),
        };
        (asked > 0).then_some(seen)
    }
}

/// A row in the making.
struct Sample {
    now: Timestamp,
    cells: Vec<Cell>,
    /// Where the next reading most likely belongs: readings come in the same order each time.
    next: usize,
}

impl Sample {
    /// Puts one reading into its column, unless it is there from the last sample already.
    fn put(
        &mut self,
        columns: &mut Vec<Column>,
        (observer, region, signal): (&Region, Option<&Region>, &str),
        at: Timestamp,
        cell: Cell,
    ) -> bool {
        let is_it = |column: &Column| {
            column.signal.as_str() == signal && column.region.as_ref() == region && &column.observer == observer
        };
        let found = columns.get(self.next).is_some_and(is_it).then_some(self.next);
        let n = found.or_else(|| columns.iter().position(is_it)).unwrap_or_else(|| {
            let (observer, region, signal) = (observer.clone(), region.cloned(), SignalName::new(signal));
            columns.push(Column { observer, region, signal, newest: Timestamp(0) });
            self.cells.push(Cell::default());
            columns.len() - 1
        });
        self.next = n + 1;
        let (Some(column), Some(place)) = (columns.get_mut(n), self.cells.get_mut(n)) else { return false };
        // Reports of one reading take a little longer or shorter to come here. A clock that stepped back begins anew.
        let is_new = at.since(column.newest) > SAME_MS || column.newest > self.now;
        if is_new {
            column.newest = at;
            *place = cell;
        }
        is_new
    }
}

/// Two readings that seem so close to each other are one, told twice.
const SAME_MS: u64 = 90;

fn read_at(received: &Received, age_ms: u64) -> Timestamp {
    received.at.minus_ms(age_ms)
}

fn halve(points: &[(Timestamp, Cell)]) -> Vec<(Timestamp, Cell)> {
    let worse = |pair: &[(Timestamp, Cell)]| pair.iter().copied().max_by_key(|(_, cell)| *cell);
    points.chunks(2).filter_map(worse).collect()
}

fn in_words(from: Timestamp, column: &Column, points: &[(Timestamp, Cell)]) -> Curve {
    let mut curve = Curve {
        observer: column.observer.clone(),
        region: column.region.clone(),
        signal: column.signal.to_string(),
        at_ms: Vec::with_capacity(points.len()),
        status: Vec::with_capacity(points.len()),
        latency_ms: Vec::with_capacity(points.len()),
    };
    for (at, cell) in points {
        let Some((status, latency_ms)) = cell.read() else { continue };
        curve.at_ms.push(at.since(from));
        curve.status.push(status);
        curve.latency_ms.push(latency_ms);
    }
    curve
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
