"""What to do with a rank about which something is wrong or unknown."""

from __future__ import annotations

from typing import NamedTuple, Optional, Union

from .excluded import Excluded
from .state import Activity, Freshness, Health, RankState, load_of


class Exclude(NamedTuple):
    """Never choose it."""


class Penalise(NamedTuple):
    """Choose it as if its score were larger by this much. The built-in scores
    are in requests: `Penalise(10.0)` makes it look ten requests busier."""

    by: float


class Include(NamedTuple):
    """Choose it like any other."""


Treat = Union[Exclude, Penalise, Include]
EXCLUDE, INCLUDE = Exclude(), Include()


class Policy(NamedTuple):
    """What to do with ranks that are stale, silent, ill or unknown.

    There is no default: whoever routes must decide. Ranks that are gone,
    asleep, draining or warming are never chosen.
    """

    stale: Treat
    """Overdue by up to two more of its times-to-live."""
    silent: Treat
    """Overdue by more."""
    unknown_load: Treat
    """Running or waiting requests were not measured. When chosen it is scored
    by what this process has in flight there."""
    ill: Treat
    """Its hardware is degraded or failed."""
    unknown_health: Treat
    """Nobody samples its hardware."""

    @classmethod
    def strict(cls) -> Policy:
        """Only what is known to be fresh, measured and not ill. Rather no rank
        than a doubtful one: right where another pool can take the request.

        Unknown health is let pass, since where nobody samples hardware nothing
        could be chosen otherwise; exclude it where all nodes have an agent."""
        return cls(EXCLUDE, EXCLUDE, EXCLUDE, EXCLUDE, INCLUDE)

    @classmethod
    def lenient(cls) -> Policy:
        """Prefers what is known, but rather a doubtful rank than none: right
        where refusing a request is worse than a slow answer. Failed hardware
        and long silence weigh like a hundred requests."""
        return cls(Penalise(10.0), Penalise(100.0), Penalise(10.0), Penalise(100.0), INCLUDE)

    def penalty(self, state: RankState, excluded: Excluded) -> Optional[float]:
        """What is added to the rank's score, or None when it is left out; that
        is counted in `excluded`."""
        never = (
            "gone" if state.freshness == Freshness.GONE else _NEVER.get(state.activity)
        )
        if never is not None:
            excluded.add(never)
            return None
        penalty = 0.0
        for reason, treat in (
            ("stale", self.stale if state.freshness == Freshness.STALE else INCLUDE),
            ("silent", self.silent if state.freshness == Freshness.SILENT else INCLUDE),
            ("unknown_load", self.unknown_load if load_of(state.step) is None else INCLUDE),
            ("ill", self.ill if state.health >= Health.DEGRADED else INCLUDE),
            ("unknown_health", self.unknown_health if state.health == Health.UNKNOWN else INCLUDE),
        ):
            if isinstance(treat, Penalise):
                penalty += treat.by
            elif isinstance(treat, Exclude):
                excluded.add(reason)
                return None
        return penalty


_NEVER = {
    Activity.ASLEEP: "asleep", Activity.DRAINING: "draining", Activity.WARMING: "warming",
}
