//! Every disk of the fleet is lost, and one daemon begins from a backup.

use failoverd_domain::fleet::{Actor, FleetState, POSITIONS_PASSED_OVER, Restoring, Since};
use failoverd_domain::ids::{Generation, LogIndex, Region};

use super::whole::SimulatedFleet;
use crate::consensus::{Disk, MemoryDisk, restore};
use crate::ports::Clock as _;

impl SimulatedFleet {
    /// Takes everybody's disk away and does `failoverd recover --force-new-fleet --from` on the one of `on`, with what its history
    /// knows since. No daemon may run.
    ///
    /// # Errors
    /// In its own words.
    pub fn restore_on(&mut self, on: &Region, backup: &FleetState) -> Result<(), String> {
        for home in self.homes.values_mut() {
            home.disk = MemoryDisk::new();
        }
        let home = &self.homes[on];
        let mut state = backup.clone();
        let mut since = Since::after(&state.head);
        let known = home.history.as_ref().map_or_else(Vec::new, |history| history.events());
        known.iter().filter(|event| event.seq > backup.head.seq).try_for_each(|event| since.take(event))?;
        let (at, actor) = (home.machine.now(), Actor::Operator("alice".to_owned()));
        let index = LogIndex(state.applied.max(since.index).0 + POSITIONS_PASSED_OVER);
        let generation = Generation(since.generation.max(backup.generation).0 + 1);
        let how = Restoring { index, at, actor: &actor, on, generation, taken_at: at, since: &since };
        let events = state.restore(&how);
        let disk = Disk::Memory(home.disk.clone());
        restore(&disk, on, home.build.reads, 1, &state, &events).map_err(|error| error.to_string())?;
        self.judge.tell(format!("restored on {on} as generation {generation}"));
        self.judge.recovered(&state, &events);
        Ok(())
    }
}
