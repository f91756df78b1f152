"""Chance for choices among equals: not for secrets."""

from __future__ import annotations

import os

_U64 = (1 << 64) - 1


class Chance:
    """xorshift64*, the generator of the Rust view, so that both choose alike
    from the same seed. Without a seed the kernel's."""

    __slots__ = ("state",)

    def __init__(self, seed: int = 0) -> None:
        self.state = seed & _U64 or int.from_bytes(os.urandom(8), "little") | 1

    def below(self, limit: int) -> int:
        """A number from 0 to below `limit`."""
        x = self.state
        x ^= x >> 12
        x ^= x << 25 & _U64
        x ^= x >> 27
        self.state = x
        return (x * 0x2545F4914F6CDD1D & _U64) * limit >> 64
