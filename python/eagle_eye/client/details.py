"""What engines say beside their steps: how long requests took, how they ended.

The sketches of an engine's front ends and ranks merge into one.
"""

from __future__ import annotations

from typing import Callable, Dict, Iterable, List, Optional, Tuple

from ..details import Sketch
from ..engine_details import EngineDetails
from ..layout import SketchKind
from .counts import Counts

OF_ENGINE_MAX = 1024
"""Most ranks times front ends of one engine whose details are kept."""


class Details:
    """What an engine says beside its steps, over all its ranks and front ends."""

    def __init__(self, of_ranks: Iterable[EngineDetails]) -> None:
        self.of_ranks = list(of_ranks)
        """What each front end of each rank says."""
        self._sketches: Dict[SketchKind, Sketch] = {}
        for of in self.of_ranks:
            for kind, sketch in of.sketches.items():
                self._sketches.setdefault(kind, Sketch()).merge(sketch)

    def sketch(self, kind: SketchKind) -> Optional[Sketch]:
        """All times of this kind since the engine's incarnation, where any is
        known."""
        return self._sketches.get(kind)

    def quantile(self, kind: SketchKind, share: float) -> Optional[float]:
        """The time, in seconds, that a share (0 to 1) of the requests or tokens
        did not exceed since the engine's incarnation, within 2.2 %; None where
        it is not known."""
        sketch = self._sketches.get(kind)
        return None if sketch is None else sketch.quantile(share)

    def finished(self) -> Dict[str, int]:
        """Finished requests by reason."""
        found: Dict[str, int] = {}
        for of in self.of_ranks:
            for reason, count in of.finished:
                found[reason] = found.get(reason, 0) + count
        return found


class DetailsBoard:
    """The details of every engine, by its hash."""

    def __init__(self, engines_max: int, counts: Counts) -> None:
        self._engines_max, self._counts = engines_max, counts
        self._known: Dict[int, Dict[Tuple[int, int], EngineDetails]] = {}

    def feed(self, told: List[EngineDetails]) -> None:
        """Takes the details that a batch tells."""
        for details in told:
            if details.instance not in self._known and len(self._known) >= self._engines_max:
                self._counts.names_refused += 1
                continue
            of_engine = self._known.setdefault(details.instance, {})
            place = (details.rank, details.producer)
            before = of_engine.get(place)
            if before is None and len(of_engine) >= OF_ENGINE_MAX:
                self._counts.names_refused += 1
            elif before is None or before.incarnation <= details.incarnation:
                of_engine[place] = details

    def forget(self, is_known: Callable[[int], bool]) -> None:
        """Forgets the engines for which `is_known` says no."""
        self._known = {instance: of for instance, of in self._known.items() if is_known(instance)}

    def of(self, instance: int) -> List[EngineDetails]:
        """What every front end of an engine's ranks says."""
        return list(self._known.get(instance, {}).values())
