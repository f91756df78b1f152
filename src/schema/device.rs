//! A thing that readings are about.

use super::Accelerator;
use super::accelerator::TEXT_EXTRA_BYTES;

/// A thing that readings are about: the node itself, a core, an interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Device {
    /// Stands for the device in readings; unique on its node while it runs.
    pub index: u32,
    /// What people call it: `cpu0`, `eth0`, `nvme0n1`.
    pub name: String,
    /// `node`, `cpu`, `interface`, `disk`, `container`, `own`,
    /// `gpu`, `npu`.
    pub kind: String,
    /// Who made it; empty where that means nothing.
    pub vendor: String,
    /// A name that survives renumbering; empty where there is none.
    pub uuid: String,
    /// The full id, of a container; else empty.
    pub container: String,
    /// The UID of the container's Kubernetes pod; empty where there is none.
    pub pod: String,
    /// What a GPU, an NPU or a part of one is besides.
    pub accelerator: Option<Box<Accelerator>>,
}

impl Device {
    /// At least the bytes that it takes in a batch.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        let texts = [&self.name, &self.kind, &self.vendor, &self.uuid, &self.container, &self.pod];
        let texts: usize = texts.iter().map(|text| text.len() + TEXT_EXTRA_BYTES).sum();
        80 + texts + self.accelerator.as_ref().map_or(0, |of| of.bytes_max())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{
        ABSENT_MAX, AbsentReading, AbsentReason, BATCH_BYTES_MAX, BatchHead, BatchView,
        BatchWriter, DeviceProcess, PROCESSES_MAX, Tables,
    };
    use bytemuck::Zeroable;

    #[test]
    fn a_device_never_takes_more_bytes_than_it_says() {
        let text = |length: usize| "x".repeat(length);
        for (length, processes, absent) in
            [(0, 0, 0), (1, 1, 3), (64, 5, 9), (255, PROCESSES_MAX, ABSENT_MAX)]
        {
            let process = DeviceProcess {
                container: text(length),
                pod: text(length.min(64)),
                ..DeviceProcess::default()
            };
            let absence = AbsentReading { metric: 1, reason: AbsentReason::Failed };
            let accelerator = Accelerator {
                device_model: text(length),
                serial: text(length),
                silent_call: text(length),
                processes: vec![process; processes],
                absent: vec![absence; absent],
                ..Accelerator::default()
            };
            let device = Device {
                name: text(length),
                uuid: text(length),
                accelerator: Some(Box::new(accelerator)),
                ..Device::default()
            };
            let bare = BatchWriter::default().write(&BatchHead::zeroed(), &Tables::default()).len();
            let devices = [device];
            let tables = Tables { devices: &devices, ..Tables::default() };
            let mut writer = BatchWriter::default();
            let bytes = writer.write(&BatchHead::zeroed(), &tables);
            assert!(bytes.len() <= BATCH_BYTES_MAX);
            assert!(bytes.len() - bare <= devices[0].bytes_max(), "{length} {processes} {absent}");
            let view = BatchView::verify(bytes).unwrap();
            assert_eq!(view.devices().collect::<Vec<_>>(), devices);
        }
    }
}
