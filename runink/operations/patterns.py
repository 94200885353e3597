"""What names look like where they stand in a path: one pattern, for the decoder, the document and whoever writes a table of operations.

msgspec searches with Python's `re`, whose `$` also stands before a line end, so `exact` says that none may follow.  What is shown to others
(`shown`) leaves that out: in ECMA's expressions, which OpenAPI has, `$` is the end.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

import msgspec

_END: Final = r"$(?!\n)"


def exact(expression: str) -> str:
    """Return the pattern that a whole text must match."""
    return f"^{expression}{_END}"


def is_exact(pattern: str) -> bool:
    """Say whether a pattern was made by `exact`."""
    return pattern.startswith("^") and pattern.endswith(_END)


def shown(pattern: str) -> str:
    """Return a pattern as other programs understand it."""
    return pattern.removesuffix(_END) + "$" if is_exact(pattern) else pattern


def _text(expression: str, description: str, *examples: str) -> Any:
    return msgspec.Meta(pattern=exact(expression), description=description, examples=[*examples])


_NAME: Final = "[a-z][a-z0-9_-]{0,62}"  # as runink.names has it

HerdText = Annotated[str, _text(_NAME, "A herd's name.", "flights")]
PipelineText = Annotated[str, _text(_NAME, "A pipeline's name.", "daily")]
RoleText = Annotated[str, _text(_NAME, "A role's name.", "analyst")]
BindingText = Annotated[str, _text(_NAME, "A binding's name.", "analysts")]
AccountText = Annotated[str, _text(_NAME, "A program's name within its herd.", "nightly")]
IssuerText = Annotated[str, _text(_NAME, "What the cluster calls an issuer.", "corp")]
NodeText = Annotated[str, _text(_NAME, "A node's name.", "worker-1")]
RunText = Annotated[
    str, _text("[0-9A-HJKMNP-TV-Z]{26}", "A run's id.", "01JDYX5K3QW8R2M4N6P7S9T0V1")
]


# A slice or a node of a pipeline, as `runs/soundness.py` lets it be called.
PartText = Annotated[
    str, _text(r"[^\s./\x00-\x1f\x7f][^/\x00-\x1f\x7f]{0,199}", "A part of a run.", "silver.join")
]
VersionText = Annotated[
    str,
    _text(
        r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,99}",
        "A version: its number, or the hash that it goes by.",
        "1.2.0",
    ),
]


def matches(pattern: str, text: str) -> bool:
    """Say whether a text matches as a whole."""
    return re.search(pattern, text) is not None
