"""A router's picture of every engine, as of when, and a choice by it.

    async with connect(Options(nats=["nats://10.0.0.1:4222"])) as view:
        await view.complete()
        with view.reserve(Ask(prompt_tokens=512), Policy.strict(), Score.LEAST_WORK) as reservation:
            engine = view.engine(reservation.pick.state.id.instance)
            ...  # Send the request to engine.endpoint; then:
            reservation.first_token()

It keeps no history and decides nothing by itself: what to do with an engine
that is stale, ill or unknown is the caller's `Policy`, which has no default.
"""

from ..layout import SketchKind
from .changes import Change, Changes, What
from .connect import ConnectedView, LocalView, Options, connect, open_local
from .core import Fed, Refused, ViewCore, ViewSettings
from .counts import Counts
from .details import Details
from .excluded import Excluded
from .ledger import ADMISSION_MARGIN_NS, Ledger, Owed
from .local import LocalError
from .merge import InstanceState
from .news import ToldEvent, ToldVerdict
from .pick import Ask, NoPick, Pick, Score
from .policy import EXCLUDE, INCLUDE, Exclude, Include, Penalise, Policy, Treat
from .state import Activity, Freshness, Health, Patience, RankId, RankState
from .view import Reservation, View

__all__ = [
    "ADMISSION_MARGIN_NS", "Activity", "Ask", "Change", "Changes", "ConnectedView", "Counts", "Details",
    "EXCLUDE", "Exclude", "Excluded", "Fed", "Freshness", "Health", "INCLUDE", "Include",
    "InstanceState", "Ledger", "LocalError", "LocalView", "NoPick", "Options", "Owed", "Patience",
    "Penalise", "Pick", "Policy", "RankId", "RankState", "Refused", "Reservation", "Score", "SketchKind",
    "ToldEvent", "ToldVerdict", "Treat", "View", "ViewCore", "ViewSettings", "What", "connect",
    "open_local",
]
