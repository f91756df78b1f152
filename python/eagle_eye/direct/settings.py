"""What the environment says about speaking to NATS without an agent."""

from __future__ import annotations

import os
from typing import Any, NamedTuple, Optional, Tuple

from ..link import LOG

HZ_DEFAULT = 10.0
HZ_MAX = 1000.0
URLS_MAX = 64


class Settings(NamedTuple):
    """Where and how an engine speaks to NATS itself."""

    urls: Tuple[str, ...]
    """Servers, such as nats://user:password@10.0.0.1:4222; tried in turn."""
    credentials: Optional[str] = None
    """A NATS credentials file."""
    prefix: str = "eagle_eye.v1"
    """What all subjects of batches begin with."""
    compat_subject: str = "eagle_eye.routing_metrics"
    """Where JSON goes; empty turns it off."""
    compat_hz: float = HZ_DEFAULT
    """JSON objects a second of each rank, at most; 0 sends every step."""
    always: bool = False
    """Whether it speaks even while an agent has the engine's door."""

    @classmethod
    def of(cls, environment: Any = None) -> Optional[Settings]:
        """What the environment asks for; None where it names no server."""
        environment = os.environ if environment is None else environment
        urls = tuple(url.strip() for url in environment.get("EAGLE_EYE_NATS", "").split(",") if url.strip())
        if not urls:
            return None
        plain = cls(urls[:URLS_MAX])
        return plain._replace(
            credentials=environment.get("EAGLE_EYE_NATS_CREDENTIALS") or None,
            prefix=_subject(environment, "PREFIX", plain.prefix) or plain.prefix,
            compat_subject=_subject(environment, "COMPAT_SUBJECT", plain.compat_subject),
            compat_hz=_hz(environment.get("EAGLE_EYE_NATS_COMPAT_HZ")),
            always=environment.get("EAGLE_EYE_NATS_ALWAYS", "").lower() in ("1", "true", "yes", "on"),
        )


def _subject(environment: Any, name: str, default: str) -> str:
    given = str(environment.get(f"EAGLE_EYE_NATS_{name}", default)).strip()
    tokens = given.split(".")
    if not given or all(token.isascii() and token.isprintable() and token
                        and not set(token) & set(" *>") for token in tokens):
        return given
    LOG.warning("eagle-eye: EAGLE_EYE_NATS_%s is no subject: %r; it stays %s", name, given, default)
    return default


def _hz(given: Optional[str]) -> float:
    if not given:
        return HZ_DEFAULT
    try:
        hz = float(given)
        if 0.0 <= hz <= HZ_MAX:
            return hz
    except ValueError:
        pass
    LOG.warning("eagle-eye: EAGLE_EYE_NATS_COMPAT_HZ must be from 0 to %d, it is %r; it stays %d",
                HZ_MAX, given, HZ_DEFAULT)
    return HZ_DEFAULT


def subject_token(name: str) -> str:
    """A name as a part of a subject: what is not a letter, digit, `_` or `-`
    becomes `_`."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in name)
    return kept or "_"
