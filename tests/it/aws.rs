//! AWS's calls, proved three ways: on the ports of the simulated AWS, through the SDK on its wire, and through the SDK on
//! MiniStack, which others wrote. One suite, one table of what a server cannot do.

mod cases;
mod collector;
pub mod end_to_end;
mod examples_on_ministack;
mod faults;
pub mod ground;
mod strangers;
