"""Ranks left out of a choice, by reason."""

from __future__ import annotations

from typing import Dict

REASONS = (
    "other_model",  # They serve another model.
    "unfit",  # The request's own condition said no.
    "gone",  # Said goodbye or silent for very long.
    "silent",
    "stale",
    "asleep",
    "draining",
    "warming",  # Not ready yet.
    "ill",  # Degraded or failed hardware.
    "unknown_health",  # Nobody samples their hardware.
    "unknown_load",  # Running or waiting unknown.
    "unscored",  # The score had nothing to say, or said no number.
    "disturbed",  # They could not be read whole.
)


class Excluded(Dict[str, int]):
    """How many ranks were left out for each of `REASONS`, each under the first
    that applied; reasons that did not occur are absent."""

    def add(self, reason: str) -> None:
        """One more."""
        self[reason] = self.get(reason, 0) + 1

    def total(self) -> int:
        """All of them."""
        return sum(self.values())

    def __str__(self) -> str:
        said = [f"{self[reason]} {reason.replace('_', ' ')}" for reason in REASONS if reason in self]
        return ", ".join(said) or "no ranks known"
