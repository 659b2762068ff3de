"""exchange_rates: official reference rates of money, one record a day of publication.

A publisher prints all its currencies at once, so the whole day is the fact: where it is printed
again with another figure, or without a currency, that is a revision, and the youngest one counts
(the view market.exchange_rate, a row a currency). Days without publication have no record.
"""

from crypto_platform.feeds.feed import (
    Amounts,
    Feed,
    Index,
    Record,
    Text,
    Texts,
    TimeUs,
    seal,
)


class ExchangeRates(Record, frozen=True, kw_only=True, tag=1):
    """What one publisher says money was worth on one day.

    Attributes:
        source: Who said so to us: a name in the settings.
        base_currency: Rates are units of the other currency for one of this (EUR).
        ts_event: The day the rates are of, by its first microsecond in UTC.
        currencies: All that were quoted that day, in alphabetical order.
        rates: Of each of them, above zero.
    """

    source: Text
    base_currency: Text
    ts_event: TimeUs
    currencies: Texts
    rates: Amounts


def seal_exchange_rates(draft: ExchangeRates) -> ExchangeRates:
    """Give a day its hash and its id: source, base currency, day, content."""
    identity = (draft.source, draft.base_currency, draft.ts_event)
    return seal(draft, identity=identity, content_in_id=True)


EXCHANGE_RATES = Feed(
    name="exchange_rates",
    topic="market.exchange_rates",
    partitions=1,
    record=ExchangeRates,
    versions=ExchangeRates,
    key_of=lambda day: day.source,
    state_key_of=lambda day: f"{day.source}:{day.ts_event}",
    schema="market",
    table="exchange_rate_revision",
    collection="exchange_rates",
    pace_s_min=3600,
    positive_names=("rates",),
    paired_names=(("currencies", "rates"),),
    indexes=(Index(fields=("source", "-ts_event")),),
    description="Official reference rates of money, all currencies of a day in one record.",
)
