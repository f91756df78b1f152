"""Who this engine is and how it can be reached, from what can be had.

First come environment variables, then vLLM's `additional_config`
({"eagle_eye": {…}}), then vLLM's own settings and arguments.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from multiprocessing import current_process
from typing import Any, Dict, List, NamedTuple, Optional

from ..layout import Role
from ..step import Engine

PORT_DEFAULT = 8000
SETTINGS = ("instance", "endpoint", "socket", "role", "disable")
"""Each is EAGLE_EYE_<NAME> in the environment and a key of `additional_config`."""
_KV_ROLES = {"kv_producer": Role.PREFILL, "kv_consumer": Role.DECODE}
_EVERYWHERE = ("", "0.0.0.0", "::", "[::]", "*")


class Place(NamedTuple):
    """An engine's names, and which of its front ends this process is."""

    engine: Engine
    role: int
    producer: int
    producers: int
    socket_path: Optional[str]
    disabled: bool

    @classmethod
    def of(cls, config: Any, environment: Any = None, arguments: Optional[List[str]] = None) -> Place:
        """Raises nothing for what is missing; it stays empty."""
        environment = os.environ if environment is None else environment
        given = Arguments(sys.argv if arguments is None else arguments)
        settings = settings_of(config, environment)
        producer, producers = front_end(config, given)
        port = given.port()
        address = endpoint(environment, given, port)
        engine = Engine(
            name=settings.get("instance") or instance_name(environment, port),
            model=model_name(config),
            endpoint=settings.get("endpoint") or address,
            engine=engine_name(),
            source="plugin",
            ranks=ranks(config),
        )
        return cls(engine, role(config, settings), producer, producers, settings.get("socket"),
                   settings.get("disable", "").lower() in ("1", "true", "yes", "on"))


class Arguments:
    """vLLM's own command line, as far as it says where the server listens."""

    def __init__(self, arguments: List[str]) -> None:
        self._all = [str(argument) for argument in arguments]
        program = " ".join(self._all[:2])
        self.serves = bool(re.search(r"\bserve\b|api_server|openai", program))
        """Whether this is vLLM's server, which listens at a port that we can know."""

    def value(self, *names: str) -> Optional[str]:
        """What stands behind the last of these flags."""
        found = None
        for at, argument in enumerate(self._all):
            flag, equals, value = argument.partition("=")
            if flag.replace("_", "-") not in names:
                continue
            if equals:
                found = value
            elif at + 1 < len(self._all):
                found = self._all[at + 1]
        return found

    def port(self) -> Optional[int]:
        """The server's port; vLLM's default where it is a server and names none."""
        if not self.serves:
            return None
        named = self.value("--port")
        if named is None:
            return PORT_DEFAULT if self.value("--config") is None else self._port_of_file()
        return int(named) if named.isdigit() and 0 < int(named) < 65536 else None

    def _port_of_file(self) -> Optional[int]:
        try:
            with open(self.value("--config") or "", encoding="utf-8") as file:
                found = re.search(r"^port\s*:\s*[\"']?(\d{1,5})\b", file.read(65536), re.MULTILINE)
        except (OSError, ValueError):
            return None
        return int(found[1]) if found else PORT_DEFAULT


def settings_of(config: Any, environment: Any) -> Dict[str, str]:
    """Our own settings; the environment wins."""
    try:
        own = attribute(config, "additional_config")["eagle_eye"]
        found = {name: str(own[name]) for name in SETTINGS if name in own}
    except Exception:
        found = {}  # Absent, or somebody else's.
    for name in SETTINGS:
        value = environment.get(f"EAGLE_EYE_{name.upper()}")
        if value:
            found[name] = value
    return found


def attribute(thing: Any, path: str) -> Any:
    """What stands at a dotted path, None where anything on the way is missing."""
    try:
        for name in path.split("."):
            thing = getattr(thing, name)
        return thing
    except Exception:
        return None


def number(thing: Any, path: str, largest: int = 0xFFFFFFFF) -> Optional[int]:
    """A whole number at a dotted path, None where there is none."""
    value = attribute(thing, path)
    return value if value.__class__ is int and 0 <= value <= largest else None


def instance_name(environment: Any, port: Optional[int]) -> str:
    """The same after a restart, and unlike any other's: pod or host, and port.
    Where no port can be known, the process tells engines of one host apart."""
    host = environment.get("POD_NAME") or environment.get("HOSTNAME") or socket.gethostname()
    return f"{host}:{port}" if port is not None else f"{host}:process-{os.getpid()}"


def endpoint(environment: Any, given: Arguments, port: Optional[int]) -> str:
    """What a router dials, empty where it cannot be known."""
    if port is None or given.value("--uds"):
        return ""
    host = given.value("--host") or ""
    if host in _EVERYWHERE:
        host = environment.get("POD_IP") or environment.get("HOSTNAME") or socket.gethostname()
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    scheme = "https" if given.value("--ssl-keyfile", "--ssl-certfile") else "http"
    return f"{scheme}://{host}:{port}"


def model_name(config: Any) -> str:
    """The first name under which the model is served."""
    served = attribute(config, "model_config.served_model_name")
    if isinstance(served, (list, tuple)):
        served = served[0] if served else None
    return str(served or attribute(config, "model_config.model") or "")


def engine_name() -> str:
    """`vllm` and its version, with that of the hardware's plugin if there is one."""
    names = []
    for module, name in (("vllm", "vllm"), ("vllm_ascend", "ascend")):
        version = getattr(sys.modules.get(module), "__version__", None)
        if isinstance(version, str):
            names.append(f"{name} {version}")
    return ", ".join(names) or "vllm"


def role(config: Any, settings: Dict[str, str]) -> int:
    """What part of a request this engine serves. A connector of the role
    `kv_both` may do either, so that is aggregated unless a setting says more."""
    named = settings.get("role", "").upper()
    if named in Role.__members__:
        return int(Role[named])
    if attribute(config, "ec_transfer_config.ec_role") == "ec_producer":
        return int(Role.ENCODE)
    return int(_KV_ROLES.get(str(attribute(config, "kv_transfer_config.kv_role")), Role.AGGREGATED))


def ranks(config: Any) -> int:
    """Data-parallel ranks of the deployment, behind however many instances."""
    return max(1, number(config, "parallel_config.data_parallel_size", 0xFFFF) or 1)


def front_end(config: Any, given: Arguments) -> "tuple[int, int]":
    """Which API server of how many this is."""
    count = number(config, "parallel_config._api_process_count", 0xFFFF)
    rank = number(config, "parallel_config._api_process_rank", 0xFFFF)
    if count is None or rank is None:  # vLLM 0.10.0 tells neither.
        named = re.fullmatch(r"ApiServer_(\d{1,4})", current_process().name)
        counted = given.value("--api-server-count", "-asc") or ""
        rank = int(named[1]) if named else 0
        count = int(counted) if counted.isdigit() else 1
    count = min(max(count, rank + 1, 1), 0xFFFF)
    return rank, count
