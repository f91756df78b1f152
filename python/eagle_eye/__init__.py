"""Eagle Eye for Python: an engine's door to its agent, and the wire's reader."""

from .door import Door
from .layout import Flag, Role, StepCore
from .step import Engine, Step, name_hash
from .wire import WireError, iter_steps, read_batch

__all__ = [
    "Door", "Engine", "Flag", "Role", "Step", "StepCore",
    "WireError", "iter_steps", "name_hash", "read_batch",
]
__version__ = "0.1.0"
