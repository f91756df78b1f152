"""What this process sent and what the engines cannot have counted yet.

An engine's own numbers are as old as its last sample. A request sent since then
is in nobody's numbers but ours, so we add it; once the engine's sample is later
than its dispatch, with the clock's error and a margin for being admitted, the
engine's numbers include it and ours stop.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Optional

from .clock import MILLISECOND_NS
from .state import RankId

ADMISSION_MARGIN_NS = 5 * MILLISECOND_NS
"""Between a dispatch and its showing in an engine's numbers lie the network and
the engine's admission: this long at least, ns."""


class Owed(NamedTuple):
    """What a rank has of ours."""

    in_flight: int = 0
    """Requests in flight."""
    unaccounted: int = 0
    """Those that the engine's numbers cannot include yet."""
    unaccounted_tokens: int = 0
    """Prompt tokens of those whose first token did not come yet."""


class Entry(NamedTuple):
    """Where a dispatch stands in the ledger."""

    account: _Account
    ticket: int


class _Dispatch:
    __slots__ = ("at_ns", "tokens")

    def __init__(self, at_ns: int, tokens: int) -> None:
        self.at_ns = at_ns
        self.tokens = tokens


class _Account:
    """One rank's dispatches; those that the engine has counted are let go."""

    __slots__ = ("in_flight", "open", "covered_ns", "tokens")

    def __init__(self) -> None:
        self.in_flight = 0
        self.open: Dict[int, _Dispatch] = {}
        self.covered_ns = 0
        self.tokens = 0

    def cover(self, covered_ns: int) -> None:
        # Samples are only ever believed to cover more than before: an error
        # that grows between two samples takes nothing back.
        if covered_ns <= self.covered_ns:
            return
        self.covered_ns = covered_ns
        for ticket in [ticket for ticket, sent in self.open.items() if sent.at_ns < covered_ns]:
            self.tokens -= self.open.pop(ticket).tokens


NOTHING = Owed()


class Ledger:
    """All dispatches of this process, by rank. Its memory is bounded by the
    requests in flight and the ranks of the view."""

    def __init__(self, ranks_max: int) -> None:
        self._accounts: Dict[RankId, _Account] = {}
        self._accounts_max = 2 * max(ranks_max, 16)
        self._next = 0
        self.unplaced = 0
        """Dispatches that found no place."""

    def open(self, rank: RankId, dispatch_ns: int, tokens: int) -> Optional[Entry]:
        """Notes a request sent to `rank`. None when the ledger is full; that is
        counted."""
        account = self._accounts.get(rank)
        if account is None:
            if len(self._accounts) >= self._accounts_max and not self._make_room():
                self.unplaced += 1
                return None
            account = self._accounts[rank] = _Account()
        self._next += 1
        account.in_flight += 1
        if dispatch_ns >= account.covered_ns:
            account.open[self._next] = _Dispatch(dispatch_ns, tokens)
            account.tokens += tokens
        return Entry(account, self._next)

    def first_token(self, entry: Entry) -> None:
        """Notes that a request's prompt was computed."""
        sent = entry.account.open.get(entry.ticket)
        if sent is not None:
            entry.account.tokens -= sent.tokens
            sent.tokens = 0

    def close(self, entry: Entry) -> None:
        """Notes that a request ended, however it did. Once for each entry."""
        account = entry.account
        account.in_flight -= 1
        sent = account.open.pop(entry.ticket, None)
        if sent is not None:
            account.tokens -= sent.tokens

    def owed(self, rank: RankId, sampled_ns: int, error_ns: int) -> Owed:
        """What is owed by `rank`, whose engine's numbers are of `sampled_ns`
        within `error_ns`, both of this host's clock."""
        account = self._accounts.get(rank)
        if account is None or account.in_flight == 0:
            return NOTHING
        account.cover(max(sampled_ns - error_ns - ADMISSION_MARGIN_NS, 0))
        return Owed(account.in_flight, len(account.open), account.tokens)

    def _make_room(self) -> bool:
        """Ranks with nothing in flight move out."""
        idle = [rank for rank, account in self._accounts.items() if account.in_flight == 0]
        for rank in idle:
            del self._accounts[rank]
        return bool(idle)
