//! AWS, through its SDK: the only place that names it. Every call goes through [`Account::call`].

mod account;
mod answer;
mod budget;
mod canaries;
mod cloudwatch;
mod dynamodb;
mod limits;
mod permissions;
mod rds;
mod route53;
mod s3;
mod shared;
mod time;
mod world;

pub use account::{Account, Settings};
pub use world::{Outside, world};
