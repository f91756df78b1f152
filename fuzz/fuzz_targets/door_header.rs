//! An engine's header and names: every slot of an accepted door lies inside
//! its memory, and names stay within their bound.

#![no_main]

use eagle_eye::schema::{Door, DoorHeader, Engine, NAME_BYTES_MAX, name_hash};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    check_header(bytes);
    read_info(bytes);
});

/// The header's bytes as they are, and again with a good beginning, so that
/// its sizes are tried too; the memory's size comes from the bytes after it.
fn check_header(bytes: &[u8]) {
    let Some((header, rest)) = bytes.split_first_chunk::<{ size_of::<DoorHeader>() }>() else {
        return;
    };
    let header: DoorHeader = bytemuck::pod_read_unaligned(header);
    let memory_bytes = match rest.first_chunk::<4>() {
        Some(size) => u32::from_le_bytes(*size) as usize,
        None => header.total_bytes as usize,
    };
    let started = DoorHeader { magic: Door::MAGIC, layout: Door::LAYOUT, ..header };
    let placed = DoorHeader { slots_at: Door::SLOTS_AT as u32, ..started };
    for header in [header, started, placed] {
        let Ok(door) = Door::check(&header, memory_bytes) else { continue };
        assert!(door.bytes as usize <= memory_bytes);
        let last = u64::from(door.slot_count);
        for sequence in [0, 1, 2, last - 1, last, last + 1, header.incarnation, u64::MAX] {
            let at = door.slot_at(sequence);
            assert!(at >= Door::SLOTS_AT, "a slot lies behind the info");
            assert!(at + Door::SLOT_BYTES <= door.bytes as usize, "a slot lies inside");
            assert!(at.is_multiple_of(8), "a slot is made of words");
        }
    }
}

fn read_info(bytes: &[u8]) {
    let engine = Door::read_info(bytes);
    for name in names(&engine) {
        assert!(name.len() <= NAME_BYTES_MAX);
    }
    assert_eq!(engine.instance, name_hash(&engine.name));
    let written = Door::write_info(&engine);
    assert!(written.len() <= Door::INFO_BYTES_MAX, "names fit their place");
    assert_eq!(Door::read_info(&written), engine, "what was read survives the trip");
}

fn names(engine: &Engine) -> [&str; 5] {
    [&engine.name, &engine.model, &engine.endpoint, &engine.engine, &engine.source]
}
