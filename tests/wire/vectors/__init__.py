"""Captured packets of real servers and clients, kept as text."""

from __future__ import annotations

from pathlib import Path


def load(name: str) -> bytes:
    """The bytes of ``<name>.hex``, frame headers included."""
    text = (Path(__file__).parent / f"{name}.hex").read_text(encoding="ascii")
    return bytes.fromhex("".join(line for line in text.splitlines() if not line.startswith("#")))
