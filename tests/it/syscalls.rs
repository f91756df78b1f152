//! Under load the agent makes fewer than one system call a record.

use std::process::Command;

use eagle_eye::platform::clock::{self, SECOND_NS};
use rustix::process::{Pid, Signal, kill_process};

use crate::binary::{Running, program};
use crate::engines::Engines;
use crate::server::{NatsServer, eventually};

const ENGINES: u32 = 64;
const HZ: u64 = 200;
const LOAD_NS: u64 = 3 * SECOND_NS;

fn strace_is_here() -> bool {
    Command::new("strace").arg("-V").output().is_ok_and(|said| said.status.success())
}

/// The program under a tracer that counts what all its threads call.
fn traced(counts: &std::path::Path) -> Command {
    let mut command = Command::new("strace");
    let program = program();
    command.args(["-f", "-c", "-o"]).arg(counts).arg(program.get_program());
    for (name, _) in program.get_envs() {
        command.env_remove(name);
    }
    command
}

/// The one child of a process.
fn child_of(process: u32) -> Option<Pid> {
    let children = format!("/proc/{process}/task/{process}/children");
    let children = std::fs::read_to_string(children).ok()?;
    Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)
}

/// The calls in all, of a table that ends with `100.00 SECONDS USECS CALLS … total`.
fn calls(table: &str) -> Option<u64> {
    let total = table.lines().find(|line| line.trim_end().ends_with(" total"))?;
    total.split_whitespace().nth(3)?.parse().ok()
}

#[test]
fn a_record_costs_the_agent_less_than_one_system_call() {
    if !strace_is_here() {
        // Where every tool must be there, this is no way out.
        assert!(std::env::var_os("EAGLE_EYE_REQUIRE_STRACE").is_none(), "install strace");
        eprintln!("system calls were NOT counted: install strace");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let counts = folder.path().join("calls");
    let nats = NatsServer::open();
    let mut agent = Running::launch(traced(&counts), &["--nats", &nats.url()]);
    agent.wait_for_door();
    let view = agent.view();
    let engines = Engines::start(&agent.socket(), "busy", ENGINES, HZ).welcome();
    clock::sleep_until(clock::monotonic_ns() + LOAD_NS);
    engines.pause();
    let written = engines.written();
    eventually("the agent has every last step", || {
        let ranks = view.ranks();
        engines.instances.iter().zip(&written).all(|(instance, last)| {
            ranks.iter().any(|r| r.id.instance == *instance && r.step.sequence == *last)
        })
    });
    let records: u64 = written.iter().sum();
    let process = child_of(agent.id()).expect("the traced agent");
    kill_process(process, Signal::TERM).expect("it takes a signal");
    agent.wait();
    let table = std::fs::read_to_string(&counts).expect("the tracer's counts");
    let calls = calls(&table).unwrap_or_else(|| panic!("no total in {table}"));
    eprintln!("{calls} system calls for {records} records");
    assert!(records > u64::from(ENGINES) * HZ / 2, "too little load to judge: {records}");
    assert!(calls < records, "{calls} system calls for {records} records\n{table}");
}
