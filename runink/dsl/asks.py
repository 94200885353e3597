"""What a step, or a scenario for all its steps, asks of the machine: `@requires(gpu=, label=, sees=, grace=)` and `@affinity`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from runink.dsl.syntax import Text
from runink.wants import Wants


@dataclass(frozen=True, slots=True)
class Asks:
    """Nothing where nobody says anything of it. `required` are the labels of `@requires`, `labels` those of `@affinity`: both are kept.

    `together` are steps to stand with, `apart` steps and words of the herd to stand apart of, as they are written.
    """

    gpus: int | None = None
    sees: tuple[str, ...] | None = None
    required: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None
    together: tuple[Text, ...] | None = None
    apart: tuple[Text, ...] | None = None
    domain: str | None = None
    grace_ms: int | None = None

    def over(self, wider: Asks) -> Asks:
        """Return these, and where they say nothing those of the whole scenario."""
        ours = {one.name: getattr(self, one.name) for one in fields(self)}
        return Asks(
            **{name: getattr(wider, name) if said is None else said for name, said in ours.items()}
        )

    @property
    def every_label(self) -> tuple[str, ...]:
        """All that is asked of the node's labels."""
        return tuple(sorted({*(self.required or ()), *(self.labels or ())}))

    @property
    def wants(self) -> Wants:
        """What a process must share to be one with another. Whom it is to stand apart of is as it is written."""
        return Wants(
            gpus=self.gpus or 0,
            sees=self.sees or (),
            anti=tuple(sorted({one.value for one in self.apart or ()})),
            domain=self.domain or "",
            grace_ms=self.grace_ms or 0,
        )


NOTHING_ASKED: Final = Asks()
