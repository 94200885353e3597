"""Contracts of what the examples read without one: the tables that stand beside their main input."""

from typing import Annotated

from runink import Contract, Field


class Planes(Contract, version="1.0.0"):
    """data/planes.csv of the flights."""

    tailnum: Annotated[str, Field(pattern=r"N[0-9]{3}[A-Z]{2}")]
    manufacturer: str
    seats: Annotated[int, Field(ge=2, le=450)]

    key = ("tailnum",)


class Airlines(Contract, version="1.0.0"):
    """data/airlines.csv of the flights."""

    carrier: Annotated[str, Field(pattern=r"[A-Z0-9]{2}")]
    name: str

    key = ("carrier",)


class Desks(Contract, version="1.0.0"):
    """incoming/desks.csv of the trades."""

    desk: Annotated[str, Field(pattern=r"[a-z]+")]
    city: str

    key = ("desk",)
