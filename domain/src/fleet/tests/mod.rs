//! What a fleet agrees on, entry by entry, as a user would notice it.

mod active_active;
mod controller;
mod courses;
mod decide;
pub(crate) mod drills;
pub(crate) mod fixture;
mod formats;
mod forwarded;
mod glass;
mod groups;
mod guards;
mod journal;
mod judging;
mod manifests;
mod members;
mod patience;
mod pausing;
mod recovery;
mod restore;
mod samples;
mod settings;
mod steadiness;
mod stopping;
mod switches;
mod turning;
mod velocity;
mod walk;
