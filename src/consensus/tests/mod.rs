//! Whole fleets on paused time: what a person who relies on the fleet's agreement would notice.

mod crash;
mod disk;
mod fleet;
mod formats;
mod leading;
pub(crate) mod samples;
mod sense;
mod speed;
