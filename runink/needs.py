"""The rights that the nodes of a pipeline need: who runs it must have them."""

from __future__ import annotations

from enum import Enum

import msgspec


class Verb(Enum):
    """What somebody must be allowed to do."""

    READ = "read"
    WRITE = "write"
    USE = "use"
    RUN = "run"


class Resource(Enum):
    DATASET = "dataset"  # by its URI
    CONTRACT = "contract"  # `Name@version`
    PIPELINE = "pipeline"  # `herd/name`


class Need(msgspec.Struct, frozen=True, order=True):
    """A right that a node needs, for who runs the pipeline to have."""

    verb: Verb
    resource: Resource
    name: str
