"""Choosing a rank for a request."""

from __future__ import annotations

import enum
import math
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

from .chance import Chance
from .excluded import Excluded
from .ledger import NOTHING, Ledger, Owed
from .merge import merge
from .policy import Include, Policy
from .record import Record
from .state import Load, Patience, RankId, RankState, load_of

TOKENS_PER_REQUEST = 1024.0
"""Prompt tokens that weigh like one request."""

DRAWS_MAX = 16  # Cells tried for each of the two choices before all are looked at.


class Disturbed(enum.Enum):
    """Stands in for a cell that could not be read whole."""

    DISTURBED = 0


DISTURBED = Disturbed.DISTURBED
Cells = Sequence[Union[Record, Disturbed, None]]


class Ask(NamedTuple):
    """What a request needs."""

    model: Optional[int] = None
    """Hash of the model's name (`eagle_eye.name_hash`); any if absent."""
    prompt_tokens: int = 0
    """Tokens of its prompt, as well as the caller knows; 0 if he doesn't."""
    only: Optional[Callable[[RankState], bool]] = None
    """Which ranks can take it: a role, an adapter, not the one that just
    failed. All if absent."""


class Score(enum.Enum):
    """How good a rank is for a request: less is better."""

    LEAST_WORK = "least_work"
    """The least work: requests at the engine and on their way, and their prompt
    tokens where they are known."""
    POWER_OF_TWO = "power_of_two"
    """The least work of two chosen by chance: nearly as good, spreads the
    choices of many routers, and costs the same however many ranks there are."""
    KV_AWARE = "kv_aware"
    """As vLLM's own balancer: waiting requests weigh up to four times as much
    as the KV cache fills from half to full."""


OwnScore = Callable[[RankState], Optional[float]]
"""A caller's own score; None leaves the rank out."""


class Pick(NamedTuple):
    """A rank that was chosen, and why."""

    state: RankState
    """The rank as it was when chosen."""
    score: float
    """Its score with penalties."""
    considered: int
    """Ranks that could have been chosen."""
    excluded: Excluded
    """Ranks that could not, by reason."""
    at_ns: int
    """This host's CLOCK_MONOTONIC when chosen, ns."""


class NoPick(LookupError):
    """No rank could be chosen; `excluded` says why not."""

    def __init__(self, excluded: Excluded) -> None:
        super().__init__(
            f"choosing an engine failed: none of {excluded.total()} ranks may take the request"
            f" ({excluded})"
        )
        self.excluded = excluded


class Picture(NamedTuple):
    """What a choice is made from."""

    cells: Cells
    ledger: Ledger
    patience: Patience
    chance: Chance

    def state(self, record: Record, now_ns: int) -> RankState:
        """A rank that stands alone."""
        state = record.state()
        state.age(now_ns, self.patience)
        self.add_ours(state)
        return state

    def states(self, now_ns: int) -> Iterator[RankState]:
        """Every rank that could be had whole."""
        several: Dict[Tuple[int, int], List[Record]] = {}
        for record in self.cells:
            if not isinstance(record, Record):
                continue
            step = record.step
            if step.producers > 1:
                several.setdefault((step.instance, step.rank), []).append(record)
            else:
                yield self.state(record, now_ns)
        for key in sorted(several):
            state = merge(several[key], now_ns, self.patience)
            self.add_ours(state)
            yield state

    def add_ours(self, state: RankState) -> None:
        """What this process has in flight there."""
        owed = self.ledger.owed(state.id, state.sampled_ns, state.error_ns)
        state.in_flight, state.unaccounted, state.unaccounted_tokens = owed


def pick(
    picture: Picture, now_ns: int, ask: Ask, policy: Policy, score: Union[Score, OwnScore]
) -> Pick:
    """The best rank; raises NoPick."""
    rounds = _Round(picture, now_ns, ask, policy, score)
    if score is Score.POWER_OF_TWO:
        best = rounds.draw_two() or rounds.best_of_two()
    else:
        best = rounds.best_of_cells() or rounds.best_of_all()
    if best is None:
        raise NoPick(rounds.excluded)
    return Pick(best[0], best[1], rounds.considered, rounds.excluded, now_ns)


_Best = Optional[Tuple[RankState, float]]


class _Round:
    """What is kept while ranks go by."""

    def __init__(
        self, picture: Picture, now_ns: int, ask: Ask, policy: Policy, score: Union[Score, OwnScore]
    ) -> None:
        self.picture, self.now_ns, self.ask, self.policy = picture, now_ns, ask, policy
        self.own = None if isinstance(score, Score) else score
        self.built_in = kv_aware if score is Score.KV_AWARE else work_of
        self.excluded = Excluded()
        self.considered = 0

    def judge(self, state: RankState) -> Optional[float]:
        """The rank's score, or None when it is left out."""
        if self.ask.model is not None and self.ask.model != state.step.model:
            self.excluded.add("other_model")
            return None
        penalty = self.policy.penalty(state, self.excluded)
        if penalty is None:
            return None
        if self.ask.only is not None and not self.ask.only(state):
            self.excluded.add("unfit")
            return None
        score: Optional[float]
        if self.own is not None:
            score = self.own(state)
        else:
            load = load_of(state.step)
            owed = Owed(state.in_flight, state.unaccounted, state.unaccounted_tokens)
            score = float(state.in_flight) if load is None else self.built_in(load, owed)
        if score is None or math.isnan(score + penalty):
            self.excluded.add("unscored")
            return None
        self.considered += 1
        return score + penalty

    def best_of_all(self) -> _Best:
        best = _Running(self.picture.chance)
        chosen: Optional[RankState] = None
        for state in self.picture.states(self.now_ns):
            score = self.judge(state)
            if score is not None and best.offer(score):
                chosen = state
        self._count_disturbed()
        return None if chosen is None else (chosen, best.score)

    def best_of_cells(self) -> _Best:
        """The best by a built-in score, where every rank stands in a cell of its
        own; otherwise None, and nothing counted. Fresh ranks that take requests
        are judged by what is kept of them, the others in full."""
        if self.own or self.ask.only or not isinstance(self.policy.unknown_health, Include):
            return None
        before = (Excluded(self.excluded), self.considered)
        picture, now_ns, model, built_in = self.picture, self.now_ns, self.ask.model, self.built_in
        gone_ns = picture.patience.gone_ns
        best = _Running(picture.chance)
        chosen: Optional[Record] = None
        for record in picture.cells:
            if record is None:
                continue
            if isinstance(record, Disturbed):
                self.excluded.add("disturbed")
                continue
            brief = record.brief
            score: Optional[float]
            if brief is None or now_ns - record.alive_ns > min(brief.promised_ns, gone_ns):
                if record.step.producers > 1:
                    self.excluded, self.considered = before
                    return None
                score = self.judge(picture.state(record, now_ns))
            elif model is not None and model != brief.model:
                self.excluded.add("other_model")
                continue
            else:
                self.considered += 1
                score = built_in(brief.load, NOTHING)
                if score > best.score:
                    continue  # What we owe it only adds to that.
                owed = picture.ledger.owed(brief.id, brief.sampled_ns, brief.error_ns)
                score = built_in(brief.load, owed)
            if score is not None and best.offer(score):
                chosen = record
        if chosen is None:
            self.excluded, self.considered = before
            return None
        return picture.state(chosen, now_ns), best.score

    def draw_two(self) -> _Best:
        """Two cells by chance. None, and nothing counted, when two ranks were
        not found soon, or when ranks stand in several cells."""
        cells, below = self.picture.cells, self.picture.chance.below
        before = (Excluded(self.excluded), self.considered)
        first: _Best = None
        for _ in range(2 * min(DRAWS_MAX, 2 * len(cells))):
            record = cells[below(len(cells))]
            if not isinstance(record, Record) or record.step.producers > 1:
                continue
            state = self.picture.state(record, self.now_ns)
            if first is not None and first[0].id == state.id:
                continue
            score = self.judge(state)
            if score is None:
                continue
            if first is None:
                first = (state, score)
            else:
                return first if first[1] <= score else (state, score)
        self.excluded, self.considered = before
        return None

    def best_of_two(self) -> _Best:
        """Two of all eligible ranks by chance, the better of them."""
        below = self.picture.chance.below
        two: List[Tuple[RankState, float]] = []
        seen = 0
        for state in self.picture.states(self.now_ns):
            score = self.judge(state)
            if score is None:
                continue
            seen += 1
            place = seen - 1 if seen <= 2 else below(seen)
            if place < 2:
                two[place : place + 1] = [(state, score)]
        self._count_disturbed()
        if len(two) < 2:
            return two[0] if two else None
        first, second = two
        # Which of two equals came first is chance already for three and more.
        if second[1] < first[1] or second[1] == first[1] and below(2) == 0:
            return second
        return first

    def _count_disturbed(self) -> None:
        for record in self.picture.cells:
            if isinstance(record, Disturbed):
                self.excluded.add("disturbed")


class _Running:
    """The best score so far. The n-th of equals replaces the one before with
    chance 1/n, so that each is chosen equally often."""

    __slots__ = ("score", "ties", "chance")

    def __init__(self, chance: Chance) -> None:
        self.score, self.ties, self.chance = math.inf, 0, chance

    def offer(self, score: float) -> bool:
        if score < self.score or self.ties == 0:
            self.score, self.ties = score, 1
            return True
        if score == self.score:
            self.ties += 1
            return self.chance.below(self.ties) == 0
        return False


def work_of(load: Load, owed: Owed) -> float:
    """Requests there and on their way, and prompt tokens in units of
    `TOKENS_PER_REQUEST`."""
    tokens = load.tokens + owed.unaccounted_tokens
    return load.requests + owed.unaccounted + tokens / TOKENS_PER_REQUEST


def kv_aware(load: Load, owed: Owed) -> float:
    """As vLLM's data-parallel balancer: waiting + running, and six times the
    waiting for each share of the KV cache used beyond half."""
    waiting = load.waiting + owed.unaccounted
    pressure = max(min(load.kv_usage, 1.0) - 0.5, 0.0)
    return load.requests + owed.unaccounted + waiting * 6.0 * pressure


__all__ = ["Ask", "Cells", "DISTURBED", "Disturbed", "NoPick", "Pick", "Picture", "RankId", "Score", "pick"]
