"""What a trade event is, and what of it may leave the floor."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from runink import Contract, Field


class TradeEvent(Contract, version="1.0.0"):
    """One trade as an application on the floor reports it."""

    id: Annotated[int, Field(ge=1)]
    at: datetime
    desk: Annotated[str, Field(pattern=r"[a-z]+")]
    symbol: Annotated[str, Field(pattern=r"[A-Z]{1,5}")]
    side: Literal["buy", "sell"]
    quantity: Annotated[int, Field(gt=0)]
    price: Annotated[Decimal, Field(digits=12, scale=4, gt=0)]
    trader: Annotated[str, Field(min_length=1, pii="name", mask="truncate(1)")]
    mail: Annotated[str | None, Field(pattern=r"[^@]+@[^@]+", pii="email", mask="hash")] = None

    key = ("id",)


class SafeTrade(Contract, version="1.0.0"):
    """A trade without the person: of the name a sink that is not cleared for it gets the first letter."""

    id: int
    at: datetime
    desk: str
    symbol: str
    side: Literal["buy", "sell"]
    notional: Annotated[float, Field(gt=0, unit="dollars")]
    trader: Annotated[str, Field(pii="name", mask="truncate(1)")]

    key = ("id",)
