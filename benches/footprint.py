#!/usr/bin/env python3
"""What the agent costs the node: processor time and resident memory.

Starts a NATS server, an agent with every sampler on, and simulated engines at
its door, and measures the agent and its children from outside, from
/proc/<pid>/{stat,smaps_rollup}, per thread: at rest, and with 8 engines that
take 50 steps a second each. Build first: cargo build --release

  benches/footprint.py [--seconds 20] [--without-nats] [--set KEY=VALUE ...]

Exit code 1 when a goal is missed.
"""

import argparse
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")

# Engines, steps a second, most % of a processor, most MiB.
ROWS = [("at rest", 0, 0, 0.2, 20), ("8 engines at 50 Hz", 8, 50, 2.0, 30)]


def family(pid):
    """The process and all that descend from it."""
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += family(int(child))
    return found


def thread_ticks(pid):
    """Processor time of every thread of a process, by name."""
    ticks = {}
    for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            name = (stat.parent / "comm").read_text().strip()
            ns = int(stat.read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks[name] = ticks.get(name, 0) + ns
    return ticks


def cpu(pid):
    """Processor time in seconds, threads that ended and children included."""
    total = 0
    for process in family(pid):
        columns = pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(columns[11]) + int(columns[12])
        if process == pid:
            total += int(columns[13]) + int(columns[14])
    return total / TICKS


def memory(pid):
    """Resident MiB of the family: (sum of resident sets, sum of fair shares)."""
    rss = pss = 0
    for process in family(pid):
        for line in pathlib.Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                rss += int(line.split()[1])
            if line.startswith("Pss:"):
                pss += int(line.split()[1])
    return rss / 1024, pss / 1024


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(path, process):
    deadline = time.monotonic() + 30
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"{path} did not appear: see the agent's log")
        time.sleep(0.05)


def measure(row, arguments, folder):
    title, engines, hz, cpu_max, mib_max = row
    binary = ROOT / arguments.binary
    run, state = folder / "run", folder / "state"
    started = []
    try:
        command = [binary, "run", "--no-view", "--set", f"run_dir={run}", "--set", f"state_dir={state}"]
        if not arguments.without_nats:
            port = free_port()
            store = folder / "store"
            started.append(
                subprocess.Popen(
                    [ROOT / "target/tools/bin/nats-server", "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", store],
                    stderr=subprocess.DEVNULL,
                )
            )
            command += ["--nats", f"nats://127.0.0.1:{port}"]
        for setting in arguments.set:
            command += ["--set", setting]
        log = open(folder / "agent.log", "w")
        agent = subprocess.Popen(command, stdout=log, stderr=log)
        started.append(agent)
        wait_for(run / "agent.sock", agent)
        if engines:
            simulate = [binary, "simulate", "--engines", str(engines), "--hz", str(hz), "--socket", run / "agent.sock"]
            started.append(subprocess.Popen(simulate, stdout=log, stderr=log))
        time.sleep(arguments.settle)
        before, threads = cpu(agent.pid), thread_ticks(agent.pid)
        begun = time.monotonic()
        time.sleep(arguments.seconds)
        took = time.monotonic() - begun
        share = 100 * (cpu(agent.pid) - before) / took
        after = thread_ticks(agent.pid)
        rss, pss = memory(agent.pid)
        exact = sum(after[n] - threads.get(n, 0) for n in after) / took / 1e7
    finally:
        for process in reversed(started):
            process.terminate()
        for process in reversed(started):
            process.wait(timeout=10)
    met = exact <= cpu_max and rss <= mib_max
    print(
        f"{title:<20} {exact:5.2f} % of a processor (goal {cpu_max}, by ticks {share:.2f}), "
        f"{rss:5.1f} MiB resident (goal {mib_max}; fair share {pss:.1f})  {'met' if met else 'MISSED'}"
    )
    for name, ns in sorted(after.items(), key=lambda item: item[1] - threads.get(item[0], 0), reverse=True):
        spent = (ns - threads.get(name, 0)) / took / 1e7
        if spent >= 0.005:
            print(f"    {name:<16} {spent:5.2f} %")
    return met


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--settle", type=float, default=5)
    parser.add_argument("--binary", default="target/release/eagle-eye")
    parser.add_argument("--without-nats", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    if not (ROOT / arguments.binary).exists():
        sys.exit(f"{arguments.binary} is missing: cargo build --release")
    met = True
    for row in ROWS:
        with tempfile.TemporaryDirectory() as folder:
            met &= measure(row, arguments, pathlib.Path(folder))
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
