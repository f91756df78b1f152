//! Ascend NPUs through `libdcmi.so`.

mod ask;
pub mod code;
pub mod faults;
mod identity;
pub mod layout;
mod library;
mod links;
mod raw;
mod reader;
pub mod symbol;
pub mod value;

pub use library::Dcmi;
