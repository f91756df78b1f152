#!/usr/bin/env python3
"""What one step costs the engine's thread: `python3 python/bench_door.py`.

Every call is timed alone with perf_counter_ns; the clock's own cost (first
row) is part of every figure. json.dumps of the same fields runs in the same
process, as what a publisher of JSON pays before it has sent anything.
"""

import argparse
import gc
import json
import os
import random
import select
import signal
import struct
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from eagle_eye import Door, Engine, Step, iter_steps, layout  # noqa: E402
from eagle_eye.bell import BELL_BYTES, BELL_MAGIC, SLEEPING_AT, Bell  # noqa: E402
from eagle_eye.memory import F_ADD_SEALS  # noqa: E402


def full_step():
    numbers = random.Random(1)
    step = Step()
    for name in layout.FIELDS:
        setattr(step, name, numbers.randrange(1, 60_000))
    for name in ("kv_usage", "prefill_tokens_per_second", "decode_tokens_per_second"):
        setattr(step, name, numbers.random())
    return step


def a_bell(sleeping):
    """A bell as an agent makes it, for good asleep or awake."""
    import ctypes
    import fcntl

    memory = os.memfd_create("bell", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(memory, BELL_BYTES)
    os.pwrite(memory, BELL_MAGIC, 0)
    os.pwrite(memory, struct.pack("<I", sleeping), SLEEPING_AT)
    fcntl.fcntl(memory, F_ADD_SEALS, 2 | 4)
    eventfd = ctypes.CDLL(None).eventfd(0, os.O_NONBLOCK | os.O_CLOEXEC)
    return Bell(memory, eventfd)


def bells(door, step, count):
    """Rows with a bell; each checks that it rang as often as its name says."""
    # A link that finds no agent takes the bell away, and nothing would ring.
    if not door._link.stop(5.0):
        raise SystemExit("the link did not stop, so no bell can be measured")
    for name, sleeping in (("agent awake", 0), ("ringing each time, nobody sleeps on it", 1)):
        bell = door._link.bell = a_bell(sleeping)
        before = door.written
        measure(f"write, {name}", lambda: door.write(step), count)
        rung = read_eventfd(bell._eventfd)
        expected = sleeping * (door.written - before)
        if rung != expected:
            raise SystemExit(f"{name}: rang {rung} times, not {expected}: the row above is void")
    bell = door._link.bell = a_bell(1)
    child = os.fork()
    if child == 0:
        wake_for_ever(bell._eventfd)
    measure("write, waking a process every 300 µs", lambda: door.write(step), count // 20, pause_s=0.0003)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    door._link.bell = None


def read_eventfd(fd):
    try:
        return int.from_bytes(os.read(fd, 8), "little")
    except BlockingIOError:
        return 0


def wake_for_ever(fd):
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    while True:
        poll.poll()
        read_eventfd(fd)


def measure(name, call, count, batch=1, pause_s=0.0):
    clock = time.perf_counter_ns
    times = []
    for _ in range(count // 20):
        call()
    gc.disable()
    for _ in range(count):
        if pause_s:
            time.sleep(pause_s)
        began = clock()
        call()
        times.append(clock() - began)
    gc.enable()
    times.sort()
    at = lambda share: times[min(int(len(times) * share), len(times) - 1)] / batch / 1000
    print(f"{name:44} p50 {at(0.5):8.2f} µs   p99 {at(0.99):8.2f} µs   p99.9 {at(0.999):8.2f} µs")
    return at(0.5)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    count = parser.parse_args().count
    print(f"Python {sys.version.split()[0]}, {count} calls each")
    nowhere = os.path.join(tempfile.gettempdir(), "no-agent-here.sock")
    with Door(Engine("bench", "bench"), socket_path=nowhere) as door:
        step = full_step()
        some = full_step()
        for name in layout.FIELDS[1::3]:
            setattr(some, name, None)
        fields = {name: getattr(step, name) for name in layout.FIELDS}
        fields.update(instance="bench", model="bench", rank=0, sequence=1, monotonic_ns=1, wall_ns=1)

        def set_and_write():
            for name, value in values:
                setattr(step, name, value)
            door.write(step)

        values = [(name, getattr(step, name)) for name in layout.FIELDS]
        measure("clock alone", lambda: None, count)
        written = measure("write, all 25 fields", lambda: door.write(step), count)
        measure("write, a third of them unknown", lambda: door.write(some), count)
        measure("25 setattr and write", set_and_write, count)
        bells(door, step, count)
        dumped = measure("json.dumps of the same fields", lambda: json.dumps(fields).encode(), count)
        print(f"json.dumps / write: {dumped / written:.1f}")
        batch = a_batch(door, 64)
        text = json.dumps(fields)
        read = measure("read a step, batch of 64, all fields", lambda: list(iter_steps(batch)), count // 20, 64)
        loaded = measure("json.loads of the same fields", lambda: json.loads(text), count)
        print(f"json.loads / read: {loaded / read:.1f}")


def a_batch(door, count):
    head = struct.pack("<I4sHHHHHHi", 20, b"EEB1", 8, 56, 4, 52, 0, 0, 12)
    head += layout.BATCH_HEAD.pack(1, 1, 1, 1, 1, 1, 0) + struct.pack("<II", 4, count)
    return head + bytes(door._core) * count


if __name__ == "__main__":
    main()
