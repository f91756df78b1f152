//! What a child that loads a vendor's library says is taken as hostile: a
//! record is refused or means what it says, and only readings of accelerators
//! are believed. So are bytes of an inventory from the journal.
#![no_main]

use eagle_eye::platform::clock::SECOND_NS;
use eagle_eye::samplers::Readings;
use eagle_eye::samplers::accelerator::record::{
    Message, RECORD_BYTES, TEXT_BYTES_MAX, decode, encode,
};
use eagle_eye::samplers::accelerator::{Accelerators, Facts, ParentPlan};
use eagle_eye::schema::{Device, Event, MetricId};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (mut text, mut again) = (String::new(), String::new());
    for record in bytes.chunks(RECORD_BYTES) {
        let mut whole = [0; RECORD_BYTES];
        whole[..record.len()].copy_from_slice(record);
        if let Ok(message) = decode(&whole, &mut text) {
            assert_eq!(decode(&encode(&message), &mut again), Ok(message));
            if let Message::Values(_, _, values) = message {
                for (metric, value) in values.items() {
                    assert!(matches!(metric.row().device_kind, "accelerator" | "gpu" | "npu"));
                    assert!(value.is_finite());
                }
            }
        }
        assert!(text.len() <= TEXT_BYTES_MAX);
    }
    an_inventory_is_believed_in_part(bytes);
});

/// Whatever the journal kept, the devices have names, and none is many.
fn an_inventory_is_believed_in_part(bytes: &[u8]) {
    let mut listener = Listener::default();
    let mut sampler = Accelerators::new(ParentPlan {
        name: "nvml",
        program: "/nowhere".into(),
        arguments: Vec::new(),
        host_root: "/nowhere".into(),
        deadline_ms: 2000,
        simulated: true,
        inventory: Some(bytes.to_vec()),
    });
    sampler.tick(SECOND_NS, &mut listener);
    assert!(listener.described <= 256);
}

#[derive(Default)]
struct Listener {
    described: usize,
}

impl Readings for Listener {
    fn device(&mut self, _: &'static str, name: &str) -> u32 {
        assert!(!name.is_empty());
        0
    }
    fn gone(&mut self, _: u32) {}
    fn put(&mut self, _: u32, _: MetricId, _: u64, value: f64) {
        assert!(value.is_finite());
    }
}

impl Facts for Listener {
    fn forget(&mut self, _: u32, _: MetricId) {}
    fn describe(&mut self, _: Device) {
        self.described += 1;
    }
    fn offer(&mut self, _: Option<Event>, _: Option<Vec<u8>>) -> bool {
        true
    }
}
