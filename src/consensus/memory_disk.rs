//! A disk that lives in memory: it outlives the daemon that writes to it. Of what was not synced before a crash it has
//! nothing, or some, as real disks do: writes in any choice, and one cut in half. For simulations; nothing of it survives
//! the process.

use std::fmt;
use std::io::{Error, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use redb::StorageBackend;

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    platter: Arc<Mutex<Platter>>,
}

#[derive(Default)]
struct Platter {
    bytes: Vec<u8>,
    /// What undoes each write since the last sync, oldest first.
    undo: Vec<Undo>,
    /// Raised by every crash: whoever opened the disk before writes into the void.
    crashes: u64,
    is_open: bool,
    is_full: bool,
    /// So many operations are left to it; `None`: any number.
    dies_after: Option<u64>,
    syncs: u64,
}

impl Platter {
    /// Takes back what was not synced; what that were, oldest first.
    fn crash(&mut self) -> Vec<(usize, Vec<u8>)> {
        let mut written = Vec::new();
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Overwritten { offset, old, new } => {
                    self.bytes[offset..offset + old.len()].copy_from_slice(&old);
                    written.push((offset, new));
                }
                Undo::Grown { old_len } => self.bytes.truncate(old_len),
                Undo::Shrunk { tail } => self.bytes.extend(tail),
            }
        }
        written.reverse();
        self.crashes += 1;
        self.is_open = false;
        self.dies_after = None;
        written
    }
}

enum Undo {
    Overwritten { offset: usize, old: Vec<u8>, new: Vec<u8> },
    Grown { old_len: usize },
    Shrunk { tail: Vec<u8> },
}

impl MemoryDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The daemon dies now: writes that were not synced are lost, and whatever still runs of it can neither read
    /// nor write here any more. The disk can be opened again.
    pub fn crash(&self) {
        self.platter().crash();
    }

    /// As [`Self::crash`], but some of the writes that were not synced have reached the platter, in no order, and one of
    /// them in part. Which ones follows from the seed and from all that was synced before.
    pub fn crash_torn(&self, seed: u64) {
        let mut platter = self.platter();
        let mut draws = StdRng::seed_from_u64(seed ^ platter.syncs.rotate_left(32) ^ platter.crashes);
        let grown = platter.bytes.len();
        let written = platter.crash();
        if draws.gen_bool(0.5) && platter.bytes.len() < grown {
            platter.bytes.resize(grown, 0);
        }
        for (offset, mut new) in written {
            match draws.gen_range(0..5) {
                0..=2 => continue,
                3 => {}
                _ => new.truncate(draws.gen_range(0..=new.len())),
            }
            let end = offset + new.len();
            if platter.bytes.len() < end {
                platter.bytes.resize(end, 0);
            }
            platter.bytes[offset..end].copy_from_slice(&new);
        }
    }

    /// From now on writes and syncs fail as on a full disk, or no longer do.
    pub fn set_full(&self, is_full: bool) {
        self.platter().is_full = is_full;
    }

    /// Another disk with what is on this one now, as a snapshot of a volume would have it.
    #[cfg(test)]
    pub(super) fn copy(&self) -> Self {
        let bytes = self.platter().bytes.clone();
        Self { platter: Arc::new(Mutex::new(Platter { bytes, ..Platter::default() })) }
    }

    /// After so many more writes, syncs and changes of size it does nothing any more: power fails in the middle.
    #[cfg(test)]
    pub(super) fn set_dying(&self, after: u64) {
        self.platter().dies_after = Some(after);
    }

    /// How many bytes it holds.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.platter().bytes.len()
    }

    /// How often it was synced.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.platter().syncs
    }

    pub(super) fn is_empty(&self) -> bool {
        self.platter().bytes.is_empty()
    }

    /// Takes the disk for one user; `None` while another has it.
    pub(super) fn attach(&self) -> Option<MemoryBackend> {
        let mut platter = self.platter();
        if platter.is_open {
            return None;
        }
        platter.is_open = true;
        Some(MemoryBackend { disk: self.clone(), opened_after: platter.crashes })
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.platter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDisk").field("size_bytes", &self.size_bytes()).finish()
    }
}

/// What redb writes through.
#[derive(Debug)]
pub(super) struct MemoryBackend {
    disk: MemoryDisk,
    opened_after: u64,
}

impl MemoryBackend {
    fn reading(&self) -> Result<MutexGuard<'_, Platter>, Error> {
        let platter = self.disk.platter();
        if platter.crashes == self.opened_after { Ok(platter) } else { Err(Error::other("the daemon crashed")) }
    }

    fn writing(&self) -> Result<MutexGuard<'_, Platter>, Error> {
        let mut platter = self.reading()?;
        if platter.is_full {
            return Err(Error::new(ErrorKind::StorageFull, "no space left on device"));
        }
        match &mut platter.dies_after {
            Some(0) => return Err(Error::other("the power is off")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(platter)
    }
}

fn span(offset: u64, len: usize, size: usize) -> Result<std::ops::Range<usize>, Error> {
    let start = usize::try_from(offset).map_err(Error::other)?;
    match start.checked_add(len) {
        Some(end) if end <= size => Ok(start..end),
        _ => Err(Error::new(ErrorKind::UnexpectedEof, "beyond the end of the disk")),
    }
}

impl StorageBackend for MemoryBackend {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.reading()?.bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let platter = self.reading()?;
        out.copy_from_slice(&platter.bytes[span(offset, out.len(), platter.bytes.len())?]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        let len = usize::try_from(len).map_err(Error::other)?;
        let mut platter = self.writing()?;
        let old_len = platter.bytes.len();
        if len < old_len {
            let tail = platter.bytes.split_off(len);
            platter.undo.push(Undo::Shrunk { tail });
        } else {
            platter.bytes.resize(len, 0);
            platter.undo.push(Undo::Grown { old_len });
        }
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Error> {
        let mut platter = self.writing()?;
        platter.undo.clear();
        platter.syncs += 1;
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        let mut platter = self.writing()?;
        let range = span(offset, data.len(), platter.bytes.len())?;
        let old = platter.bytes[range.clone()].to_vec();
        platter.undo.push(Undo::Overwritten { offset: range.start, old, new: data.to_vec() });
        platter.bytes[range].copy_from_slice(data);
        Ok(())
    }

    fn close(&self) -> Result<(), Error> {
        if let Ok(mut platter) = self.reading() {
            platter.is_open = false;
        }
        Ok(())
    }
}
