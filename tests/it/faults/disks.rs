//! Disks: no room, and a log whose bytes were changed.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, prlimit};
use tokio::time::{Instant, sleep};

use super::stage::Stage;
use crate::process::bound::seconds;

impl Stage {
    fn disk(&self, at: usize) -> PathBuf {
        self.at(at).data.join("consensus.redb")
    }

    /// From now on that daemon's files cannot be written beyond half of what its log has by now: as on a full disk, whoever
    /// the user is.
    pub fn leave_no_room(&self, at: usize) {
        let most = fs::metadata(self.disk(at)).unwrap().len() / 2;
        prlimit(Some(self.at(at).id()), Resource::Fsize, Rlimit { current: Some(most), maximum: None }).unwrap();
    }

    /// Whether that daemon comes up and catches up; else it has ended in words.
    async fn comes_up(&mut self, at: usize) -> bool {
        let deadline = Instant::now() + seconds(40);
        loop {
            if let Some(status) = self.at_mut(at).has_ended() {
                assert_eq!(status.code(), Some(1));
                return false;
            }
            let seen = self.at(at).seen().await;
            if seen.and_then(|seen| seen.answered).is_some_and(|answered| answered.caught_up) {
                return true;
            }
            assert!(Instant::now() < deadline, "it neither comes up nor ends");
            sleep(Duration::from_millis(40)).await;
        }
    }

    /// Takes the room of a running daemon's disk away; it must notice, say so and end.
    pub async fn a_disk_is_full(&mut self, full: usize) {
        self.leave_no_room(full);
        // Whatever it still promised before it noticed, it keeps.
        let _ = self.at(full).set_paused(true).await;
        let status = self.ends_while_others_agree(full).await;
        let log = self.at(full).logged();
        assert_eq!(status.code(), Some(1), "it ends in words, not by a signal");
        let data = self.at(full).data.display().to_string();
        assert!(log.contains(&format!("the log in {data}")), "it says which disk");
        assert!(log.contains("File too large"), "it says why");
    }

    /// Goes on making changes through another daemon until that one has ended: its file may still have room for a few.
    async fn ends_while_others_agree(&mut self, full: usize) -> ExitStatus {
        let deadline = Instant::now() + seconds(60);
        for round in 0_u32.. {
            self.change((full + 1) % 3, round.is_multiple_of(2)).await;
            if let Some(status) = self.at_mut(full).has_ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not notice: {round} changes were agreed");
            sleep(Duration::from_millis(40)).await;
        }
        unreachable!()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_ends_the_daemon_in_words_and_room_brings_it_back_with_all_it_had_agreed() {
    let mut stage = Stage::set().await;
    let leader = stage.leader_among(&[0, 1, 2]).await;
    stage.a_disk_is_full(leader).await;

    // Started while there is still no room, it ends again, in words.
    let most = fs::metadata(stage.disk(leader)).unwrap().len() / 2 / 512;
    let command = stage.command(leader);
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", &format!("ulimit -S -f {most}; exec \"$0\" \"$@\"")]).arg(command.get_program());
    limited.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    let said_before = stage.at(leader).logged().len();
    stage.at_mut(leader).start_as(limited);
    let status = stage.ends_while_others_agree(leader).await;
    let said = stage.at(leader).logged().split_off(said_before);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("File too large") && !said.contains("panicked"), "{said}");
    assert!(said.contains(&stage.at(leader).data.display().to_string()), "{said}");
    stage.judge().await;
}

/// One way in which bytes of a file can go wrong.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Flip { per_mille: u64 },
    CutOff { per_mille: u64 },
    TailZeroed { per_mille: u64 },
    Grown,
}

impl Damage {
    fn inflict(self, bytes: &mut Vec<u8>) {
        let size = bytes.len() as u64;
        let at = |per_mille: u64| usize::try_from(size * per_mille / 1_000).unwrap();
        match self {
            Self::Flip { per_mille } => {
                // The next byte that says something.
                let from = at(per_mille);
                let found = bytes[from..].iter().position(|byte| *byte != 0).map(|offset| from + offset);
                let there = found.or_else(|| bytes.iter().rposition(|byte| *byte != 0)).unwrap();
                bytes[there] ^= 0x10;
            }
            Self::CutOff { per_mille } => {
                let left = at(per_mille);
                bytes.truncate(left);
            }
            Self::TailZeroed { per_mille } => {
                let from = at(per_mille);
                bytes[from..].fill(0);
            }
            Self::Grown => bytes.write_all(&[0xA5; 4_096]).unwrap(),
        }
    }
}

const DAMAGES: [Damage; 9] = [
    Damage::Flip { per_mille: 3 },
    Damage::Flip { per_mille: 20 },
    Damage::Flip { per_mille: 110 },
    Damage::Flip { per_mille: 230 },
    Damage::Flip { per_mille: 340 },
    Damage::CutOff { per_mille: 300 },
    Damage::CutOff { per_mille: 997 },
    Damage::TailZeroed { per_mille: 150 },
    Damage::Grown,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_whose_bytes_were_changed_is_refused_or_mended_and_never_joins_wrong() {
    let mut stage = Stage::set().await;
    let leader = stage.leader_among(&[0, 1, 2]).await;
    let harmed = (leader + 1) % 3;
    for round in 0..8 {
        stage.change(leader, round % 2 == 0).await;
    }
    stage.at_mut(harmed).kill();
    let place = stage.disk(harmed);
    let mut whole = fs::read(&place).unwrap();
    let mut outcomes = Vec::new();
    for damage in DAMAGES {
        let mut bytes = whole.clone();
        damage.inflict(&mut bytes);
        fs::write(&place, bytes).unwrap();
        let said_before = stage.at(harmed).logged().len();
        stage.start(harmed);
        let mended = stage.comes_up(harmed).await;
        outcomes.push((damage, mended));
        if mended {
            // What it knows is what the others know; from here on its disk is this one.
            stage.change(leader, true).await;
            stage.judge().await;
            stage.at_mut(harmed).kill();
            whole = fs::read(&place).unwrap();
        } else {
            let log = stage.at(harmed).logged();
            let said = &log[said_before..];
            assert!(said.contains(&place.display().to_string()), "{damage:?}: {said}");
            assert!(said.contains("is damaged") && said.contains("leave this daemon stopped"), "{damage:?}: {said}");
            assert!(!said.contains("panicked"), "{damage:?}: {said}");
        }
    }
    println!("{outcomes:?}");
    assert!(outcomes.iter().any(|(_, mended)| !mended), "{outcomes:?}");
    assert!(!stage.at(leader).logged().contains("has lost what it had promised"), "none went back");
    fs::write(&place, whole).unwrap();
    stage.judge().await;
}
