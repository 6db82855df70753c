//! One fault after the other, drawn at random, for as long as one likes: `make faults MINUTES=10`.

use std::time::Duration;

use failoverd::sim::world::Draws;
use tokio::time::{Instant, sleep};

use super::stage::{EU, Stage, US};
use crate::process::fleet::REGIONS;

/// What can be done to a fleet.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Isolated,
    Deaf,
    Mute,
    Slow,
    Reset,
    Flapping,
    Killed,
    Frozen,
    NoRoom,
    NoDatabases,
    NewCertificates,
    KilledInMidRun,
}

const FAULTS: [Fault; 12] = [
    Fault::Isolated,
    Fault::Deaf,
    Fault::Mute,
    Fault::Slow,
    Fault::Reset,
    Fault::Flapping,
    Fault::Killed,
    Fault::Frozen,
    Fault::NoRoom,
    Fault::NoDatabases,
    Fault::NewCertificates,
    Fault::KilledInMidRun,
];

/// Figures of a whole sequence.
#[derive(Default)]
struct Tally {
    rounds: u32,
    resumed_ms: Vec<u64>,
}

fn variable(name: &str, or: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(or)
}

fn draw(draws: &mut Draws, of: u32) -> usize {
    (draws.next_u32() % of) as usize
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "for as long as one likes: make faults MINUTES=10"]
async fn random_faults_for_some_minutes() {
    let (minutes, seed) = (variable("MINUTES", 1), variable("SEED", u64::from(std::process::id())));
    println!("SEED={seed}: faults are drawn from it, and what the machine does in between is its own");
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let (mut draws, mut tally) = (Draws::new(seed), Tally::default());
    let mut stage = Stage::set().await;
    while Instant::now() < end {
        let fault = FAULTS[draw(&mut draws, u32::try_from(FAULTS.len()).unwrap())];
        let leader = stage.leader_among(&[0, 1, 2]).await;
        let victim = if draw(&mut draws, 3) < 2 { leader } else { draw(&mut draws, 3) };
        println!("round {}: {fault:?} at {}", tally.rounds, REGIONS[victim]);
        stage.suffer(fault, victim, &mut draws, &mut tally).await;
        stage.judge().await;
        tally.rounds += 1;
    }
    let mut times = tally.resumed_ms;
    times.sort_unstable();
    let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len().saturating_sub(1)));
    let (rounds, count) = (tally.rounds, times.len());
    println!("{rounds} rounds, every one with its verdict; from leader kill to resumed step, {count} times:");
    println!("p50 {:?} ms, p99 {:?} ms", at(50), at(99));
}

impl Stage {
    /// Where the service is not.
    async fn elsewhere(&self, at: usize) -> &'static str {
        let here = self.service(at).await.map(|service| service.primary);
        if here.as_deref() == Some(US) { EU } else { US }
    }

    async fn suffer(&mut self, fault: Fault, victim: usize, draws: &mut Draws, tally: &mut Tally) {
        let witness = (victim + 1) % REGIONS.len();
        let to = self.elsewhere(witness).await;
        if let Fault::KilledInMidRun = fault {
            tally.resumed_ms.push(self.leader_is_killed_in_mid_run(to).await);
            return;
        }
        // Two times in three something is under way.
        if draw(draws, 3) < 2 {
            let run = self.move_to(to, witness).await;
            if draw(draws, 2) == 0 {
                self.is_under_way(witness, &run).await;
            }
        }
        let lasts = Duration::from_millis(500 + u64::from(draws.next_u32() % 14_000));
        match fault {
            Fault::Isolated => self.links.isolate(victim),
            Fault::Deaf => self.links.deafen(victim),
            Fault::Mute => self.links.mute(victim),
            Fault::Slow => self.links.slow(Duration::from_millis(60)),
            Fault::Reset => self.links.reset(victim),
            Fault::Flapping => {
                for _ in 0..6 {
                    self.links.isolate(victim);
                    sleep(lasts / 12).await;
                    self.links.heal();
                    sleep(lasts / 12).await;
                }
            }
            Fault::Killed => self.at_mut(victim).kill(),
            Fault::Frozen => self.freeze(victim),
            Fault::NoRoom => self.a_disk_is_full(victim).await,
            Fault::NoDatabases => self.databases.cut(0, 1),
            Fault::NewCertificates => {
                self.secured.lay(&self.authority);
                self.links.reset(victim);
            }
            Fault::KilledInMidRun => {}
        }
        // Somebody types meanwhile, and may be refused; what is acknowledged must last.
        let typed = tokio::time::timeout(lasts, self.at(witness).set_paused(draws.next_u32().is_multiple_of(2))).await;
        if let Ok(Ok(revision)) = typed {
            self.acknowledged.push(revision);
        }
        sleep(lasts).await;
        if let Fault::Frozen = fault {
            self.thaw(victim);
        }
    }

    /// A step has begun, or the run is over already.
    async fn is_under_way(&self, at: usize, run: &str) {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(10) {
            let seen = self.run(at, run).await;
            if seen.is_some_and(|run| run.verdict.is_some() || run.steps.iter().any(|step| step.attempts > 0)) {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}
