"""How a contract is named: `FILE.py:CLASS`, or a file of ODCS, with the object behind a colon where it holds several."""

from __future__ import annotations

from typing import Final

ODCS_SUFFIXES: Final = (".yaml", ".yml")


def is_odcs(path: str) -> bool:
    """Say whether a contract's file is one of ODCS."""
    return path.endswith(ODCS_SUFFIXES)
