//! Real daemons on a real network that fails: three processes over mutual TLS whose links go through proxies of this test,
//! or that live in network namespaces of their own, on the simulated AWS over its wire. docs/faults.md says what each shows.

mod certificates;
mod cuts;
mod disks;
mod judge;
mod links;
mod namespaces;
mod random;
mod stage;
mod stops;
