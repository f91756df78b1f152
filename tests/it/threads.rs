//! Which threads a running agent has, and where they may run.

use std::collections::BTreeMap;

use eagle_eye::platform::thread::usable_cpus;
use eagle_eye::samplers::ALL;

use crate::binary::Running;
use crate::engines::Engines;
use crate::server::{NatsServer, eventually};

/// Every thread by its name, with the processors that it may use.
fn threads(process: u32) -> BTreeMap<String, String> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("the process runs");
    let mut found = BTreeMap::new();
    for task in tasks {
        let path = task.expect("an entry").path();
        // A thread may end between the two looks.
        let name = std::fs::read_to_string(path.join("comm"));
        let status = std::fs::read_to_string(path.join("status"));
        let (Ok(name), Ok(status)) = (name, status) else { continue };
        let cpus = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        found.insert(name.trim().to_owned(), cpus.expect("its processors").trim().to_owned());
    }
    found
}

/// Whether a thread is a sampler's; the kernel keeps 15 bytes of its name.
fn is_sampler(name: &str) -> bool {
    let mut names = ALL.iter().map(|entry| format!("ee-{}", entry.name));
    names.any(|of| of[..of.len().min(15)] == *name)
}

#[test]
fn every_thread_has_its_name_and_samplers_and_publisher_their_processor() {
    const PINNED: [&str; 4] = ["ee-engine_push", "ee-procfs", "ee-own", "ee-nats"];
    const OTHERS: [&str; 6] =
        ["ee-drain", "ee-journal", "ee-overseer", "ee-recorder", "ee-signals", "ee-nats-durable"];
    let nats = NatsServer::open();
    let cpu = usable_cpus()[0].to_string();
    let pinning = format!("threads.pinning={cpu}");
    let agent = Running::start(&["--set", &pinning, "--nats", &nats.url()]);
    let _engines = Engines::start(&agent.socket(), "named", 1, 50).welcome();
    eventually("every thread is there", || {
        let found = threads(agent.id());
        PINNED.iter().chain(&OTHERS).all(|name| found.contains_key(*name))
    });
    // A thread takes its processor itself, as its first act.
    eventually("each has its processor", || {
        let found = threads(agent.id());
        PINNED.iter().all(|name| found[*name] == cpu)
    });
    for (name, cpus) in threads(agent.id()) {
        if name.starts_with("iou-") {
            // The kernel's own, which writes for the recorder.
            continue;
        }
        assert!(name.starts_with("ee-") || name == "eagle-eye", "a thread is named {name}");
        let pinned = PINNED.contains(&name.as_str()) || is_sampler(&name);
        assert!(pinned || usable_cpus().len() == 1 || cpus != cpu, "{name} runs on {cpus} only");
    }
}
