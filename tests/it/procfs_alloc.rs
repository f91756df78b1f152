//! The host samplers allocate nothing per tick once they have met each device.

use std::num::NonZeroU64;
use std::path::Path;

use eagle_eye::samplers::Readings;
use eagle_eye::samplers::own::Own;
use eagle_eye::samplers::procfs::{Procfs, RETRY_TICKS};
use eagle_eye::schema::MetricId;

use crate::counting::allocations;

/// Counts values and keeps none.
#[derive(Default)]
struct Count {
    devices: u32,
    values: u64,
}

impl Readings for Count {
    fn device(&mut self, _: &'static str, _: &str) -> u32 {
        self.devices += 1;
        self.devices
    }
    fn gone(&mut self, _: u32) {}
    fn put(&mut self, _: u32, _: MetricId, _: u64, _: f64) {
        self.values += 1;
    }
}

/// Enough ticks that absent files are tried again, twice.
const TICKS: u64 = 3 * RETRY_TICKS;

#[test]
fn a_tick_of_the_node_allocates_nothing() {
    let mut count = Count::default();
    let mut procfs = Procfs::open(Path::new("/"), &mut count)
        .expect("these tests run where /proc is mounted")
        .with_slow_every(NonZeroU64::MIN);
    procfs.tick(0, &mut count);
    let (devices, values) = (count.devices, count.values);
    let allocated = allocations(|| {
        for now in 1..TICKS {
            procfs.tick(now, &mut count);
        }
    });
    assert!(count.values >= values * (TICKS - 1), "the ticks put their values");
    // A device that comes up meanwhile may allocate; on a still node none does.
    if count.devices == devices {
        assert_eq!(allocated, 0);
    }
}

#[test]
fn a_node_whose_files_are_missing_costs_no_allocation_either() {
    let root = tempfile::tempdir().expect("a temporary folder can be made");
    std::fs::create_dir(root.path().join("proc")).expect("the folder is ours");
    std::fs::write(root.path().join("proc/loadavg"), "0.00 0.00 0.00 1/2 3\n")
        .expect("the folder is ours");
    let mut count = Count::default();
    let mut procfs = Procfs::open(root.path(), &mut count)
        .expect("one file is enough")
        .with_slow_every(NonZeroU64::MIN);
    let allocated = allocations(|| {
        for now in 0..TICKS {
            procfs.tick(now, &mut count);
        }
    });
    assert_eq!((allocated, count.values), (0, TICKS * 5));
}

#[test]
fn a_tick_about_this_process_allocates_nothing() {
    let mut count = Count::default();
    let mut own = Own::open(&mut count).expect("these tests run where /proc is mounted");
    let allocated = allocations(|| {
        for now in 0..TICKS {
            own.tick(now, &mut count);
        }
    });
    assert_eq!((allocated, count.values), (0, TICKS * 4));
}
