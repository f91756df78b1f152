"""A view of a fleet over NATS, by `nats-py` (the extra `nats`): asyncio only,
no threads.

It asks for a snapshot at every connection, asks again while answers are
missing, and measures the round trip now and then, since clocks drift.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from typing import Any, Dict, List, Optional, Sequence

from ..step import bounded_name
from .clock import MILLISECOND_NS, SECOND_NS
from .core import Refused
from .view import View

LOG = logging.getLogger("eagle_eye")

PREFIX_DEFAULT = "eagle_eye.v1"
TRIAL_MESSAGE = b"EE-TRIAL"  # Somebody asks a server whether he may publish.
TICK_NS = 50 * MILLISECOND_NS
ASK_AGAIN_NS = SECOND_NS  # How long to wait for answers before asking again.
MEASURE_NS = 30 * SECOND_NS  # Until then 100 ppm of drift add 3 ms to the error.
ASKED_MAX = 64  # Of so many requests the time of sending is remembered.
LEAVE_S = 0.5
PENDING = {"pending_msgs_limit": 4096, "pending_bytes_limit": 16 << 20}  # Of one subscription.

CONNECTION: Dict[str, Any] = {
    "max_reconnect_attempts": -1, "reconnect_time_wait": 0.25, "connect_timeout": 1,
    "ping_interval": 1, "max_outstanding_pings": 3,
}
"""How we differ from `nats-py`'s defaults: never give up, notice soon."""


def subject_token(name: str) -> str:
    """A name as a part of a subject: what is not a letter, digit, `_` or `-`
    becomes `_`."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in bounded_name(name))
    return kept or "_"


def subjects(prefix: str, model: Optional[str]) -> List[str]:
    """What a view subscribes to."""
    token = "*" if model is None else subject_token(model)
    return [f"{prefix}.routing.*.{token}", f"{prefix}.events.*", f"{prefix}.verdicts.*"]


class NatsFeed:
    """Feeds a view from a fleet's subjects until cancelled."""

    def __init__(
        self, view: View, servers: Sequence[str], prefix: str = PREFIX_DEFAULT,
        model: Optional[str] = None, options: Optional[Dict[str, Any]] = None,
    ) -> None:
        try:
            from nats.aio.client import Client
        except ImportError as error:
            raise ImportError("a view over NATS needs nats-py: pip install 'eagle-eye[nats]'") from error
        self._client: Any = Client()
        self._view = view
        self._prefix, self._subjects = prefix, subjects(prefix, model)
        self._options = {
            **CONNECTION, **(options or {}), "servers": list(servers),
            "reconnected_cb": self._reconnected, "disconnected_cb": self._disconnected,
            "error_cb": self._failed,
        }
        self._asked: OrderedDict[str, int] = OrderedDict()
        self._asked_ns = 0
        self._is_wanted = True
        self._inbox = ""
        self._said = ""

    async def keep(self) -> None:
        """Keeps the view fed until cancelled."""
        try:
            connecting = asyncio.ensure_future(self._connect())
            try:
                while True:
                    await self._turn()
                    if connecting.done():
                        connecting.result()  # A mistake in the options shows here.
                    await asyncio.sleep(TICK_NS / SECOND_NS)
            finally:
                connecting.cancel()
        finally:
            self._view.core.disconnected()
            try:
                await asyncio.wait_for(self._client.close(), LEAVE_S)
            except Exception as error:
                LOG.debug("eagle-eye: closing the connection to NATS failed: %s", error)

    async def _connect(self) -> None:
        await self._client.connect(**self._options)
        self._inbox = self._client.new_inbox()
        await self._client.subscribe(f"{self._inbox}.*", cb=self._replied, **PENDING)
        for subject in self._subjects:
            await self._client.subscribe(subject, cb=self._received, **PENDING)
        await self._reconnected()

    async def _turn(self) -> None:
        core, now_ns = self._view.core, time.monotonic_ns()
        core.tick(now_ns)
        patience_ns = MEASURE_NS if core.is_complete else ASK_AGAIN_NS
        if core.is_connected and (self._is_wanted or now_ns - self._asked_ns >= patience_ns):
            self._is_wanted, self._asked_ns = False, now_ns
            await self._ask()

    async def _ask(self) -> None:
        reply = f"{self._inbox}.{len(self._asked)}{time.monotonic_ns()}"
        self._asked[reply] = time.monotonic_ns()
        if len(self._asked) > ASKED_MAX:
            self._asked.popitem(last=False)
        try:
            await self._client.publish(f"{self._prefix}.snapshot", b"", reply=reply)
            await self._client.flush(1)
        except Exception as error:
            # Not now: it is asked again.
            LOG.debug("eagle-eye: asking for a snapshot failed: %s", error)

    async def _received(self, message: Any) -> None:
        receipt_ns = time.monotonic_ns()
        if message.data == TRIAL_MESSAGE:
            return
        try:
            self._view.core.feed(message.data, receipt_ns)
        except Refused:
            pass  # It is counted.

    async def _replied(self, message: Any) -> None:
        receipt_ns = time.monotonic_ns()
        sent_ns = self._asked.get(message.subject)
        if sent_ns is None or (message.headers or {}).get("Status"):
            return  # Too old to measure by, or nobody is there to answer.
        try:
            self._view.core.reply(message.data, receipt_ns, sent_ns)
        except Refused:
            pass  # It is counted.

    async def _reconnected(self) -> None:
        self._view.core.connected(time.monotonic_ns())
        self._is_wanted, self._said = True, ""

    async def _disconnected(self) -> None:
        self._view.core.disconnected()

    async def _failed(self, error: Exception) -> None:
        if type(error).__name__ == "SlowConsumerError":
            # What it said is asked for.
            self._view.core.counts.messages_lost += 1
            self._is_wanted = True
        sentence = f"NATS: {error}" if str(error) else f"NATS: {type(error).__name__}"
        if sentence != self._said:
            self._said = sentence
            LOG.warning("eagle-eye: %s", sentence)
