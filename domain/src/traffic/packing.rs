//! Changes of many services in the fewest batches.
//!
//! A change batch is all or nothing, and so is what one service wants: its changes stand behind its own fence. A piece
//! is therefore never split, and a batch is nothing but pieces one after the other. Pure: who sends it is the settler.

use std::cmp::Reverse;
use std::fmt;

use crate::route53::{Change, RecordSet, RecordType, quoted_text};

/// Records in one batch, aliases among them; see [`Load`].
pub const MOST_RECORDS: usize = 1_000;
/// Characters of values in one batch.
pub const MOST_CHARACTERS: usize = 32_000;

/// How much of a batch some changes take.
///
/// `ChangeResourceRecordSets` takes 1,000 `ResourceRecord` elements and 32,000 characters in `Value` elements, spaces
/// included; an UPSERT would count twice, and there is none here
/// (<https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html#limits-api-requests-changeresourcerecordsets>).
/// Counted so as to be refused never, at the price of a batch more now and then: a DELETE costs what a CREATE does, an
/// alias, which has no `ResourceRecord` of its own, costs one, and a text counts with its quotes and escapes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// `ResourceRecord` elements.
    pub records: usize,
    /// Characters in `Value` elements.
    pub characters: usize,
}

impl Load {
    /// What a batch takes.
    pub const MOST: Self = Self { records: MOST_RECORDS, characters: MOST_CHARACTERS };

    /// What these changes take.
    #[must_use]
    pub fn of(changes: &[Change]) -> Self {
        changes.iter().map(|change| Self::of_set(set_of(change))).fold(Self::default(), Self::with)
    }

    fn of_set(set: &RecordSet) -> Self {
        let characters = |value: &String| match set.record_type {
            RecordType::Txt => quoted_text(value).chars().count(),
            // Names get a trailing dot on the way.
            _ => value.chars().count() + 1,
        };
        Self { records: set.values.len().max(1), characters: set.values.iter().map(characters).sum() }
    }

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self { records: self.records + other.records, characters: self.characters + other.characters }
    }

    /// Whether it is no more than a batch takes.
    #[must_use]
    pub const fn fits(self) -> bool {
        self.records <= MOST_RECORDS && self.characters <= MOST_CHARACTERS
    }

    /// By what it takes most of, in parts of a whole batch.
    const fn size(self) -> usize {
        let (records, characters) = (self.records * MOST_CHARACTERS, self.characters * MOST_RECORDS);
        if records > characters { records } else { characters }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records and {} characters of values", self.records, self.characters)
    }
}

/// What one service wants changed: all of it, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece<K> {
    /// Whose it is.
    pub key: K,
    /// As [`super::settle`] gave them, deletes first, the fence among them.
    pub changes: Vec<Change>,
}

impl<K> Piece<K> {
    /// Whether AWS's words about a batch speak of this piece: of a name that it changes, or of a health check that it
    /// needs.
    #[must_use]
    pub fn is_named_in(&self, words: &str) -> bool {
        let words = words.to_ascii_lowercase();
        self.changes.iter().map(set_of).any(|set| {
            let check = set.health_check.as_ref().map(|id| id.as_str().to_ascii_lowercase());
            names(&words, &set.name) || check.is_some_and(|check| names(&words, &check))
        })
    }
}

/// Whether `name` stands in `words` as a whole: `shop.example.com` is not a word on `example.com`, nor on
/// `shop.example.com.au`.
fn names(words: &str, name: &str) -> bool {
    let inside = |letter: char| letter.is_ascii_alphanumeric() || "-_.*\\".contains(letter);
    !name.is_empty()
        && words.match_indices(name).any(|(at, _)| {
            let (before, after) = (&words[..at], &words[at + name.len()..]);
            let after = after.strip_prefix('.').unwrap_or(after);
            !before.ends_with(inside) && !after.starts_with(inside)
        })
}

/// Pieces that go in one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch<K> {
    /// One after the other.
    pub pieces: Vec<Piece<K>>,
}

impl<K> Batch<K> {
    /// All of its changes, in order.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.pieces.iter().flat_map(|piece| &piece.changes)
    }
}

/// A piece that no batch takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "its changes are {load}, and one batch of Route 53 takes {}: they cannot be split, as they stand behind one fence; give the service fewer records or values",
    Load::MOST
)]
pub struct TooLarge<K> {
    /// Whose it is.
    pub key: K,
    /// How much it is.
    pub load: Load,
}

/// Packs pieces of one zone, the largest first, each into the first batch that has room for it. Who came first goes
/// first among equals. What no batch takes comes back by itself.
#[must_use]
pub fn pack<K>(pieces: Vec<Piece<K>>) -> (Vec<Batch<K>>, Vec<TooLarge<K>>) {
    let mut sized: Vec<(Load, Piece<K>)> = pieces.into_iter().map(|piece| (Load::of(&piece.changes), piece)).collect();
    sized.sort_by_key(|(load, _)| Reverse(load.size()));
    let (mut batches, mut refused) = (Vec::<(Load, Batch<K>)>::new(), Vec::new());
    for (load, piece) in sized {
        if !load.fits() {
            refused.push(TooLarge { key: piece.key, load });
            continue;
        }
        match batches.iter_mut().find(|(held, _)| held.with(load).fits()) {
            Some((held, batch)) => {
                *held = held.with(load);
                batch.pieces.push(piece);
            }
            None => batches.push((load, Batch { pieces: vec![piece] })),
        }
    }
    (batches.into_iter().map(|(_, batch)| batch).collect(), refused)
}

/// How many batches are needed at least for pieces that each fit.
#[must_use]
pub fn least_batches(loads: &[Load]) -> usize {
    let records = least(loads.iter().map(|load| load.records).collect(), MOST_RECORDS);
    let characters = least(loads.iter().map(|load| load.characters).collect(), MOST_CHARACTERS);
    records.max(characters)
}

/// By the sum of what they take, and by how many of the smallest go into one, as no piece is split.
fn least(mut sizes: Vec<usize>, most: usize) -> usize {
    let by_sum = sizes.iter().sum::<usize>().div_ceil(most);
    sizes.sort_unstable();
    let mut taken = 0;
    let has_room = |size: &&usize| {
        taken += **size;
        taken <= most
    };
    let at_once = sizes.iter().take_while(has_room).count();
    by_sum.max(sizes.len().div_ceil(at_once.max(1)))
}

const fn set_of(change: &Change) -> &RecordSet {
    match change {
        Change::Create(set) | Change::Delete(set) => set,
    }
}
