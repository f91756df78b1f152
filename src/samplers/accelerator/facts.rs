//! What the parent needs of an outlet, so that it can be tried against a list.

use crate::samplers::{Outlet, Readings};
use crate::schema::{Device, Event, MetricId};

/// Where the parent puts what it knows.
pub trait Facts: Readings {
    /// A value that can no longer be had.
    fn forget(&mut self, device: u32, metric: MetricId);
    /// Says more about a device.
    fn describe(&mut self, device: Device);
    /// Hands over an event, the inventory, or both as one; whether they were
    /// taken. Who was refused offers again.
    fn offer(&mut self, event: Option<Event>, inventory: Option<Vec<u8>>) -> bool;
}

impl Facts for Outlet {
    fn forget(&mut self, device: u32, metric: MetricId) {
        self.forget_reading(device, metric);
    }

    fn describe(&mut self, device: Device) {
        Self::describe(self, device);
    }

    fn offer(&mut self, event: Option<Event>, inventory: Option<Vec<u8>>) -> bool {
        Self::offer(self, event, inventory)
    }
}
