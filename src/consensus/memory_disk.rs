//! A disk that lives in memory: it outlives the daemon that writes to it and forgets, at a crash, what was not
//! synced. For simulations; nothing of it survives the process.

use std::fmt;
use std::io::{Error, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    syncs: u64,
}

enum Undo {
    Overwritten { offset: usize, old: Vec<u8> },
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
        let mut platter = self.platter();
        while let Some(undo) = platter.undo.pop() {
            match undo {
                Undo::Overwritten { offset, old } => platter.bytes[offset..offset + old.len()].copy_from_slice(&old),
                Undo::Grown { old_len } => platter.bytes.truncate(old_len),
                Undo::Shrunk { tail } => platter.bytes.extend(tail),
            }
        }
        platter.crashes += 1;
        platter.is_open = false;
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

    /// Flips one bit of what is stored.
    pub fn flip_bit(&self, offset: usize) {
        if let Some(byte) = self.platter().bytes.get_mut(offset) {
            *byte ^= 1;
        }
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
        let platter = self.reading()?;
        if platter.is_full { Err(Error::new(ErrorKind::StorageFull, "no space left on device")) } else { Ok(platter) }
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
        platter.undo.push(Undo::Overwritten { offset: range.start, old });
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
