"""What a slice asks of its place beside room and labels: graphics processors, what its node may see, beside whom it stands, and beside whom not; and where it would rather be.

    groups    that it belongs to       `step:ID` is a step of its own run, which others of the run name
                                       `pipeline:NAME` are slices of that pipeline, in all its runs
    anti      that it stands apart of  `step:ID`, or a word of the herd: who says the word belongs to it, and none of them stand together
    together  those of its gang that stay with it however that is cut: the first of them by name
    beside    gangs of its run on whose node it is to be, which have ended when it begins

What it `reads` are stores: a node near them is better, and any other will do.

A group of a run or of a herd has that in its name where those of several are looked at together (`group_name`).
"""

from __future__ import annotations

from typing import Final

import msgspec

from runink.errors import Invalid
from runink.names import HerdName, RunId

STEP: Final = "step:"
PIPELINE: Final = "pipeline:"
NODE: Final = "node"  # the domain of which each node is one
PRIORITY_MAX: Final = 100  # of a run, and as much below 0
GRACE_MS_MAX: Final = 600_000  # somebody more urgent waits for it, or who empties a node


class Wants(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is asked of a node; see above. `sees` are names of secrets and data, `domain` is the label over whose values (`zone`) its pipeline is to be spread, `reads` are stores.

    `skew` is by how many a value may have more of them than the one that has the fewest; 0: by as many as it must.
    `grace_ms` is asked of others: how long it goes on when it has been told that it is to give way, before it is stopped as anything is.  All of a gang have the same.
    """

    gpus: int = 0
    sees: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    anti: tuple[str, ...] = ()
    domain: str = ""
    beside: tuple[str, ...] = ()
    together: str = ""
    reads: tuple[str, ...] = ()
    grace_ms: int = 0
    skew: int = 0

    @property
    def spread_by(self) -> str:
        """Over what it is spread, and how evenly where that is a rule."""
        return f"by {self.domain}" + (f", {self.skew} more at most" if self.skew else "")


NOTHING_MORE: Final = Wants()


def store_of(place: str) -> str:
    """Return the bucket or host of a place elsewhere: `s3://lake` of `s3://lake/x/y.csv`."""
    scheme, _, rest = place.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def check_store(text: str) -> None:
    """Raise Invalid for what `store_of` never returns: it would be the name of nothing that a slice reads."""
    scheme, _, rest = text.partition("://")
    name = rest.partition("/")[0]
    if not (scheme and name) or store_of(text) != text:
        raise Invalid(
            f"{text!r} is no store: a bucket or host, without what is in it",
            code="config_invalid",
            hint=f"as in {store_of(text) if scheme and name else 's3://lake'}",
        )


def group_name(group: str, herd: HerdName, run: RunId) -> str:
    """Return what a group is called among those of all herds and runs."""
    return f"{herd}/{run}/{group}" if group.startswith(STEP) else f"{herd}/{group}"
