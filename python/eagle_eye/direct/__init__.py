"""An engine that speaks to NATS itself, where no agent can be had.

A thread of its own reads what the door's memory says and publishes it, as an
agent would. While an agent has the door it is silent, since one speaks.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Optional

from ..batch import Whose
from .records import Records
from .settings import Settings
from .speaker import Source, Speaker
from .state import Sender

if TYPE_CHECKING:
    from ..door import Door

__all__ = ["Settings", "Speaker", "begin"]


def begin(door: Door, settings: Optional[Settings] = None) -> Optional[Speaker]:
    """Begins to speak for a door; None where nobody names a server."""
    settings = settings or Settings.of()
    memory, link = door._memory, door._link
    if settings is None or memory is None or link is None:
        return None
    instance, incarnation, _, producer, producers, _ = door._identity
    sender = Sender(
        door.engine, Whose(instance, incarnation, producer), producers, os.getpid(), settings.prefix
    )
    source = Source(
        records=Records(memory.map, door._mask + 1),
        engine=lambda: door.engine,
        details=lambda: door._details,
        agent_speaks=lambda: link.is_welcome,
    )
    speaker = Speaker(settings, sender, source)
    speaker.start()
    return speaker
