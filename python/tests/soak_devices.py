#!/usr/bin/env python3
"""Sixteen stand-in accelerators under a real agent, while faults are injected by a
seeded plan; a subscriber on a real nats-server counts what comes.

    soak_devices.py --eagle-eye target/debug/eagle-eye --nats target/tools/bin/nats-server \\
        --libraries FOLDER [--seconds 600] [--seed 5] [--out FILE]

The folder holds the stand-ins nvml.so and dcmi.so. Each vendor's devices are played by
a driver of their own. At the end: whether every injected fact came exactly once, about
the right device and within its bound; whether the other devices kept their period; and
whether memory, processes and threads stayed bounded. Everything listens on loopback and
is ended. What is injected is simulated; agent, children and network are real.
"""

import argparse
import collections
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from eagle_eye import layout  # noqa: E402
from eagle_eye.layout import EventKind as Kind  # noqa: E402
from eagle_eye.wire import Batch  # noqa: E402

DEVICES = 8
PERIOD_S = 1.0  # Of the fast group.
DEADLINE_S = 2.0
TWO_PERIODS_S = 2 * PERIOD_S
# From the scenario's change on: a call that hangs begins within a period of it.
TWO_DEADLINES_S = PERIOD_S + 2 * DEADLINE_S
POWER = 306
OFF = ("engine_scrape", "procfs", "cgroup", "kmsg", "ktrace", "hardware_sys")
HANGS_SAID = 2  # A device that hangs more often in ten minutes is said to do so "often".
FAULT_PHASE, FAULT = 0, 11  # Fields of FaultRecord and Event.
RAISED, CLEARED = 2, 3
HARDWARE = {Kind.XID, Kind.SOURCE_HANGS, Kind.SOURCE_ANSWERS} | {
    kind for kind in Kind if Kind.DEVICE_APPEARED <= kind <= Kind.DEVICE_EVENTS_LOST
}


class Vendor:
    """What differs between the two."""

    def __init__(self, source, name, library, file, calls, driver):
        self.source, self.name, self.library, self.file = source, name, library, file
        self.calls, self.driver = calls, driver


VENDORS = (
    Vendor("nvml", "gpu", "nvml.so", "libnvidia-ml.so.1",
           ("nvmlDeviceGetTemperature", "nvmlDeviceGetFieldValues"), "580.95.0"),
    Vendor("dcmi", "npu", "dcmi.so", "libdcmi.so",
           ("dcmi_get_device_temperature", "dcmi_get_device_hbm_info"), "25.5."),
)


class Subscriber(threading.Thread):
    """Hears everything of the node by the NATS protocol, and when."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.events, self.ids, self.again = [], set(), 0
        self.names, self.times, self.messages = {}, collections.defaultdict(list), 0
        self.lock = threading.Lock()
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")
        self.file.readline()
        self.socket.sendall(b'CONNECT {"verbose":false}\r\nSUB eagle_eye.v1.events.* 1\r\n'
                            b"SUB eagle_eye.v1.health.* 2\r\nPING\r\n")

    def run(self):
        while line := self.file.readline():
            if line.startswith(b"PING"):
                self.socket.sendall(b"PONG\r\n")
            elif line.startswith(b"HMSG") or line.startswith(b"MSG"):
                words = line.split()
                data = self.file.read(int(words[-1]) + 2)[:-2]
                headers = int(words[-2]) if words[0] == b"HMSG" else 0
                self.take(data[headers:])

    def take(self, data):
        now = time.monotonic()
        try:
            batch = Batch(data)
        except ValueError:
            return  # Somebody asks whether he may publish.
        with self.lock:
            self.messages += 1
            for device in batch.devices():
                self.names[device.device] = device.name
            for reading in batch.readings():
                if reading.metric == POWER:
                    times = self.times[reading.device]
                    if not times or reading.time_ns > times[-1][0]:
                        times.append((reading.time_ns, now))
            for event, table in zip(batch.events(), batch.tables(layout.BATCH_ID_EVENTS)):
                if event.kind not in HARDWARE:
                    continue
                self.again += event.id in self.ids
                self.ids.add(event.id)
                fault = table.table(FAULT)
                place = fault.place(FAULT_PHASE) if fault else None
                phase = fault._bytes[place] if place else 0
                self.events.append((now, event, phase))


class Fact:
    """What one injection must bring."""

    def __init__(self, what, vendor, kind, subject, since, bound_s, code=None, phase=None):
        self.what, self.source, self.kind, self.subject = what, vendor.source, kind, subject
        self.since, self.bound_s, self.code, self.phase = since, bound_s, code, phase
        self.came = []

    def is_told_by(self, now, event, phase):
        return (event.source == self.source and event.kind == self.kind
                and event.subject == self.subject and now >= self.since
                and self.code in (None, event.code) and self.phase in (None, phase))


class Unkillable:
    """A file system whose server answers nothing: who writes there cannot be ended."""

    def __init__(self, place):
        self.place = place
        self.device = os.open("/dev/fuse", os.O_RDWR)
        os.makedirs(place)
        options = "fd=0,rootmode=40000,user_id=0,group_id=0"
        subprocess.run(["mount", "-i", "-t", "fuse", "-o", options, "ee", place],
                       stdin=self.device, stderr=subprocess.DEVNULL, check=True)
        request = os.read(self.device, 1 << 20)
        words = (7, 31, 0, 0, 0x0001_0001, 1 << 16, 1)
        answer = (80).to_bytes(4, sys.byteorder) + bytes(4) + request[8:16]
        answer += b"".join(word.to_bytes(4, sys.byteorder) for word in words)
        os.write(self.device, answer.ljust(80, b"\0"))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            while os.read(self.device, 1 << 20):
                pass
        except OSError:
            pass

    def end(self):
        for how in ("-f", "-l"):
            subprocess.run(["umount", how, self.place], stderr=subprocess.DEVNULL, check=False)
        os.close(self.device)


class Driver(threading.Thread):
    """Plays one vendor's devices, and notes what must come of it."""

    def __init__(self, vendor, run, seed):
        super().__init__(daemon=True)
        self.vendor, self.run_, self.chance = vendor, run, random.Random(f"{seed}{vendor.name}")
        self.path = run.folder / vendor.file
        self.facts, self.spans, self.counts = [], [], collections.Counter()
        self.hangs, self.version, self.code, self.failure = collections.Counter(), 1, 0, None
        self.plant()
        self.hears = run.subscriber

    def plant(self):
        beside = self.path.with_suffix(".planted")
        self.play()
        shutil.copy(self.run_.libraries / self.vendor.library, beside)
        os.replace(beside, self.path)

    def play(self, *lines):
        text = f"devices {DEVICES}\ncards 8\ndriver {self.vendor.driver}{self.version}\n"
        beside = Path(f"{self.path}.new")
        beside.write_text(text + "".join(f"{line}\n" for line in lines))
        os.replace(beside, f"{self.path}.scenario")

    def expect(self, what, kind, subject, bound_s, **more):
        fact = Fact(what, self.vendor, kind, subject, time.monotonic(), bound_s, **more)
        with self.hears.lock:
            self.facts.append(fact)
        return fact

    def until(self, *facts, patience_s=90.0):
        limit = time.monotonic() + patience_s
        while time.monotonic() < limit:
            if all(self.is_told(fact) for fact in facts):
                return
            time.sleep(0.05)

    def is_told(self, fact):
        with self.hears.lock:
            return any(fact.is_told_by(*told) for told in self.hears.events)

    def run(self):
        try:
            plan = ["hang sleep", "hang spin", "fault", "gone", "garbage", "reset", "hang lock",
                    "fault", "crash", "gone", "fault", "driver", "hang write"]
            while True:
                self.chance.shuffle(plan)
                for what in plan:
                    if time.monotonic() > self.run_.end - 45:
                        return
                    self.step(what)
        except Exception as failure:  # Shown at the end.
            self.failure = failure

    def step(self, what):
        verb, _, how = what.partition(" ")
        device = f"{self.vendor.name}{self.chance.randrange(DEVICES)}"
        if verb == "hang":
            rested = [at for at in range(DEVICES) if self.hangs[at] < HANGS_SAID]
            if not rested or how == "write" and not self.run_.frozen:
                return
            at = self.chance.choice(rested)
            self.hangs[at] += 1
            device = f"{self.vendor.name}{at}"
        if verb == "reset" and self.vendor.source == "nvml":
            return  # NVML only says that a device is lost.
        begun = time.monotonic()
        getattr(self, verb)(device, *([how] if how else []))
        self.play()
        alone = verb in ("fault", "gone", "garbage", "reset") or how in ("sleep", "spin")
        self.spans.append((begun, time.monotonic(), what, device, alone))
        self.counts[what] += 1
        time.sleep(self.chance.uniform(1.5, 3))

    def hang(self, device, how):
        call = self.chance.choice(self.vendor.calls)
        if how == "write":
            how = f"write={self.run_.frozen.place}/x"
        hangs = self.expect(f"hang {how[:5]}", Kind.SOURCE_HANGS, device, TWO_DEADLINES_S)
        self.play(f"hang {device} {call} {how}")
        self.until(hangs, patience_s=20)
        time.sleep(self.chance.uniform(1, 4))
        if how.startswith("write"):
            self.run_.freeze_again()
        # Who was left out is tried after ten seconds at first, then more seldom.
        alone = how in ("sleep", "spin")
        answers = self.expect("answers", Kind.SOURCE_ANSWERS, device, TWO_PERIODS_S if alone else 45)
        self.play()
        self.until(answers)

    def fault(self, device):
        if self.vendor.source == "nvml":
            self.code += 1
            told = self.expect("xid", Kind.XID, device, TWO_PERIODS_S, code=self.code)
            self.play(f"event {device} 8 {self.code}")
            self.until(told, patience_s=10)
            return
        self.code += 1
        code = 0x80E0_1800 + self.code % 256
        line = f"severity=3 node=2 serial={self.code}"
        raised = self.expect("raised", Kind.DEVICE_FAULT, device, TWO_PERIODS_S, code=code, phase=RAISED)
        self.play(f"event {device} 1 {code:#x} {line}", f"fault {device} {code:#x} {line}")
        self.until(raised, patience_s=10)
        time.sleep(self.chance.uniform(1, 6))
        over = self.expect("cleared", Kind.DEVICE_FAULT, device, TWO_PERIODS_S, code=code, phase=CLEARED)
        self.play(f"event {device} 0 {code:#x} severity=3 node=2 serial={self.code}")
        self.until(over, patience_s=10)
        time.sleep(6)  # It is listed once more before another begins.

    def away(self, device, what, kind, line):
        gone = self.expect(what, kind, device, TWO_PERIODS_S)
        self.play(line)
        self.until(gone, patience_s=15)
        time.sleep(self.chance.uniform(1, 4))
        back = self.expect("returned", Kind.DEVICE_RETURNED, device, TWO_PERIODS_S)
        self.play()
        self.until(back, patience_s=15)

    def gone(self, device):
        self.away(device, "gone", Kind.DEVICE_GONE, f"gone {device}")

    def reset(self, device):
        self.away(device, "reset", Kind.DEVICE_RESETTING, f"answer {device} * -8012")

    def garbage(self, device):
        self.play(f"garbage {device} {self.chance.choice(self.vendor.calls)}")
        time.sleep(self.chance.uniform(3, 5))

    def crash(self, device):
        said = self.expect("crash", Kind.SOURCE_HANGS, self.vendor.source, TWO_DEADLINES_S)
        self.play(f"crash {device} {self.vendor.calls[0]}")
        self.until(said, patience_s=20)
        # It has to work for five deadlines first.
        well = self.expect("crash over", Kind.SOURCE_ANSWERS, self.vendor.source, 30)
        self.play()
        self.until(well)

    def driver(self, _):
        self.version += 1
        with self.hears.lock:
            notice = Fact("driver", self.vendor, Kind.DEVICE_NOTICE, self.vendor.source,
                          time.monotonic(), TWO_PERIODS_S)
            self.facts.append(notice)
        # Its version is told once the library has been loaded anew.
        changed = [self.expect("version", Kind.DEVICE_CHANGED, f"{self.vendor.name}{at}", 2 * TWO_PERIODS_S)
                   for at in range(DEVICES)]
        self.plant()
        self.until(notice, *changed, patience_s=20)


class Run:
    """The agent, its server and who is told."""

    def __init__(self, given, folder):
        self.given, self.folder, self.libraries = given, folder, Path(given.libraries)
        self.frozen, self.froze = None, 0
        self.freeze_again()
        self.port = free_port()
        self.server = subprocess.Popen([given.nats, "-a", "127.0.0.1", "-p", str(self.port)],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until_open(self.port)
        self.subscriber = Subscriber(self.port)
        self.subscriber.start()
        self.end = time.monotonic() + given.seconds
        self.drivers = [Driver(vendor, self, given.seed) for vendor in VENDORS]
        self.looks = []

    def freeze_again(self):
        """Lets go of who is stuck; a new file system for the next."""
        if self.frozen:
            self.frozen.end()
        try:
            self.froze += 1
            self.frozen = Unkillable(str(self.folder / f"frozen{self.froze}"))
        except (OSError, subprocess.CalledProcessError):
            self.frozen = None

    def begin(self):
        settings = {f"samplers.{name}.enabled": "false" for name in OFF}
        settings |= {"run_dir": self.folder / "run", "state_dir": self.folder / "state",
                     "nats.urls": f"nats://127.0.0.1:{self.port}"}
        for driver in self.drivers:
            of = f"samplers.{driver.vendor.source}"
            settings |= {f"{of}.library": driver.path, f"{of}.inventory_ms": 1000}
        arguments = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        self.log = open(self.folder / "log", "wb")
        self.agent = subprocess.Popen([self.given.eagle_eye, "run", "--listen", "off", *arguments],
                                      stdout=self.log, stderr=self.log)

    def appeared(self):
        with self.subscriber.lock:
            return {event.subject for _, event, _ in self.subscriber.events
                    if event.kind == Kind.DEVICE_APPEARED}

    def look(self):
        """Memory in KiB, processes and threads of the agent and its children."""
        of = [status(self.agent.pid)]
        of += [status(child) for child in children(self.agent.pid)]
        agent, *rest = of
        self.looks.append({
            "at_s": round(time.monotonic() - self.end + self.given.seconds),
            "agent_kib": agent[0], "agent_own_kib": agent[1], "agent_threads": agent[2],
            "children": len(rest), "children_kib": sum(one[0] for one in rest),
            "children_threads": sum(one[2] for one in rest),
        })

    def work(self):
        limit = time.monotonic() + 30
        while len(self.appeared()) < 2 * DEVICES:
            if time.monotonic() > limit:
                raise SystemExit(f"only {sorted(self.appeared())} appeared: {self.folder}/log")
            time.sleep(0.1)
        time.sleep(3)
        for driver in self.drivers:
            driver.start()
        while any(driver.is_alive() for driver in self.drivers) or time.monotonic() < self.end:
            if self.agent.poll() is not None:
                raise SystemExit(f"the agent ended: {(self.folder / 'log').read_text()[-2000:]}")
            self.look()
            time.sleep(2)

    def leave(self):
        """How long the agent takes to end while a device of each vendor hangs, s."""
        hangs = []
        for driver in self.drivers:
            device = f"{driver.vendor.name}0"
            hangs.append((driver.vendor.source, device, time.monotonic()))
            driver.play(f"hang {device} {driver.vendor.calls[0]} sleep")
        time.sleep(TWO_DEADLINES_S)
        begun = time.monotonic()
        self.agent.send_signal(signal.SIGTERM)
        self.agent.wait(30)
        return time.monotonic() - begun

    def close(self):
        for of in (getattr(self, "agent", None), self.server):
            if of and of.poll() is None:
                of.kill()
                of.wait()
        if self.frozen:
            self.frozen.end()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def until_open(port):
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
    raise SystemExit("nats-server does not start")


def children(parent):
    try:
        found = Path(f"/proc/{parent}/task").glob("*/children")
        return [int(word) for file in found for word in file.read_text().split()]
    except OSError:
        return []


def status(process):
    """Resident and own memory, KiB, and threads; none of one that has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0, 0, 0
    words = dict(line.split(":", 1) for line in lines)
    number = [words.get(key, "0").split()[0] for key in ("VmRSS", "RssAnon", "Threads")]
    return tuple(map(int, number))


def judge_facts(drivers, events, wrong):
    """What came of each kind of fact, and how late, s."""
    left = list(events)
    late = collections.defaultdict(list)
    for driver in drivers:
        # The newest injection that it can belong to is the one that it tells of.
        for fact in reversed(driver.facts):
            fact.came = [told for told in left if fact.is_told_by(*told)]
            left = [told for told in left if told not in fact.came]
            where = f"{fact.what} on {fact.subject} ({fact.source})"
            if len(fact.came) != 1:
                wrong.append(f"{where}: came {len(fact.came)} times")
            for now, _, _ in fact.came[:1]:
                late[fact.source, fact.what].append(now - fact.since)
                if now - fact.since > fact.bound_s:
                    wrong.append(f"{where}: after {now - fact.since:.2f} s, bound {fact.bound_s:.0f} s")
    for _, event, _ in left:
        if event.kind != Kind.DEVICE_APPEARED:
            wrong.append(f"nobody injected {event.kind.name} of {event.subject}: {event.text}")
    return late


def judge_periods(drivers, subscriber, wrong):
    """Intervals between readings of devices while another one is ill, s."""
    found = {}
    for driver in drivers:
        apart = []
        for begun, ended, _, ill, alone in driver.spans:
            for index, times in subscriber.times.items():
                name = subscriber.names.get(index, "")
                if not alone or name == ill or not name.startswith(driver.vendor.name):
                    continue
                within = [taken for taken, heard in times if begun < heard < ended]
                apart += [(new - old) / 1e9 for old, new in zip(within, within[1:])]
        apart.sort()
        p99 = apart[int(len(apart) * 0.99)] if apart else 0.0
        found[driver.vendor.source] = {
            "intervals": len(apart), "median_s": round(statistics.median(apart or [0]), 4),
            "p99_s": round(p99, 4), "max_s": round(max(apart or [0]), 4),
        }
        if not apart or p99 > 1.1 * PERIOD_S:
            wrong.append(f"{driver.vendor.source}: p99 between readings is {p99:.3f} s")
    return found


def judge_looks(looks, wrong):
    """Whether what is used is bounded, after the first tenth."""
    looks = looks[len(looks) // 10 + 1:]
    first, last = looks[: max(1, len(looks) // 10)], looks[-max(1, len(looks) // 10):]
    middle = lambda some, key: statistics.median(look[key] for look in some)  # noqa: E731
    found = {}
    for key in looks[0]:
        if key != "at_s":
            found[key] = {"start": middle(first, key), "end": middle(last, key),
                          "max": max(look[key] for look in looks)}
    if found["agent_own_kib"]["end"] > 1.25 * found["agent_own_kib"]["start"] + 4096:
        wrong.append("the agent's own memory grows")
    if found["children_kib"]["end"] > 1.25 * found["children_kib"]["start"] + 8192:
        wrong.append("the children's memory grows")
    # Of each vendor one that reads, one that tries, and four that cannot end.
    if found["children"]["max"] > 2 * 6:
        wrong.append(f"{found['children']['max']} children")
    if found["agent_threads"]["max"] > found["agent_threads"]["start"] + 2:
        wrong.append(f"{found['agent_threads']['max']} threads of the agent")
    return found


def judge(run, left_s):
    wrong = [f"{driver.vendor.source}: {driver.failure!r}" for driver in run.drivers if driver.failure]
    with run.subscriber.lock:
        # What is injected for the end comes after the last fact.
        events = [told for told in run.subscriber.events if told[0] < run.stopped]
    late = judge_facts(run.drivers, events, wrong)
    if run.subscriber.again:
        wrong.append(f"{run.subscriber.again} events came again")
    if left_s > 2:
        wrong.append(f"the agent took {left_s:.2f} s to end")
    return {
        "seconds": run.given.seconds, "seed": run.given.seed,
        "injected": {of.vendor.source: dict(of.counts) for of in run.drivers},
        "facts": sum(len(of.facts) for of in run.drivers),
        "late_s": {f"{source} {what}": {"count": len(times), "median": round(statistics.median(times), 3),
                                        "max": round(max(times), 3)}
                   for (source, what), times in sorted(late.items())},
        "periods": judge_periods(run.drivers, run.subscriber, wrong),
        "used": judge_looks(run.looks, wrong),
        "ended_s": round(left_s, 3), "messages": run.subscriber.messages, "wrong": wrong,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    for name in ("--eagle-eye", "--nats", "--libraries"):
        parser.add_argument(name, required=True)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--out")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ee-soak-", ignore_cleanup_errors=True) as folder:
        run = Run(given, Path(folder))
        try:
            run.begin()
            run.work()
            run.stopped = time.monotonic()
            found = judge(run, run.leave())
            if found["wrong"]:
                print((Path(folder) / "log").read_text()[-3000:])
        finally:
            run.close()
    text = json.dumps(found, indent=1)
    print(text)
    if given.out:
        Path(given.out).write_text(text + "\n")
    sys.exit(1 if found["wrong"] else 0)


if __name__ == "__main__":
    main()
