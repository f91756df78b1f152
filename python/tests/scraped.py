"""A router's view fed as most routers are: by scraping engines' pages."""

import asyncio
import re
import time
from urllib.parse import urlsplit

from eagle_eye import Engine, Step, batch, layout, name_hash
from eagle_eye.client import View, ViewCore
from eagle_eye.layout import BatchHead

FIELDS = {"running": "num_requests_running", "waiting": "num_requests_waiting", "kv_usage": "kv_cache_usage_perc"}
PAGE_BYTES_MAX = 4 << 20


async def request(url, method="GET", body=b""):
    """The body that answers, by a connection of its own."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=PAGE_BYTES_MAX)
    try:
        head = (f"{method} {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n")
        writer.write(head.encode() + body)
        await writer.drain()
        answer = await reader.read()
        while not reader.at_eof():
            answer += await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head[:20]:
        raise OSError(f"{url} answered {head[:80]!r}")
    return body


def metric(page, name):
    """A metric's sum over its series, None where the page lacks it."""
    found = re.findall(rf"^vllm:{name}(?:\{{[^}}]*\}})? (\S+)", page, re.MULTILINE)
    return sum(map(float, found)) if found else None


class Scraped:
    """The view of engines by their pages: the same core, policies and ledger as
    any other, only that a step is a scrape."""

    def __init__(self, engines, ttl_ms):
        self.view = View(ViewCore())
        self.pages = 0
        self._engines = engines
        self._ttl_ms = ttl_ms

    async def scrape(self):
        """Reads every page once. One that does not answer tells nothing."""
        await asyncio.gather(*map(self._scrape, self._engines), return_exceptions=True)

    async def keep(self, period_s):
        """Scrapes at a fixed period."""
        due = time.monotonic()
        while True:
            await self.scrape()
            due = max(due + period_s, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    async def _scrape(self, engine: Engine):
        sent_ns = time.monotonic_ns()
        page = (await request(f"{engine.endpoint}/metrics")).decode()
        self.pages += 1
        step = Step()
        for field, name in FIELDS.items():
            value = metric(page, name)
            setattr(step, field, value if value is None or field == "kv_usage" else int(value))
        core, now_ns = bytearray(layout.STEP_BYTES), time.monotonic_ns()
        identity = (name_hash(engine.name), 1, name_hash(engine.model), 0, 1, int(layout.Role.AGGREGATED))
        layout.pack_step(core, 0, step, identity, self.pages, now_ns, time.time_ns(), 0, self._ttl_ms, 0)
        head = BatchHead(node=1, incarnation=1, generation=1, sequence=self.pages, publish_monotonic_ns=now_ns,
                         publish_wall_ns=time.time_ns(), flags=0)
        named = batch.engine_table(engine, 1, 1, "scrape")
        message = batch.tables(head, "scraped", engines=[named], steps=[bytes(core)])
        self.view.core.reply(message, time.monotonic_ns(), sent_ns)
