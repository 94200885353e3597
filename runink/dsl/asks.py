"""What a step, or a scenario for all its steps, asks of the machine: `@requires(gpu=, label=, sees=, grace=)` and `@affinity`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from runink.dsl.syntax import Text
from runink.wants import NODE, Wants


@dataclass(frozen=True, slots=True)
class Asks:
    """Nothing where nobody says anything of it. `required` are the labels of `@requires`, `labels` those of `@affinity`: both are kept.

    `together` are steps to stand with, `apart` steps and words of the herd to stand apart of, as they are written.
    `skew` is by how many a value of `domain` may have more of the pipeline than the one that has the fewest; with 0 the spread is no rule.
    """

    gpus: int | None = None
    sees: tuple[str, ...] | None = None
    required: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None
    together: tuple[Text, ...] | None = None
    apart: tuple[Text, ...] | None = None
    domain: str | None = None
    grace_ms: int | None = None
    skew: int | None = None

    def over(self, wider: Asks) -> Asks:
        """Return these, and where they say nothing those of the whole scenario."""
        ours = {one.name: getattr(self, one.name) for one in fields(self)}
        return Asks(
            **{name: getattr(wider, name) if said is None else said for name, said in ours.items()}
        )

    @property
    def every_label(self) -> tuple[str, ...]:
        """All that is asked of the node's labels. Where the spread is a rule the label is among it: a node that does not say where it is would break that."""
        is_rule = self.domain and self.domain != NODE and self.skew
        counted = (self.domain,) if is_rule else ()
        return tuple(sorted({*(self.required or ()), *(self.labels or ()), *counted}))

    @property
    def wants(self) -> Wants:
        """What a process must share to be one with another. Whom it is to stand apart of is as it is written."""
        return Wants(
            gpus=self.gpus or 0,
            sees=self.sees or (),
            anti=tuple(sorted({one.value for one in self.apart or ()})),
            domain=self.domain or "",
            grace_ms=self.grace_ms or 0,
            skew=(self.skew or 0) if self.domain else 0,
        )


NOTHING_ASKED: Final = Asks()
