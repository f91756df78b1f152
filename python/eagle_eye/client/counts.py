"""What became of everything that came in."""

from __future__ import annotations

from typing import Dict

NAMES = (
    "batches", "messages_lost", "batches_oversized", "batches_unknown", "batches_malformed",
    "batches_beyond_senders", "trips_refused", "steps", "steps_stored", "steps_old", "steps_late",
    "steps_future", "steps_malformed", "steps_beyond_ranks", "steps_ignored", "steps_lost",
    "restarts", "ranks_forgotten", "readings_ignored", "names_refused", "events", "verdicts",
    "news_repeated", "news_dropped", "changes_dropped", "connects", "disconnects",
)


class Counts:
    """Each record is taken or counted under one reason; the names are those of
    the Rust view. `steps` is the sum of the seven kinds of steps after it."""

    __slots__ = NAMES

    batches: int
    messages_lost: int
    batches_oversized: int
    batches_unknown: int
    batches_malformed: int
    batches_beyond_senders: int
    trips_refused: int
    steps: int
    steps_stored: int
    steps_old: int
    steps_late: int
    steps_future: int
    steps_malformed: int
    steps_beyond_ranks: int
    steps_ignored: int
    steps_lost: int
    restarts: int
    ranks_forgotten: int
    readings_ignored: int
    names_refused: int
    events: int
    verdicts: int
    news_repeated: int
    news_dropped: int
    changes_dropped: int
    connects: int
    disconnects: int

    def __init__(self) -> None:
        for name in NAMES:
            setattr(self, name, 0)

    def named(self) -> Dict[str, int]:
        """Every count with its name, for an exporter."""
        return {name: getattr(self, name) for name in NAMES}
