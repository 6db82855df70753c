//! What a fleet agrees on, entry by entry, as a user would notice it.

mod active_active;
mod controller;
mod decide;
pub(crate) mod drills;
pub(crate) mod fixture;
mod formats;
mod glass;
mod groups;
mod guards;
mod journal;
mod manifests;
mod members;
mod pausing;
mod recovery;
mod restore;
mod samples;
mod settings;
mod stopping;
mod switches;
mod velocity;
mod walk;
