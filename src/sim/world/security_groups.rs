//! VPC security groups, as far as databases care: some let clients in, some let nobody in.
//!
//! A fence is a swap: a database is fenced when every group that it has lets nobody in.

use std::collections::BTreeSet;

use super::SimulatedAws;
use super::rds_names::{CLOSED_GROUP, OPEN_GROUP};

/// The groups that let nobody in when nothing else was said.
pub(super) fn closed_at_first() -> BTreeSet<String> {
    BTreeSet::from([CLOSED_GROUP.to_owned()])
}

/// Whether a database with these groups can be reached by nobody.
pub(super) fn shut(groups: &[String], closed: &BTreeSet<String>) -> bool {
    !groups.is_empty() && groups.iter().all(|group| closed.contains(group))
}

/// Replaces groups and remembers, in `open`, those that let clients in.
pub(super) fn swap(groups: &mut Vec<String>, open: &mut Vec<String>, new: Vec<String>, closed: &BTreeSet<String>) {
    let old = std::mem::replace(groups, new);
    if !shut(&old, closed) {
        *open = old;
    }
}

/// The groups to go back to.
pub(super) fn before(open: &[String]) -> Vec<String> {
    if open.is_empty() { vec![OPEN_GROUP.to_owned()] } else { open.to_vec() }
}

impl SimulatedAws {
    /// Says of a security group that it lets nobody in.
    pub fn close_group(&self, group: &str) {
        self.with(|world| world.closed_groups.insert(group.to_owned()));
    }
}
