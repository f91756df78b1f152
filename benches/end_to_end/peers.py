"""What users have today, and our writer, in the same asyncio engine loop.

    peers.py engine ROAD TARGET HZ BUSY_MS SECONDS NAME
    peers.py reader ROAD TARGET

ROAD is door, nats, zmq or page. Every time is CLOCK_MONOTONIC of this host. A
reader prints `ready`, then one line of JSON when the engine has ended.
"""

import asyncio
import json
import random
import sys
import time

WARM = 20  # Samples left out at the start.

began_ns = 0
"""This process's processor time when it was ready: its start is no step's cost."""


def ready():
    global began_ns
    began_ns = time.process_time_ns()
    print("ready", flush=True)


def fields():
    """25 numbers of the sizes that a busy engine has."""
    from eagle_eye import layout

    numbers = random.Random(1)
    values = {name: numbers.randrange(1, 60_000) for name in layout.FIELDS}
    for name in ("kv_usage", "prefill_tokens_per_second", "decode_tokens_per_second"):
        values[name] = numbers.random()
    return values


def message(values, sequence):
    """A step as a dictionary, with what the door adds by itself."""
    return {
        "instance": "bench-engine-0", "model": "meta-llama/Llama-3.1-8B-Instruct", "rank": 0,
        "sequence": sequence, "monotonic_ns": time.monotonic_ns(), "wall_ns": time.time_ns(), **values,
    }


def summary(times):
    times = sorted(times[WARM:]) or [0]
    at = lambda share: times[min(int(len(times) * share), len(times) - 1)]
    return {"count": len(times), "p50": at(0.5), "p99": at(0.99), "p999": at(0.999),
            "mean": sum(times) / len(times)}


async def loop(record, hz, busy_ms, seconds):
    """An engine's loop: one record a step, then a pause or work. Returns what
    recording costs the loop, ns."""
    global began_ns
    began_ns = time.process_time_ns()
    costs = []
    began = due = time.monotonic()
    sequence = 0
    while time.monotonic() < began + seconds:
        sequence += 1
        before = time.perf_counter_ns()
        pending = record(sequence)
        if pending is not None:
            await pending
        costs.append(time.perf_counter_ns() - before)
        if busy_ms:
            until = time.perf_counter() + busy_ms / 1000
            while time.perf_counter() < until:
                pass
            await asyncio.sleep(0)
        else:
            due += 1 / hz
            await asyncio.sleep(max(0.0, due - time.monotonic()))
    return costs


async def engine_door(target, name, run):
    from eagle_eye import Door, Engine, Step

    step = Step(0, **fields())
    values = list(fields().items())
    with Door(Engine(name, "bench"), socket_path=target) as door:
        until = time.monotonic() + 5
        while not door.welcomes and time.monotonic() < until:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)

        def record(_):
            for field, value in values:
                setattr(step, field, value)
            door.write(step)

        return await run(record)


async def engine_nats(target, _, run):
    import nats

    values = fields()
    client = await nats.connect(target)
    record = lambda sequence: client.publish("bench.steps", json.dumps(message(values, sequence)).encode())
    costs = await run(record)
    await client.publish("bench.steps", b"end")
    await client.flush()
    await client.close()
    return costs


async def engine_zmq(target, _, run):
    import msgpack
    import zmq

    values = fields()
    socket = zmq.Context.instance().socket(zmq.PUB)
    socket.bind(target)
    await asyncio.sleep(0.5)  # Subscribers that connect late miss the first.

    def record(sequence):
        socket.send(msgpack.packb(message(values, sequence)), zmq.NOBLOCK)

    costs = await run(record)
    await asyncio.sleep(0.05)
    socket.send(b"end")
    await asyncio.sleep(0.2)
    socket.close()
    return costs


async def engine_page(target, _, run):
    """A page as large as a vLLM server's: about 440 samples."""
    import prometheus_client as client

    values = fields()
    gauges = [client.Gauge(f"vllm_{name}", "A value of the engine.", ["model_name", "engine"]).labels("m", "0")
              for name in values]
    for number in range(12):
        histogram = client.Histogram(f"vllm_time_{number}_seconds", "A distribution.", ["model_name", "engine"],
                                     buckets=[0.001 * 1.4**step for step in range(30)])
        histogram.labels("m", "0").observe(0.1)
    stamp = client.Gauge("vllm_stamp_seconds", "When the values were set.")
    server = client.start_http_server(int(target), addr="127.0.0.1")

    def record(_):
        for gauge, value in zip(gauges, values.values()):
            gauge.set(value)
        stamp.set(time.monotonic())

    costs = await run(record)
    server[0].shutdown()
    return costs


async def reader_nats(target):
    import nats

    times, ended, size = [], asyncio.Event(), 0

    async def take(received):
        nonlocal size
        if received.data == b"end":
            ended.set()
            return
        sent = json.loads(received.data)["monotonic_ns"]
        times.append(time.monotonic_ns() - sent)
        size = len(received.data)

    client = await nats.connect(target)
    await client.subscribe("bench.steps", cb=take)
    await client.flush()
    ready()
    await ended.wait()
    await client.close()
    return {**summary(times), "bytes": size}


async def reader_zmq(target):
    import msgpack
    import zmq

    times, size = [], 0
    socket = zmq.Context.instance().socket(zmq.SUB)
    socket.connect(target)
    socket.setsockopt(zmq.SUBSCRIBE, b"")
    ready()
    while True:
        received = socket.recv()
        if received == b"end":
            break
        sent = msgpack.unpackb(received)["monotonic_ns"]
        times.append(time.monotonic_ns() - sent)
        size = len(received)
    return {**summary(times), "bytes": size}


async def reader_page(target):
    """Polls every 50 ms, and every millisecond looks how old its value is."""
    import http.client

    ages, newest, lines, polls, size = [], None, 0, 0, 0
    poll_due = time.monotonic()
    ready()
    client = None
    while True:
        if time.monotonic() >= poll_due:
            poll_due += 0.05
            try:
                client = client or http.client.HTTPConnection("127.0.0.1", int(target), timeout=1)
                client.request("GET", "/metrics")
                page = client.getresponse().read().decode()
            except OSError:
                client = None
                if polls:
                    break
                time.sleep(0.05)
                continue
            polls += 1
            size = len(page)
            lines = sum(1 for line in page.splitlines() if not line.startswith("#"))
            at = page.index("\nvllm_stamp_seconds ") + 20
            newest = float(page[at : page.index("\n", at)]) or None
        if newest is not None:
            ages.append(int((time.monotonic() - newest) * 1e9))
        time.sleep(0.001)
    # The last look was at an engine that had ended.
    return {**summary(ages[:-60]), "bytes": size, "samples": lines, "polls": polls}


def main():
    role, road, target = sys.argv[1:4]
    act = globals()[f"{role}_{road}"]
    if role == "reader":
        result = asyncio.run(act(target))
    else:
        hz, busy_ms, seconds, name = float(sys.argv[4]), float(sys.argv[5]), float(sys.argv[6]), sys.argv[7]
        result = summary(asyncio.run(act(target, name, lambda record: loop(record, hz, busy_ms, seconds))))
    print(json.dumps({**result, "processor_ns": time.process_time_ns() - began_ns}), flush=True)


if __name__ == "__main__":
    main()
