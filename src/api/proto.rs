//! The generated messages, clients and servers of `proto/failoverd/v1`. Nothing is written by hand here.

#![allow(missing_docs, clippy::all, reason = "generated code")]

tonic::include_proto!("failoverd.v1");

/// Encoded descriptors of every proto file, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
