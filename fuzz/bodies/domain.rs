//! What is done with input that nobody vouches for, as far as the domain goes. The fuzz targets call this, and so does the
//! replay of the corpus in ordinary tests (`tests/it/fuzzed.rs`). A body panics when something is wrong, and else returns.

use std::collections::BTreeMap;

use failoverd_domain::drill::{Blackout, Schedule, blackout_on, check_date, newest_opening, next_opening};
use failoverd_domain::fleet::{
    Actor, Backup, Entry, FleetState, POSITIONS_PASSED_OVER, Restoring, Role, Since, tick, what_if_region_vanishes,
};
use failoverd_domain::format::{Format, at_the_head_of, newest_in};
use failoverd_domain::freeze::{check_cron, check_timezone, freeze_holds};
use failoverd_domain::health::{Matrix, Report, View, diagnose};
use failoverd_domain::ids::{Generation, LogIndex, Region};
use failoverd_domain::invariant::{Transition, judge};
use failoverd_domain::manifest::{drill_to_manifest, read_set, to_manifest};
use failoverd_domain::service::Freeze;
use failoverd_domain::time::Timestamp;
use sha2::{Digest, Sha256};

const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "us-west-2"];

/// States that fleets were really in; what is agreed comes on top of one of them, or of none.
const STATES: [&[u8]; 8] = [
    include_bytes!("../../tests/samples/format-1/states/game-day.json"),
    include_bytes!("../../tests/samples/format-1/states/came-back.json"),
    include_bytes!("../../tests/samples/format-1/states/walk-1.json"),
    include_bytes!("../../tests/samples/format-1/disk/state.json"),
    include_bytes!("../../tests/samples/format-2/states/broken-glass.json"),
    include_bytes!("../../tests/samples/format-2/states/came-and-went.json"),
    include_bytes!("../../tests/samples/format-2/states/by-hand.json"),
    include_bytes!("../../tests/samples/format-2/states/game-day.json"),
];

fn state(choice: u8) -> FleetState {
    let stored = STATES.get(usize::from(choice) % (STATES.len() + 1));
    stored.map_or_else(FleetState::default, |text| serde_json::from_slice(text).expect("a stored state"))
}

fn view() -> View {
    View { me: "eu-west-1".into(), members: REGIONS.map(Region::from).to_vec(), stale_after_ms: 5_000, rehearses: None }
}

fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// Manifests: refused, or specs that can be written down and read again as the same.
pub fn manifests(data: &[u8]) {
    let fleet: BTreeMap<Region, Role> = REGIONS.map(|region| (Region::from(region), Role::Member)).into();
    let Ok(read) = read_set([("a.yaml", data)], &fleet, &[]) else { return };
    let mut text = String::new();
    for spec in &read.services {
        text += &format!("---\n{}\n", to_manifest(spec));
    }
    for drill in &read.drills {
        text += &format!("---\n{}\n", drill_to_manifest(drill));
    }
    let again = read_set([("b.yaml", text.as_bytes())], &fleet, &[]).expect("what was written can be read");
    assert_eq!(again, read);
}

/// Log entries, one a line, on top of a state that is sound: whatever they say, nothing panics and I1 to I8 hold.
pub fn entries(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let mut state = state(*choice);
    for line in lines(rest).take(32) {
        let Ok(entry) = serde_json::from_slice::<Entry>(line) else {
            let _ = newest_in(line);
            continue;
        };
        let before = state.clone();
        let applied = state.apply(before.applied.next(), &entry);
        let violations = judge(&Transition { before: &before, entry: &entry, applied: &applied, after: &state });
        assert!(violations.is_empty(), "{violations:?} after {entry:?}");
    }
    look_at(&state, &Matrix::default());
}

/// A snapshot of which nothing is sure but that it parses: it is looked at, and entries are applied to it.
pub fn snapshots(data: &[u8]) {
    let mut parts = lines(data);
    let first = parts.next().unwrap_or_default();
    let _ = at_the_head_of(first);
    let Ok(mut state) = serde_json::from_slice::<FleetState>(first) else {
        let _ = newest_in(first);
        return;
    };
    for line in parts.take(8) {
        if let Ok(entry) = serde_json::from_slice::<Entry>(line) {
            state.apply(state.applied.next(), &entry);
        }
    }
    look_at(&state, &Matrix::default());
}

/// A backup: refused, or one that is written as it was read and restored from without a panic. What stands behind its checksum
/// is tried as well, with one that fits.
pub fn backups(data: &[u8]) {
    for file in [data, &fitting(data)] {
        let Ok(backup) = Backup::read(file, Format::NEWEST) else { continue };
        let written = backup.write().expect("what was read can be written");
        assert_eq!(Backup::read(&written, Format::NEWEST).as_ref(), Ok(&backup));
        let mut state = backup.state;
        let since = Since::after(&state.head);
        let index = LogIndex(state.applied.0.saturating_add(POSITIONS_PASSED_OVER));
        let (at, taken_at, on) = (Timestamp(2), backup.about.taken_at, Region::from(REGIONS[1]));
        let (actor, generation) = (Actor::Operator("alice".to_owned()), Generation(7));
        let _ = state.restore(&Restoring { index, at, actor: &actor, on: &on, generation, taken_at, since: &since });
        look_at(&state, &Matrix::default());
    }
}

/// The same with a checksum that fits in the place of its last line.
fn fitting(data: &[u8]) -> Vec<u8> {
    let end = data.len().saturating_sub(1);
    let content = data[..end].iter().rposition(|byte| *byte == b'\n').map_or(data, |at| &data[..=at]);
    let sum: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    [content, format!("sha256:{sum}\n").as_bytes()].concat()
}

/// Reports, one a line, into the matrix of a fleet: everything that is concluded from them is concluded.
pub fn reports(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let state = state(*choice);
    let mut matrix = Matrix::default();
    for line in lines(rest).take(8) {
        if let Ok(report) = serde_json::from_slice::<Report>(line) {
            matrix.take(Timestamp(1_000_000), report);
        }
    }
    look_at(&state, &matrix);
}

/// What a leader and whoever asks it look at all the time.
fn look_at(state: &FleetState, matrix: &Matrix) {
    let view = view();
    let newest = state.services.values().map(|service| service.primary_since).max().unwrap_or(Timestamp(1_000_000));
    for now in [Timestamp(0), newest.plus_ms(500), newest.plus_ms(3_600_000)] {
        let _ = tick(now, state, matrix, &view);
        for service in state.services.values() {
            let _ = state.phase(service);
            let _ = matrix.checks(now, &service.spec.name);
            for region in &service.spec.regions {
                let _ = diagnose(now, &view, &service.spec, region, matrix);
                let _ = matrix.route53_says(now, &view, &service.spec.name, region);
            }
        }
        let _ = what_if_region_vanishes(now, state, matrix, &view, &Region::from(REGIONS[0]));
    }
    let _ = state.why_stay();
    let _ = state.read_by_all(matrix);
}

/// A schedule: three lines, cron, zone, first and last day of a blackout.
pub fn schedules(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines().map(str::to_owned);
    let (cron, timezone) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let days = lines.next().unwrap_or_default();
    let fires = check_cron(&cron).is_ok() && check_timezone(&timezone).is_ok();
    let (from, until) = days.split_once('/').unwrap_or((&days, &days));
    let blackouts = match (check_date(from), check_date(until)) {
        (Ok(_), Ok(_)) => vec![Blackout { from: from.to_owned(), until: until.to_owned() }],
        _ => Vec::new(),
    };
    let schedule = Schedule { cron: cron.clone(), timezone: timezone.clone(), window_ms: 600_000, blackouts };
    let now = Timestamp(1_795_449_607_123);
    for after in [now, Timestamp(0), Timestamp(u64::MAX)] {
        if let Some(next) = next_opening(after, &schedule) {
            assert!(fires && next > after, "{next:?} after {after:?}");
        }
        let _ = blackout_on(after, &schedule);
    }
    let _ = newest_opening(now.minus_ms(86_400_000), now, &schedule);
    let freeze = Freeze { cron, timezone, duration_ms: u64::from(data.len() as u32) * 60_000 };
    assert!(freeze_holds(now, &[freeze]).is_none_or(|until| until > now));
}
