//! The world as ports.
