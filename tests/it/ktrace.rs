//! Trace events for real: the kernel itself records events of the driver's
//! name and form, made by uprobes on functions of this test, into buffers that
//! the sampler made.
#![expect(clippy::print_stdout, reason = "what is skipped says so, what is measured is shown")]

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crossbeam_channel::Receiver;
use eagle_eye::newest::{Names, ReadingTable, StepTable};
use eagle_eye::platform::clock::{self, SECOND_NS};
use eagle_eye::platform::doorbell::Doorbell;
use eagle_eye::platform::thread::{self, Stop};
use eagle_eye::ring;
use eagle_eye::samplers::ktrace::ENTRY;
use eagle_eye::samplers::{
    Context, EventOutlet, Fact, NeedState, Opened, Outlet, OutletParts, Progress, Sampler,
    Settings, Woken,
};
use eagle_eye::schema::{Event, EventKind};

const XID: &str = "nvidia/nvidia_dev_xid";
const SXID: &str = "nvswitch/nvswitch_dev_sxid";

/// What the probe of an Xid is on; its arguments become the event's fields.
#[inline(never)]
extern "C" fn report_xid(device: *const i8, code: u32, text: *const i8) {
    black_box((1_u8, device, code, text));
}

/// The same of an SXid.
#[inline(never)]
extern "C" fn report_sxid(device: *const i8, code: u32, text: *const i8) {
    black_box((2_u16, device, code, text));
}

type Report = extern "C" fn(*const i8, u32, *const i8);

fn report(report: Report, device: &str, code: u32, text: &str) {
    let [device, text] = [device, text].map(|part| CString::new(part).expect("no zero in it"));
    report(device.as_ptr().cast(), code, text.as_ptr().cast());
}

/// This machine's tracefs under a root of its own where it is not mounted, and
/// the probes. One at a time on the machine: the names are the kernel's.
struct Node {
    root: PathBuf,
    mounted: Option<tempfile::TempDir>,
    probes: Vec<&'static str>,
    _alone: File,
}

impl Node {
    /// Nothing, and a sentence, where this process may not trace.
    fn new() -> Option<Self> {
        let lock = std::env::temp_dir().join("eagle_eye_ktrace.lock");
        let alone = File::create(&lock).and_then(|file| file.lock().map(|()| file));
        let alone = match alone {
            Ok(alone) => alone,
            Err(error) => {
                println!("skipped: {} cannot be locked: {error}", lock.display());
                return None;
            }
        };
        let (root, mounted) = match File::open("/sys/kernel/tracing/events/header_page") {
            Ok(_) => (PathBuf::from("/"), None),
            Err(_) => {
                let folder = tempfile::tempdir().expect("a folder");
                let place = folder.path().join("sys/kernel/tracing");
                std::fs::create_dir_all(&place).expect("in our own folder");
                let mut mount = Command::new("mount");
                let output = mount.args(["-t", "tracefs", "nodev"]).arg(&place).output();
                if !output.as_ref().is_ok_and(|output| output.status.success()) {
                    println!("skipped: tracefs cannot be mounted here: {output:?}");
                    return None;
                }
                (folder.path().to_owned(), Some(folder))
            }
        };
        let node = Self { root, mounted, probes: Vec::new(), _alone: alone };
        // What a killed test left; an agent's that runs cannot be removed.
        let _ = std::fs::remove_dir(node.tracefs().join("instances/eagle_eye"));
        let loaded = [XID, SXID].iter().any(|name| {
            // One that a killed test left can be removed, a driver's cannot.
            let _ = node.probe(&format!("-:{name}"));
            node.tracefs().join("events").join(name).exists()
        });
        if loaded {
            println!("skipped: a driver has these events here");
            return None;
        }
        Some(node)
    }

    fn tracefs(&self) -> PathBuf {
        self.root.join("sys/kernel/tracing")
    }

    fn probe(&self, definition: &str) -> std::io::Result<()> {
        let mut file = File::options().append(true).open(self.tracefs().join("uprobe_events"))?;
        file.write_all(format!("{definition}\n").as_bytes())
    }

    /// Makes the event; false, and a sentence, where the kernel cannot.
    fn offer(&mut self, name: &'static str, report: Report) -> bool {
        let arguments = match std::env::consts::ARCH {
            "x86_64" => ["%di", "%si", "%dx"],
            "aarch64" => ["%x0", "%x1", "%x2"],
            other => {
                println!("skipped: where {other} has its arguments is not known here");
                return false;
            }
        };
        let [device, code, text] = arguments;
        let definition = format!(
            "p:{name} {} dev=+0({device}):string error_code={code}:u32 msg=+0({text}):string",
            place(report as *const () as usize),
        );
        match self.probe(&definition) {
            Ok(()) => {
                self.probes.push(name);
                true
            }
            Err(error) => {
                println!("skipped: the kernel takes no uprobe here: {error}");
                false
            }
        }
    }

    fn open(&self, buffer_kb: u64) -> Box<dyn Sampler> {
        let context = Context::to_look(self.root.clone(), self.root.clone());
        let settings = Settings::new(vec![("buffer_kb", buffer_kb.to_string())]);
        match (ENTRY.open)(&context, &settings) {
            Opened::Ready(sampler) => sampler,
            Opened::NotHere(why) | Opened::Failed(why) => panic!("it can be traced here: {why}"),
        }
    }

    fn instances(&self) -> BTreeSet<PathBuf> {
        let entries =
            std::fs::read_dir(self.tracefs().join("instances")).expect("looked at before");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }

    /// What other tracers see.
    fn global(&self) -> Vec<Vec<u8>> {
        let files = ["tracing_on", "trace_clock", "buffer_size_kb", "buffer_percent", "set_event"];
        files.map(|file| std::fs::read(self.tracefs().join(file)).expect(file)).to_vec()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for name in &self.probes {
            let _ = self.probe(&format!("-:{name}"));
        }
        if self.mounted.is_some() {
            let _ = Command::new("umount").arg("-l").arg(self.tracefs()).status();
        }
    }
}

/// Where in which file the code at `address` lies, as uprobes want it.
fn place(address: usize) -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("our own");
    let found = maps.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        let (range, offset) = (fields.next()?, fields.nth(1)?);
        let (start, end) = range.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        let (start, end) = (number(start)?, number(end)?);
        (start..end).contains(&address).then(|| Some(address - start + number(offset)?))?
    });
    let file = std::env::current_exe().expect("our own");
    format!("{}:{:#x}", file.display(), found.expect("our own code is mapped"))
}

fn outlet(room: usize) -> (Outlet, Receiver<Fact>) {
    let (events, facts) = crossbeam_channel::bounded(room);
    let parts = OutletParts {
        steps: ring::ring(1).0,
        readings: ring::ring(64).0,
        step_table: StepTable::heap(1),
        reading_table: ReadingTable::heap(64),
        names: Names::new("n"),
        events: EventOutlet::new(events),
        drain: Doorbell::for_this_thread().ringer(),
    };
    (Outlet::new(ENTRY.name, parts), facts)
}

/// Ticks until `enough`, as the loop of samplers would.
fn until(
    sampler: &mut dyn Sampler,
    (outlet, facts): &mut (Outlet, Receiver<Fact>),
    enough: impl Fn(&[Event]) -> bool,
) -> Vec<Event> {
    let deadline_ns = clock::monotonic_ns() + 30 * SECOND_NS;
    let mut events = Vec::new();
    while !enough(&events) {
        assert!(clock::monotonic_ns() < deadline_ns, "it never came; {} events did", events.len());
        sampler.tick(clock::monotonic_ns(), outlet);
        events.extend(facts.try_iter().filter_map(|fact| fact.event));
    }
    events
}

#[test]
fn what_the_kernel_records_wakes_the_sampler_and_becomes_events() {
    let Some(mut node) = Node::new() else { return };
    if !(node.offer(XID, report_xid) && node.offer(SXID, report_sxid)) {
        return;
    }
    let (others, global) = (node.instances(), node.global());
    let mut sampler = node.open(48);
    let ours: Vec<PathBuf> = node.instances().difference(&others).cloned().collect();
    let [ours] = &ours[..] else { panic!("one instance: {ours:?}") };
    println!("a processor's buffer, KiB: {}", number(&ours.join("per_cpu/cpu0/buffer_size_kb")));
    assert!(number(&ours.join("per_cpu/cpu0/buffer_size_kb")) < 64);

    let mut out = outlet(64);
    until(&mut *sampler, &mut out, |_| true);
    sampler.tick(clock::monotonic_ns(), &mut out.0);
    let near_ns = clock::monotonic_ns() + SECOND_NS / 50;
    assert_eq!(sampler.wait(near_ns, &Stop::default()), Woken::Due, "at rest nothing wakes it");
    sampler.tick(clock::monotonic_ns(), &mut out.0);
    let far_ns = clock::monotonic_ns() + 600 * SECOND_NS;
    let written_ns = clock::monotonic_ns();
    report(report_xid, "0000:3b:00.0", 79, "GPU has fallen off the bus.");
    assert_eq!(sampler.wait(far_ns, &Stop::default()), Woken::Early);
    let mut events = until(&mut *sampler, &mut out, |events| !events.is_empty());
    println!("written to told: {} us", (clock::monotonic_ns() - written_ns) / 1000);
    println!("its time is off by {} us", events[0].monotonic_ns.abs_diff(written_ns) / 1000);
    report(report_sxid, "0000:07:00.0", 20_034, "Fatal, Link 30 LTSSM Fault Up");
    events.extend(until(&mut *sampler, &mut out, |events| !events.is_empty()));

    let now_ns = clock::monotonic_ns();
    assert!(events.iter().all(|event| (written_ns..=now_ns).contains(&event.monotonic_ns)));
    assert!(events.iter().all(|event| event.source == "ktrace"));
    let told: Vec<_> = events.iter().map(|e| (e.kind, &*e.subject, e.code, &*e.text)).collect();
    assert_eq!(
        told,
        [
            (EventKind::Xid, "0000:3b:00.0", 79, "GPU has fallen off the bus."),
            (EventKind::Sxid, "0000:07:00.0", 20_034, "Fatal, Link 30 LTSSM Fault Up"),
        ]
    );
    drop(sampler);
    assert_eq!(node.instances(), others, "it leaves nothing behind");
    assert_eq!(node.global(), global, "other tracers see no difference");
}

#[test]
fn a_flood_beyond_the_buffers_is_a_loss_of_its_true_size() {
    const EVENTS: u32 = 20_000;
    let Some(mut node) = Node::new() else { return };
    if !node.offer(XID, report_xid) {
        return;
    }
    let long = "a text that does not fit the page in a whole number of records";
    for (text, meanwhile) in [("", false), ("x", false), (long, false), (long, true)] {
        let mut sampler = node.open(8);
        let mut out = outlet(16);
        let flood = move || {
            (0..EVENTS).for_each(|code| report(report_xid, "0000:3b:00.0", code, text));
        };
        let writer = meanwhile.then(|| thread::spawn("flood", None, flood).unwrap());
        if writer.is_none() {
            flood();
        }
        let lost = |events: &[Event]| events.iter().map(|event| event.lost).sum::<u64>();
        let told = |events: &[Event]| {
            events.iter().filter(|event| event.kind == EventKind::Xid).count() as u64
        };
        let all = |events: &[Event]| lost(events) + told(events) >= u64::from(EVENTS);
        let mut events = until(&mut *sampler, &mut out, all);
        writer.into_iter().for_each(|writer| writer.join().unwrap());
        // Nothing comes behind the last one, however often all is looked at.
        for _ in 0..3 {
            sampler.wait(0, &Stop::default());
            sampler.tick(clock::monotonic_ns(), &mut out.0);
            events.extend(out.1.try_iter().filter_map(|fact| fact.event));
        }
        println!("{EVENTS} written, {} told, {} reported lost", told(&events), lost(&events));
        assert_eq!(told(&events) + lost(&events), u64::from(EVENTS));
        assert!(lost(&events) > 0 || meanwhile, "the flood was no flood");
        let xids = events.iter().filter(|event| event.kind == EventKind::Xid);
        let codes: BTreeSet<u64> = xids.map(|event| event.code).collect();
        assert_eq!(codes.len() as u64, told(&events), "no event is told twice");
        assert!(codes.contains(&u64::from(EVENTS - 1)), "the newest are kept");
    }
}

#[test]
fn a_driver_that_comes_later_is_found_and_one_that_goes_is_let_go() {
    let Some(mut node) = Node::new() else { return };
    let others = node.instances();
    let mut sampler = node.open(8);
    let mut out = outlet(16);
    sampler.tick(clock::monotonic_ns(), &mut out.0);
    assert_eq!(node.instances(), others, "without a driver nothing is taken");
    if !node.offer(XID, report_xid) {
        return;
    }
    sampler.wait(0, &Stop::default());
    sampler.tick(clock::monotonic_ns(), &mut out.0);
    let ours: Vec<PathBuf> = node.instances().difference(&others).cloned().collect();
    assert_eq!(ours.len(), 1);
    report(report_xid, "0000:3b:00.0", 48, "DBE");
    until(&mut *sampler, &mut out, |events| events.iter().any(|event| event.code == 48));

    // A probe can go only while nobody records it; a driver can at any time.
    std::fs::write(ours[0].join("events").join(XID).join("enable"), "0").unwrap();
    node.probe(&format!("-:{XID}")).unwrap();
    sampler.wait(0, &Stop::default());
    sampler.tick(clock::monotonic_ns(), &mut out.0);
    assert_eq!(node.instances(), others, "without a driver nothing is kept");
}

#[test]
fn what_a_dead_agent_left_is_replaced_and_a_stop_cleans_up_at_once() {
    let Some(mut node) = Node::new() else { return };
    if !node.offer(XID, report_xid) {
        return;
    }
    let left = node.tracefs().join("instances/eagle_eye");
    let _ = std::fs::create_dir(&left);
    let others: BTreeSet<PathBuf> = node.instances().into_iter().filter(|i| *i != left).collect();
    let sampler = node.open(8);
    assert!(number(&left.join("per_cpu/cpu0/buffer_size_kb")) < 64, "it is ours");
    let second = node.open(8);
    assert_eq!(node.instances().difference(&others).count(), 2, "each agent has its own");
    drop(second);

    let (outlet, facts) = outlet(16);
    let (stop, progress) = (Stop::default(), Arc::new(Progress::new(600 * SECOND_NS, 0)));
    let thread =
        eagle_eye::samplers::start(ENTRY.name, None, sampler, outlet, progress, stop.clone());
    report(report_xid, "0000:3b:00.0", 31, "MMU Fault");
    let fact = facts.recv_timeout(std::time::Duration::from_secs(30)).expect("it is told");
    assert_eq!(fact.event.map(|event| event.code), Some(31));
    stop.raise();
    thread.unwrap().join().unwrap();
    assert_eq!(node.instances(), others, "it leaves nothing behind");
}

#[test]
fn doctor_says_what_is_here() {
    let Some(mut node) = Node::new() else { return };
    let look = |root: &Path| {
        let context = Context::to_look(root.to_owned(), root.to_owned());
        let needs = (ENTRY.needs)(&context, &Settings::default());
        needs.iter().map(|need| need.state).collect::<Vec<_>>()
    };
    let before = node.instances();
    assert_eq!(look(&node.root)[0], NeedState::Fine);
    if node.offer(XID, report_xid) {
        assert_eq!(look(&node.root)[1], NeedState::Fine);
    }
    assert_eq!(node.instances(), before, "looking changes nothing");
}

fn number(path: &Path) -> u64 {
    let text = std::fs::read_to_string(path).expect("a setting of tracefs");
    text.trim().parse().expect("a number")
}
