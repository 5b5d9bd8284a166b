//! The provider as its clients see it: over real sockets, with a ledger on disk.

mod api;
mod bench;
mod callbacks;
mod faults;
