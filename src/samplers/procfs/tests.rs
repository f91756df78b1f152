//! The sampler as a whole, over folders that play the node and over the node itself.

use std::collections::BTreeMap;
use std::fs;

use super::*;

/// The newest value of everything, by device name.
#[derive(Default)]
struct Newest {
    names: Vec<String>,
    values: BTreeMap<(String, MetricId), f64>,
    gone: Vec<String>,
}

impl Newest {
    fn value(&self, device: &str, metric: MetricId) -> Option<f64> {
        self.values.get(&(device.to_owned(), metric)).copied()
    }

    fn devices(&self, kind: &str) -> Vec<&str> {
        let prefix = format!("{kind}/");
        self.names.iter().filter_map(|name| name.strip_prefix(&prefix)).collect()
    }
}

impl Readings for Newest {
    fn device(&mut self, kind: &'static str, name: &str) -> u32 {
        self.names.push(format!("{kind}/{name}"));
        self.names.len() as u32 - 1
    }
    fn gone(&mut self, device: u32) {
        self.gone.push(self.names[device as usize].clone());
    }
    fn put(&mut self, device: u32, metric: MetricId, time_ns: u64, value: f64) {
        let name = &self.names[device as usize];
        assert_eq!(time_ns, 99);
        assert_eq!(name.split_once('/').map(|name| name.0), Some(metric.row().device_kind));
        assert!(value.is_finite() && value >= 0.0, "{name} {metric:?} {value}");
        self.values.insert((name.clone(), metric), value);
    }
}

/// A folder that plays the root of a node.
struct Root(tempfile::TempDir);

impl Root {
    /// With the captured files of a real node, whose one disk is `vda`.
    fn captured() -> Self {
        let root = Self::empty();
        for (path, text) in [
            ("proc/stat", captures::STAT),
            ("proc/meminfo", captures::MEMINFO),
            ("proc/vmstat", captures::VMSTAT),
            ("proc/loadavg", captures::LOADAVG),
            ("proc/1/net/dev", captures::NET_DEV),
            ("proc/diskstats", captures::DISKSTATS),
            ("proc/sys/fs/file-nr", captures::FILE_NR),
            ("proc/pressure/cpu", captures::PRESSURE[0]),
            ("proc/pressure/memory", captures::PRESSURE[1]),
            ("proc/pressure/io", captures::PRESSURE[2]),
            ("sys/block/vda", b""),
            ("sys/block/loop0", b""),
            ("sys/block/zram0", b""),
        ] {
            root.write(path, text);
        }
        root
    }

    fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A sampler that reads every file at every tick.
    fn open(&self, newest: &mut Newest) -> Procfs {
        Procfs::open(self.0.path(), newest).unwrap().with_slow_every(NonZeroU64::MIN)
    }
}

fn tick(procfs: &mut Procfs, newest: &mut Newest) -> TickReport {
    procfs.tick(99, newest)
}

#[test]
fn a_captured_node_is_seen_whole() {
    let (root, mut newest) = (Root::captured(), Newest::default());
    let mut procfs = root.open(&mut newest);
    let report = tick(&mut procfs, &mut newest);
    assert_eq!(report.absent_total(), 0, "{report:?}");
    assert_eq!(report.files, 10);
    assert_eq!(report.readings as usize, newest.values.len());
    assert_eq!(newest.devices("cpu"), ["cpu", "cpu0", "cpu1"]);
    assert_eq!(newest.devices("disk"), ["vda"]);
    assert_eq!(newest.devices("interface"), ["ifb0", "ifb1", "eth0"]);
    let total = newest.value("node/node", MetricId::MemoryTotal);
    assert_eq!(total, Some(24_684_084.0 * 1024.0));
    // All of ours that are about these are seen; shares need two ticks.
    let unseen = crate::schema::METRICS
        .iter()
        .filter(|row| METRICS.contains(&row.id))
        .filter(|row| matches!(row.device_kind, "node" | "disk" | "interface"))
        .filter(|row| !newest.values.keys().any(|(_, metric)| *metric == row.id))
        .map(|row| row.name);
    assert_eq!(unseen.collect::<Vec<_>>(), [""; 0]);
    assert_eq!(newest.value("cpu/cpu", MetricId::CpuBusy), None, "one tick makes no share");
}

#[test]
fn shares_of_time_are_what_passed_between_two_ticks() {
    let (root, mut newest) = (Root::captured(), Newest::default());
    let mut procfs = root.open(&mut newest);
    root.write("proc/stat", "cpu  10 0 0 10 0 0 0 0 0 0\ncpu0 5 0 0 5 0 0 0 0 0 0\n");
    tick(&mut procfs, &mut newest);
    root.write("proc/stat", "cpu  13 0 0 11 0 0 0 0 0 0\ncpu0 5 0 0 5 0 0 0 0 0 0\n");
    tick(&mut procfs, &mut newest);
    assert_eq!(newest.value("cpu/cpu", MetricId::CpuBusy), Some(0.75));
    assert_eq!(newest.value("cpu/cpu0", MetricId::CpuBusy), None, "no clock tick has passed");
    root.write("proc/stat", "cpu  14 0 0 10 0 0 0 0 0 0\ncpu0 5 0 0 9 0 0 0 0 0 0\n");
    let report = tick(&mut procfs, &mut newest);
    assert_eq!(report.absent(Absence::WentBack), 1);
    assert_eq!(newest.value("cpu/cpu", MetricId::CpuBusy), Some(0.75), "nothing was put");
    assert_eq!(newest.value("cpu/cpu0", MetricId::CpuBusy), Some(0.0));
    root.write("proc/stat", "cpu  15 0 0 11 0 0 0 0 0 0\n");
    tick(&mut procfs, &mut newest);
    assert_eq!(newest.value("cpu/cpu", MetricId::CpuBusy), Some(0.5), "it goes on from there");
}

#[test]
fn devices_come_and_go() {
    let (root, mut newest) = (Root::captured(), Newest::default());
    let mut procfs = root.open(&mut newest);
    let stat = |cores: &[u32]| {
        let row = |core: &u32| format!("cpu{core} 1 2 3 4 5 6 7 8 9 10\n");
        cores.iter().map(row).collect::<String>() + "ctxt 1\nprocs_blocked 0\n"
    };
    let net = |names: &[&str]| {
        let row = |name: &&str| format!("{name}: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
        names.iter().map(row).collect::<String>()
    };
    let disks = |names: &[&str]| {
        let row = |name: &&str| format!("8 0 {name} 1 2 3 4 5 6 7 8 9 10 11\n");
        names.iter().map(row).collect::<String>()
    };
    root.write("sys/block/sda", "");
    root.write("sys/block/cciss!c0d0", "");
    root.write("proc/stat", stat(&[0, 2]));
    root.write("proc/1/net/dev", net(&["lo", "eth0", "eth1"]));
    root.write("proc/diskstats", disks(&["sda", "sda1", "cciss/c0d0", "cciss/c0d0p1", ".."]));
    assert_eq!(tick(&mut procfs, &mut newest).absent_total(), 0);
    assert_eq!(newest.devices("cpu"), ["cpu0", "cpu2"]);
    assert_eq!(newest.devices("interface"), ["eth0", "eth1"]);
    assert_eq!(newest.devices("disk"), ["sda", "cciss/c0d0"]);
    root.write("proc/stat", stat(&[0]));
    root.write("proc/1/net/dev", net(&["eth1", "eth2"]));
    root.write("proc/diskstats", disks(&["cciss/c0d0"]));
    let report = tick(&mut procfs, &mut newest);
    assert_eq!((report.devices_gone, report.absent_total()), (3, 0));
    assert_eq!(newest.gone, ["cpu/cpu2", "disk/sda", "interface/eth0"]);
    root.write("proc/stat", stat(&[0, 2]));
    tick(&mut procfs, &mut newest);
    assert_eq!(newest.devices("cpu"), ["cpu0", "cpu2", "cpu2"], "a core that returns is met anew");
}

#[test]
fn nothing_is_called_gone_on_the_word_of_a_broken_file() {
    let (root, mut newest) = (Root::captured(), Newest::default());
    let mut procfs = root.open(&mut newest);
    tick(&mut procfs, &mut newest);
    root.write("proc/stat", "cpu  1 2\n");
    root.write("proc/1/net/dev", "eth0: broken\n");
    root.write("proc/diskstats", "8 0 vda broken\n");
    let report = tick(&mut procfs, &mut newest);
    assert_eq!((report.absent(Absence::Malformed), report.devices_gone), (3, 0));
    assert_eq!(report.absent(Absence::Unreported), 2, "tasks and switches");
}

#[test]
fn devices_beyond_the_limit_are_refused_counted_and_let_in_when_there_is_room() {
    let (root, mut newest) = (Root::captured(), Newest::default());
    let mut procfs = root.open(&mut newest);
    let row = |core: u32| format!("cpu{core} 1 2 3 4 5 6 7 8\n");
    let many: String = (0..2000).map(row).collect();
    root.write("proc/stat", &many);
    root.write("proc/1/net/dev", "");
    root.write("proc/diskstats", "");
    let report = tick(&mut procfs, &mut newest);
    // The node itself is a device.
    assert_eq!(newest.names.len() as u32, DEVICES_MAX);
    assert_eq!(report.absent(Absence::DeviceRefused), 2000 - (DEVICES_MAX - 1));
    root.write("proc/stat", row(5) + &row(5));
    root.write("proc/diskstats", "8 0 vda 1 2 3 4 5 6 7 8 9 10 11\n");
    let report = tick(&mut procfs, &mut newest);
    assert_eq!(report.devices_gone, DEVICES_MAX - 2);
    assert_eq!(report.absent(Absence::DeviceRefused), 1, "the same core twice");
    assert_eq!(newest.devices("disk"), ["vda"]);
}

#[test]
fn a_file_that_is_missing_is_absent_until_it_appears_and_a_retry_is_due() {
    let (root, mut newest) = (Root::captured(), Newest::default());
    fs::remove_dir_all(root.0.path().join("proc/pressure")).unwrap();
    let mut procfs = root.open(&mut newest);
    let report = tick(&mut procfs, &mut newest);
    assert_eq!((report.absent(Absence::NotFound), report.absent_total()), (3, 3));
    root.write("proc/pressure/io", captures::PRESSURE[2]);
    for _ in 1..RETRY_TICKS {
        assert_eq!(tick(&mut procfs, &mut newest).absent(Absence::NotFound), 3);
    }
    assert_eq!(tick(&mut procfs, &mut newest).absent(Absence::NotFound), 2);
    assert!(newest.value("node/node", MetricId::PressureIoFull).is_some());
}

#[test]
fn without_sysfs_no_disk_is_guessed() {
    let (root, mut newest) = (Root::captured(), Newest::default());
    fs::remove_dir_all(root.0.path().join("sys")).unwrap();
    let report = tick(&mut root.open(&mut newest), &mut newest);
    assert_eq!(newest.devices("disk"), [""; 0]);
    assert_eq!(report.absent(Absence::NotFound), 1, "only vda was asked for");
}

#[test]
fn dear_files_are_read_when_it_is_their_turn() {
    let (root, mut newest) = (Root::captured(), Newest::default());
    let three = NonZeroU64::new(3).unwrap();
    let mut procfs = root.open(&mut newest).with_slow_every(three);
    let files: Vec<_> = (0..7).map(|_| tick(&mut procfs, &mut newest).files).collect();
    assert_eq!(files, [10, 7, 7, 10, 7, 7, 10]);
}

#[test]
fn a_folder_without_proc_is_refused_with_a_remedy() {
    let root = Root::empty();
    let error = Procfs::open(root.0.path(), &mut Newest::default()).unwrap_err();
    assert!(error.to_string().contains("host_root"), "{error}");
}

#[test]
fn any_single_file_cut_anywhere_is_survived() {
    let (root, mut newest) = (Root::captured(), Newest::default());
    let mut procfs = root.open(&mut newest);
    for (path, text) in [
        ("proc/stat", captures::STAT),
        ("proc/1/net/dev", captures::NET_DEV),
        ("proc/diskstats", captures::DISKSTATS),
    ] {
        for end in (0..text.len()).step_by(7) {
            root.write(path, &text[..end]);
            tick(&mut procfs, &mut newest);
        }
        root.write(path, text);
    }
    assert_eq!(tick(&mut procfs, &mut newest).absent_total(), 0);
}

#[test]
fn the_node_itself_is_seen() {
    let mut newest = Newest::default();
    let mut procfs = Procfs::open(Path::new("/"), &mut newest).unwrap();
    let report = tick(&mut procfs, &mut newest);
    assert!(report.readings >= 13, "{report:?}");
    assert!(newest.value("node/node", MetricId::MemoryTotal) > Some(0.0));
    assert_eq!(report.absent(Absence::Malformed), 0, "{report:?}");
    assert_eq!(report.absent(Absence::TooLong), 0, "{report:?}");
}
