//! Whole fleets on paused time: what a person who relies on the fleet's agreement would notice.

mod crash;
mod disk;
mod fleet;
mod formats;
mod leading;
mod recovery;
mod resizing;
mod restore;
pub(crate) mod samples;
mod sense;
mod speed;
