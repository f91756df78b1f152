//! The live view in the terminal, and its plain and JSON forms.
//!
//! A [`Screen`] is all that there is to show, taken at one instant; drawing it
//! is a pure function, so that tests hold every screen as text. The view
//! judges nothing: it shows what samplers, engines and the node's judge said, how
//! old that is, and what was lost.

mod accelerator;
mod accelerators;
mod container;
mod containers;
mod detail;
mod devices;
mod draw;
mod engines;
mod events;
mod gauges;
mod hardware;
mod health;
mod history;
mod host;
#[cfg(test)]
mod picture;
mod plain;
mod screen;
mod sort;
mod terminal;
#[cfg(test)]
mod tests;
pub(super) mod text;
mod ui;
mod verdicts;
pub(super) mod verb;

pub use accelerator::Accelerator;
pub use container::Container;
pub use draw::draw;
pub use gauges::Gauge;
pub use hardware::{DeviceKind, Sign};
pub use history::{History, POINTS_MAX};
pub use plain::{json, plain};
pub use screen::Screen;
pub use sort::{ContainerSort, Sort};
pub use terminal::run_terminal;
pub use ui::{Flow, Place, Tab, Ui};
