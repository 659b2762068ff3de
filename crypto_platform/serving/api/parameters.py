"""What may be asked: parameters of a few kinds, each with its bounds, unknown ones refused.

Here: types and bases of queries, and pages of a list. Not here: endpoints.
"""

from collections.abc import Sequence
from typing import Annotated, Self

from fastapi import Query as In
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from crypto_platform.domain.hours import TIME_US_MAX, parse_moment, to_time_us
from crypto_platform.serving.api.cursors import CURSOR_LENGTH_MAX
from crypto_platform.serving.market import Place
from crypto_platform.stores.market import Span

LIMIT_MAX = 1000
NAME_LENGTH_MAX = 128


def _refuse_nul(text: str) -> str:
    if "\x00" in text:
        message = "holds a NUL character"
        raise ValueError(message)
    return text


def _parse_time(value: object) -> int:
    try:
        time_us = to_time_us(parse_moment(str(value)))
    except (ValueError, OverflowError):
        time_us = -1
    if not 0 <= time_us <= TIME_US_MAX:
        message = "no time since 1970: 2026-01-31, 2026-01-31T14:30 or 2026-01-31T14:30:00.5Z"
        raise ValueError(message)
    return time_us


Name = Annotated[
    str, StringConstraints(min_length=1, max_length=NAME_LENGTH_MAX), AfterValidator(_refuse_nul)
]
"""A venue, a symbol, a currency, an id."""

TimeUs = Annotated[
    int,
    BeforeValidator(_parse_time),
    WithJsonSchema({"type": "string", "examples": ["2026-01-31T14:30:00Z", "2026-01-31"]}),
]
"""RFC 3339 or a day, UTC where unsaid; in code microseconds since 1970."""


class Query(BaseModel):
    """Parameters of one endpoint; one that it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


NoQuery = Annotated[Query, In()]
"""Of an endpoint without parameters: what it does not know is refused there, too."""


class PlaceQuery(Query):
    """A market as a person names it."""

    venue: Name = Field(description="A venue's name in the settings.", examples=["coinbase"])
    symbol: Name = Field(
        description="Unified (BTC/USD) or the venue's own (BTC-USD).", examples=["BTC/USD"]
    )

    @property
    def place(self) -> Place:
        """Both."""
        return Place(self.venue, self.symbol)


class SpanQuery(Query):
    """A stretch of time."""

    begins_us: TimeUs | None = Field(None, alias="from", description="At or after this time.")
    ends_us: TimeUs | None = Field(None, alias="to", description="Before this time.")

    @model_validator(mode="after")
    def _refuse_nothing(self) -> Self:
        begins_us, ends_us = self.span
        if begins_us is not None and ends_us is not None and begins_us >= ends_us:
            message = "from is not before to, so nothing lies between them"
            raise ValueError(message)
        return self

    @property
    def span(self) -> Span:
        """Of event time."""
        return Span(self.begins_us, self.ends_us)


class PageQuery(SpanQuery):
    """A page of a list that is newest first."""

    limit: int = Field(100, ge=1, le=LIMIT_MAX, description="How many at most.", examples=[100])
    cursor: str | None = Field(
        None,
        max_length=CURSOR_LENGTH_MAX,
        description="`next` of the page before.",
        examples=["q8Zt3vB1…"],
    )


def split_names(values: Sequence[str]) -> list[str]:
    """What was given once or several times, each as one or several names with commas."""
    return [name for value in values for name in value.split(",") if name]
