"""What an engine that speaks itself says, as messages: bytes and times only."""

from __future__ import annotations

import time
from typing import Any, Dict, List, Sequence, Tuple

from .. import batch
from ..layout import BatchHead
from ..step import Engine, bounded_name, name_hash
from .settings import subject_token

SOURCE = "direct"


class Sender:
    """Who speaks: one door of one process, under a name of its own.

    That name is the engine's, as no agent's node is called, and tells front
    ends of one engine apart.
    """

    def __init__(self, engine: Engine, whose: batch.Whose, producers: int, process: int, prefix: str) -> None:
        name = bounded_name(engine.name)
        self.node = name if producers <= 1 else f"{_cut(name, 240)}#{whose.producer}"
        """The sender's name, where an agent says its node's."""
        self.subject = f"{prefix}.routing.{subject_token(self.node)}.{subject_token(bounded_name(engine.model))}"
        """What its batches travel under."""
        self.generation = 0
        """One up each time it begins to speak."""
        self._node_hash = name_hash(self.node)
        self._whose = whose
        self._process = process
        self._sequence = 0

    def hot(self, records: Sequence[bytes]) -> List[bytes]:
        """Steps as they flow."""
        messages = []
        for at in range(0, len(records), batch.HOT_STEPS_MAX):
            self._sequence += 1
            messages.append(batch.hot_steps(self._head(self._sequence, 0), records[at : at + batch.HOT_STEPS_MAX]))
        return messages

    def names(self, engine: Engine) -> List[bytes]:
        """The engine's names, after they changed."""
        return [batch.tables(self._head(), self.node, engines=[self._engine(engine)])]

    def details(self, data: bytes) -> List[bytes]:
        """What the engine says at a low rate, after it changed."""
        return [batch.tables(self._head(), self.node, details=part) for part in self._details(data)]

    def everything(
        self, engine: Engine, details: bytes, newest: Sequence[bytes], held_ns: int = 0
    ) -> List[bytes]:
        """The whole state; the last message says that it is the last."""
        parts: List[Tuple[str, Any]] = [("engines", [self._engine(engine)])]
        parts += [("details", part) for part in self._details(details)]
        parts += [("steps", newest[at : at + batch.STEPS_MAX]) for at in range(0, len(newest), batch.STEPS_MAX)]
        messages = []
        for number, (what, part) in enumerate(parts, 1):
            flags = batch.SNAPSHOT | (batch.LAST if number == len(parts) else 0)
            messages.append(batch.tables(self._head(0, flags), self.node, held_ns=held_ns, **{what: part}))
        return messages

    def nothing(self, held_ns: int) -> List[bytes]:
        """The answer of one who is heard no more: an agent speaks for it."""
        return [batch.tables(self._head(0, batch.SNAPSHOT | batch.LAST), self.node, held_ns=held_ns)]

    def _engine(self, engine: Engine) -> Any:
        return batch.engine_table(engine, self._whose.incarnation, self._process, SOURCE)

    def _details(self, data: bytes) -> List[Any]:
        return list(batch.details_parts(batch.details_tables(self._whose, data)))

    def _head(self, sequence: int = 0, flags: int = 0) -> BatchHead:
        return BatchHead(
            self._node_hash, self._whose.incarnation, sequence,
            time.monotonic_ns(), time.time_ns(), self.generation, flags,
        )


class Held:
    """Records that could not go out, each rank's newest only."""

    def __init__(self) -> None:
        self.replaced = 0
        """Records that a newer one of their rank took the place of."""
        self._records: Dict[int, bytes] = {}

    def keep(self, ranks: Sequence[int], records: Sequence[bytes]) -> None:
        """Keeps records until they can go out."""
        before = len(self._records)
        self._records.update(zip(ranks, records))
        self.replaced += len(records) - (len(self._records) - before)

    def take(self) -> List[bytes]:
        """All that is kept."""
        records, self._records = list(self._records.values()), {}
        return records

    def drop(self) -> None:
        """Forgets what is kept: a whole state takes its place."""
        self.replaced += len(self._records)
        self._records = {}


def _cut(name: str, bytes_max: int) -> str:
    return name.encode("utf-8")[:bytes_max].decode("utf-8", "ignore")
