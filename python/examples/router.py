#!/usr/bin/env python3
"""A router: forwards OpenAI-compatible requests to the engine that the view
says has the least to do, and streams the answer through.

    python3 python/examples/router.py --listen 127.0.0.1:8080 [--nats URL] \
        [--score least_work|power_of_two|kv_aware]
    curl http://127.0.0.1:8080/v1/completions -d '{"model": "m", "prompt": "Hello"}'

Without `--nats` it reads the local agent. It prints one line a decision. It is
an example: one connection a request, no TLS.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from eagle_eye import name_hash  # noqa: E402
from eagle_eye.client import Ask, NoPick, Options, Policy, Score, connect  # noqa: E402

HEAD_BYTES_MAX, BODY_BYTES_MAX = 64 << 10, 8 << 20
CHUNK_BYTES = 64 << 10
TRIES_MAX = 3  # Engines tried for one request.
BYTES_PER_TOKEN = 4  # Of JSON; a router with a tokenizer knows better.
ONE_HOP = ("connection", "host", "keep-alive", "transfer-encoding", "upgrade")


class Router:
    """One request in, one request out."""

    def __init__(self, view, score):
        self.view, self.score = view, score

    async def serve(self, reader, writer):
        """Answers one caller."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = content_length(head)
            if length > BODY_BYTES_MAX:
                writer.write(sentence(413, "the request is larger than 8 MiB"))
            else:
                await self.route(head, await reader.readexactly(length), writer)
            await writer.drain()
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # A caller who leaves, or speaks no HTTP, is nobody's mistake.
        finally:
            writer.close()

    async def route(self, head, body, writer):
        """Tries engines until one answers."""
        path, failed = head.split(b" ", 2)[1].decode("latin1"), set()
        while len(failed) < TRIES_MAX:
            try:
                reservation = self.choose(body, failed)
            except NoPick as none:
                print(f"{path} -> nobody: {none}", flush=True)
                writer.write(sentence(503, str(none)))
                return
            # The request counts as in flight there until this block ends.
            with reservation:
                state = reservation.pick.state
                engine = self.view.engine(state.id.instance)
                print(f"{path} -> {explained(reservation.pick, engine)}", flush=True)
                try:
                    upstream = await dial(engine.endpoint, head, body)
                except OSError as error:
                    print(f"{path} -> {engine.name} failed: {error}", flush=True)
                    failed.add(state.id)
                    continue
                await stream(upstream, writer, reservation)
                return
        writer.write(sentence(502, "the engines tried did not answer"))

    def choose(self, body, failed):
        """Reserves a rank that serves the request's model and has an address."""
        try:
            model = json.loads(body).get("model")
        except (ValueError, AttributeError):
            model = None

        def can(state):
            engine = self.view.engine(state.id.instance)
            return state.id not in failed and engine and engine.endpoint.startswith("http://")

        ask = Ask(name_hash(model) if isinstance(model, str) else None, len(body) // BYTES_PER_TOKEN, can)
        # Rather a doubtful engine than a refusal: this router has no other pool.
        return self.view.reserve(ask, Policy.lenient(), self.score)


async def dial(endpoint, head, body):
    """Sends the request on; the answer's streams once its first byte is there."""
    url = urlsplit(endpoint)
    reader, writer = await asyncio.open_connection(url.hostname, url.port or 80)
    line, *headers = head.decode("latin1").split("\r\n")
    method, path, version = line.split(" ", 2)
    kept = [header for header in headers if header and header.split(":")[0].strip().lower() not in ONE_HOP]
    kept += [f"Host: {url.netloc}", "Connection: close"]
    request = "\r\n".join([f"{method} {url.path.rstrip('/')}{path} {version}", *kept, "", ""])
    writer.write(request.encode("latin1") + body)
    await writer.drain()
    first = await reader.read(CHUNK_BYTES)
    if not first:
        writer.close()
        raise ConnectionResetError("it hung up without an answer")
    return first, reader, writer


async def stream(upstream, writer, reservation):
    """The answer as it comes; its first bytes end the prompt's work."""
    chunk, reader, theirs = upstream
    reservation.first_token()
    try:
        while chunk:
            writer.write(chunk)
            await writer.drain()
            chunk = await reader.read(CHUNK_BYTES)
    finally:
        theirs.close()


def content_length(head):
    """The body's bytes, as its head says."""
    for header in head.decode("latin1").split("\r\n")[1:]:
        name, _, value = header.partition(":")
        if name.strip().lower() == "content-length":
            return max(int(value), 0)
    return 0


def sentence(status, text):
    """An answer of our own."""
    body = json.dumps({"error": {"message": text}}).encode() + b"\n"
    return f"HTTP/1.1 {status} eagle-eye\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def explained(pick, engine):
    """Why this one."""
    state, running = pick.state, pick.state.value("running")
    return (
        f"{engine.name}#{state.id.rank} score {pick.score:.2f} of {pick.considered} "
        f"({'?' if running is None else running} running, {state.unaccounted} of ours uncounted, "
        f"{state.freshness.name.lower()} {state.activity.name.lower()}, "
        f"{state.age_ns / 1e6:.1f} ms old ± {state.error_ns / 1e6:.1f})"
    )


async def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--listen", default="127.0.0.1:8080")
    arguments.add_argument("--nats", help="servers, separated by commas; without it the local agent")
    arguments.add_argument("--socket", help="the local agent's socket")
    arguments.add_argument("--score", default="least_work", choices=[score.value for score in Score])
    given = arguments.parse_args()
    options = Options.from_environment()
    if given.nats:
        options = options._replace(nats=given.nats.split(","))
    if given.socket:
        options = options._replace(nats=[], socket=given.socket)
    host, _, port = given.listen.rpartition(":")
    async with connect(options) as view:
        router = Router(view, Score(given.score))
        server = await asyncio.start_server(router.serve, host, int(port), limit=HEAD_BYTES_MAX)
        address = ":".join(map(str, server.sockets[0].getsockname()[:2]))
        print(f"listening on http://{address}, choosing by {given.score}", flush=True)
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
