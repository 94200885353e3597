"""The rules of the benchmark: the same six as in `polars_flights.py` and `duckdb_flights.py`, beside the columns' types."""

from datetime import datetime
from typing import Annotated, Literal

from runink import Contract, Field


class Departure(Contract, version="1.0.0"):
    """A flight that took off on a known aircraft."""

    year: Annotated[int, Field(ge=2000, le=2100)]
    month: Annotated[int, Field(ge=1, le=12)]
    day: Annotated[int, Field(ge=1, le=31)]
    dep_time: Annotated[int, Field(ge=0, le=2400)]
    sched_dep_time: Annotated[int, Field(ge=0, le=2400)]
    dep_delay: Annotated[int, Field(ge=-1000, le=500)]
    arr_time: Annotated[int | None, Field(ge=0, le=2400)] = None
    sched_arr_time: Annotated[int, Field(ge=0, le=2400)]
    arr_delay: Annotated[int | None, Field(ge=-10000, le=10000)] = None
    carrier: Literal[
        "UA",
        "AA",
        "B6",
        "DL",
        "EV",
        "MQ",
        "US",
        "WN",
        "VX",
        "FL",
        "AS",
        "9E",
        "F9",
        "HA",
        "YV",
        "OO",
    ]
    flight: Annotated[int, Field(ge=1, le=9999)]
    tailnum: Annotated[str, Field(pattern=r"N[0-9A-Z]{3,5}")]
    origin: Literal["EWR", "JFK", "LGA"]
    dest: str
    air_time: Annotated[int | None, Field(ge=0, le=2000)] = None
    distance: Annotated[int, Field(ge=50, le=10000)]
    hour: Annotated[int, Field(ge=0, le=24)]
    minute: Annotated[int, Field(ge=0, le=59)]
    time_hour: datetime
