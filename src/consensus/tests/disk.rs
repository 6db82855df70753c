//! Disks that are refused, and what a person is told.

use std::path::Path;

use failoverd_domain::format::Format;
use failoverd_domain::ids::Generation;

use crate::consensus::{Disk, FILE_NAME, Identity, MemoryDisk, OpenError};

fn identity() -> Identity {
    Identity { fleet: "prod".into(), region: "us-east-1".into(), generation: Generation(1) }
}

fn open(directory: &Path, identity: &Identity) -> Result<(), OpenError> {
    Disk::Directory(directory.to_owned()).open(identity, Format::NEWEST).map(drop)
}

#[test]
fn a_directory_of_its_own_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let nested = directory.path().join("not/there/yet");
    open(&nested, &identity()).unwrap();
    open(&nested, &identity()).unwrap();
}

#[test]
fn a_directory_of_somebody_else_is_refused_and_named() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path(), &identity()).unwrap();
    let strangers = [
        Identity { fleet: "staging".into(), ..identity() },
        Identity { region: "eu-west-1".into(), ..identity() },
        Identity { generation: Generation(2), ..identity() },
    ];
    for stranger in strangers {
        let refused = open(directory.path(), &stranger).unwrap_err().to_string();
        assert!(refused.contains(&directory.path().join(FILE_NAME).display().to_string()), "{refused}");
        assert!(refused.contains("fleet prod, Region us-east-1, generation 1"), "{refused}");
        assert!(refused.contains(&stranger.to_string()), "{refused}");
    }
    open(directory.path(), &identity()).unwrap();
}

#[test]
fn a_directory_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _first = Disk::Directory(directory.path().to_owned()).open(&identity(), Format::NEWEST).unwrap();
    let refused = open(directory.path(), &identity()).unwrap_err();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
}

#[test]
fn damage_is_refused_and_never_repaired_by_starting_anew() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 5] = [
        ("emptied", |bytes| bytes.clear()),
        ("cut short", |bytes| bytes.truncate(bytes.len() / 2)),
        ("overwritten", |bytes| bytes.fill(7)),
        ("text", |bytes| *bytes = b"not a database".to_vec()),
        ("scribbled on", |bytes| bytes.iter_mut().skip(4096).for_each(|byte| *byte ^= 0x55)),
    ];
    for (damage, apply) in damages {
        let directory = tempfile::tempdir().unwrap();
        open(directory.path(), &identity()).unwrap();
        let path = directory.path().join(FILE_NAME);
        let mut bytes = std::fs::read(&path).unwrap();
        apply(&mut bytes);
        std::fs::write(&path, &bytes).unwrap();
        let refused = open(directory.path(), &identity()).unwrap_err();
        assert!(matches!(refused, OpenError::Damaged { .. }), "{damage}: {refused}");
        assert!(refused.to_string().contains("leave this daemon stopped"), "{refused}");
        assert_eq!(std::fs::read(&path).unwrap().len(), bytes.len(), "{damage}: the file was touched");
    }
}

#[test]
fn a_creation_that_was_interrupted_is_begun_again() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("consensus.redb.new"), b"half").unwrap();
    open(directory.path(), &identity()).unwrap();
    assert!(!directory.path().join("consensus.redb.new").exists());
}

#[test]
fn a_place_that_cannot_be_written_is_refused_with_its_cause() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let refused = open(&file, &identity()).unwrap_err();
    assert!(matches!(refused, OpenError::Unreachable { .. }), "{refused}");
}

#[test]
fn a_full_disk_is_refused_as_full() {
    let disk = MemoryDisk::new();
    disk.set_full(true);
    let refused = Disk::Memory(disk).open(&identity(), Format::NEWEST).map(drop).unwrap_err();
    assert!(matches!(refused, OpenError::Full { .. }), "{refused}");
}

#[test]
fn a_disk_in_memory_has_one_user_until_it_is_closed_or_crashes() {
    let disk = MemoryDisk::new();
    let first = Disk::Memory(disk.clone()).open(&identity(), Format::NEWEST).unwrap();
    assert!(matches!(Disk::Memory(disk.clone()).open(&identity(), Format::NEWEST), Err(OpenError::InUse { .. })));
    drop(first);
    let second = Disk::Memory(disk.clone()).open(&identity(), Format::NEWEST).unwrap();
    disk.crash();
    let third = Disk::Memory(disk.clone()).open(&identity(), Format::NEWEST).unwrap();
    drop(second);
    assert!(
        matches!(Disk::Memory(disk).open(&identity(), Format::NEWEST), Err(OpenError::InUse { .. })),
        "the third still has it"
    );
    drop(third);
}
