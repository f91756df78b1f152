//! Network interfaces, from `/proc/net/dev`.

use std::path::Path;

use crate::schema::MetricId;

use super::devices::{Name, Names};
use super::file::{KeptFile, Shape};
use super::netdev::{self, Interface};
use super::report::Absence;
use super::window::Window;

/// Follows `/proc/net/dev`.
#[derive(Debug)]
pub(crate) struct Interfaces {
    file: KeptFile,
    names: Names,
}

impl Interfaces {
    /// The interfaces that `net_dev` lists.
    pub(crate) fn new(net_dev: &Path) -> Self {
        Self { file: KeptFile::new(net_dev, Shape::Paged), names: Names::default() }
    }

    /// Reads the file once.
    pub(crate) fn tick(&mut self, tick: u64, buffer: &mut Vec<u8>, window: &mut Window<'_>) {
        let Some(text) = window.text(self.file.read(tick, buffer)) else { return };
        self.names.begin();
        let refused = netdev::parse(text, |raw, counts| {
            match self.names.device(Name::new(raw), |name| meet(name, window)) {
                Ok(Some(device)) => put(device, &counts, window),
                Ok(None) => {}
                Err(why) => window.absent(why),
            }
        });
        window.rows_refused(refused);
        // A row that made no sense may be the one that seems to be missing.
        if refused == 0 {
            self.names.forget_missing(|device| window.gone(device));
        }
    }
}

/// The loopback says nothing about the node's network.
fn meet(name: &Name, window: &mut Window<'_>) -> Result<Option<u32>, Absence> {
    match name.as_str() {
        "lo" => Ok(None),
        name => window.device("interface", name).map(Some),
    }
}

fn put(device: u32, counts: &Interface, window: &mut Window<'_>) {
    window.put_count(device, MetricId::InterfaceReceived, counts.received_bytes);
    window.put_count(device, MetricId::InterfaceSent, counts.sent_bytes);
    window.put_count(device, MetricId::InterfaceReceivedPackets, counts.received_packets);
    window.put_count(device, MetricId::InterfaceSentPackets, counts.sent_packets);
    window.put_count(device, MetricId::InterfaceReceiveErrors, counts.receive_errors);
    window.put_count(device, MetricId::InterfaceSendErrors, counts.send_errors);
    window.put_count(device, MetricId::InterfaceReceiveDrops, counts.receive_drops);
    window.put_count(device, MetricId::InterfaceSendDrops, counts.send_drops);
}
