"""What each layer promises of a flight."""

from typing import Annotated, Literal

from runink import Contract, Field


class RawFlight(Contract, version="1.0.0"):
    """One departure as the airport sends it."""

    day: Annotated[int, Field(ge=1, le=31)]
    carrier: Annotated[str, Field(pattern=r"[A-Z0-9]{2}")]
    flight: Annotated[int, Field(ge=1, le=9999)]
    origin: Literal["EWR", "JFK", "LGA"]
    dest: Annotated[str, Field(min_length=3, max_length=3)]
    dep_delay: Annotated[int | None, Field(ge=-120, le=1440, unit="minutes")] = None


class CleanAirline(Contract, version="1.0.0"):
    """An airline and its code."""

    carrier: Annotated[str, Field(pattern=r"[A-Z0-9]{2}")]
    name: str


class CleanFlight(Contract, version="1.0.0"):
    """One departure, with who flew it. One that was cancelled has no delay."""

    day: Annotated[int, Field(ge=1, le=31)]
    carrier: Annotated[str, Field(pattern=r"[A-Z0-9]{2}")]
    flight: Annotated[int, Field(ge=1, le=9999)]
    airline: str
    origin: str
    dest: str
    cancelled: bool
    delay_minutes: Annotated[int | None, Field(ge=-120, le=1440)] = None

    key = ("carrier", "flight", "day")


class AirlineDelay(Contract, version="1.0.0"):
    """How late an airline left on average, without its cancelled flights."""

    airline: str
    flights: Annotated[int, Field(ge=1)]
    cancelled: Annotated[int, Field(ge=0)]
    delay_minutes: float | None = None

    key = ("airline",)
