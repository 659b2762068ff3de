"""Indicators, markets and venues as a person reads them: unknown is a dash, and never 0."""

from decimal import Decimal

from crypto_platform.cli.indicators import format_indicators
from crypto_platform.cli.movements import format_correlations, format_volatility
from crypto_platform.cli.overview import format_overview, format_venues
from crypto_platform.domain.candles import BuiltCandle, Match, build_candle
from crypto_platform.domain.market_overview import LastPrice, summarize_market
from crypto_platform.domain.venue_comparison import Timed, VenueMarket, compare_venues
from crypto_platform.domain.volatility import Correlation, Volatility
from crypto_platform.feeds.candles import Interval
from crypto_platform.serving.analytics import MadeOf
from crypto_platform.serving.failover import Source
from crypto_platform.serving.indicators import Bar, IndicatorAnswer, build_indicators
from crypto_platform.serving.movements import (
    CorrelationAnswer,
    TimedCorrelation,
    TimedVolatility,
    VolatilityAnswer,
    build_correlations,
    build_volatility,
)
from crypto_platform.serving.overview import Overview, OverviewRow, build_overview
from crypto_platform.serving.sheets import build_rows
from crypto_platform.serving.venue_comparison import VenueAnswer, build_venues
from crypto_platform.stores.market import Market

NOON = 1_763_812_800_000_000
HOUR = 3_600_000_000
SOURCE = Source(store="postgres", home="postgres")
BTC = Market("coinbase", "BTC-USD", "BTC/USD")


def candle(number: int, price: str) -> BuiltCandle:
    opens = NOON + number * HOUR
    return build_candle(Match(opens, "1", Decimal(price), Decimal(2)), open_time_us=opens)


def bar(number: int, price: str) -> Bar:
    return Bar(NOON + number * HOUR, *[Decimal(price)] * 3, Decimal(2), None)


def test_indicators_stand_beside_their_candles() -> None:
    """Shortened for people, with all digits for programs."""
    answer = IndicatorAnswer(
        source=SOURCE,
        market=BTC,
        interval=Interval.HOUR,
        made_of=MadeOf.TRADES,
        candles=[bar(0, "1000"), bar(1, "1001.50")],
        columns={"sma_2": [None, Decimal("1000.75")], "rsi_14": [None, None]},
        now_us=NOON + 2 * HOUR - 1,
        missing=[],
    )
    assert format_indicators(answer) == [
        "coinbase BTC/USD 1h  ▁█",
        "",
        "open time            close     sma_2  rsi_14",
        "2025-11-22 12:00  1,000.00         -       -",
        "2025-11-22 13:00  1,001.50  1,000.75       -",
    ]
    first, second = build_rows(build_indicators(answer))
    assert first == {
        "ts_event": "2025-11-22T12:00:00.000000Z",
        "close": "1000",
        "is_closed": True,
        "sma_2": None,
        "rsi_14": None,
    }
    assert (second["close"], second["sma_2"], second["is_closed"]) == ("1001.50", "1000.75", False)


def test_a_market_without_a_past_has_dashes() -> None:
    """A change of 0 % would be news."""
    known = summarize_market(
        LastPrice(Decimal(110), NOON - 3_000_000),
        [candle(-25, "100"), candle(-1, "105")],
        [],
        as_of_us=NOON,
    )
    unknown = summarize_market(None, [], [], as_of_us=NOON)
    overview = Overview(
        source=SOURCE,
        as_of_us=NOON,
        rows=[
            OverviewRow(BTC, known, MadeOf.TRADES),
            OverviewRow(Market("kraken", "X", None), unknown, MadeOf.VENUE),
        ],
    )
    header, first, second = format_overview(overview)
    assert header.split()[:3] == ["market", "venue", "last"]
    assert first.split() == [
        *("BTC/USD", "coinbase", "110.00", "+10.00", "%", "-", "105.00", "105.00"),
        *("210", "-", "▅", "3.0", "s"),
    ]
    assert second.split() == ["X", "kraken", *["-"] * 8]
    rows = build_rows(build_overview(overview))
    assert (rows[0]["change_24h_pct"], rows[0]["sparkline"]) == ("10.000000", ["105"])
    assert (rows[1]["last_price"], rows[1]["base_volume_24h"]) == (None, None)


def test_venues_show_how_far_they_are_apart_and_what_is_old() -> None:
    """An old price beside fresh ones is no opportunity."""
    markets = [
        VenueMarket(
            venue=name,
            venue_symbol="BTC-USD",
            best_bid=Timed(Decimal(bid), NOON - age_s * 1_000_000),
            best_ask=Timed(Decimal(bid) + 1, NOON - age_s * 1_000_000),
            base_volume=Decimal(1),
        )
        for name, bid, age_s in (("a", "99.5", 1), ("b", "101.5", 2), ("c", "1", 4000))
    ]
    answer = VenueAnswer(
        source=SOURCE,
        as_of_us=NOON,
        symbol="BTC/USD",
        comparison=compare_venues(markets, as_of_us=NOON),
    )
    assert format_venues(answer) == [
        "BTC/USD  median 101.00",
        "",
        "venue   price  of     difference      spread  volume     age",
        "a      100.00  book    -99.01 bp   100.00 bp  33.3 %   1.0 s",
        "b      102.00  book    +99.01 bp    98.04 bp  33.3 %   2.0 s",
        "c        1.50  book  -9851.49 bp  6666.67 bp  33.3 %  66 min  old",
        "",
        "buy at a for 100.50, sell at b for 101.50: +99.50 bp before fees",
    ]
    first = build_rows(build_venues(answer))[0]
    assert (first["venue"], first["price"], first["age_us"]) == ("a", "100.00", 1_000_000)


def test_volatility_has_its_course_and_holes_where_it_is_not_known() -> None:
    """A day of which nothing is known is not a quiet one."""
    found = [Volatility(Decimal("40.25"), 288), Volatility(None, 3), Volatility(Decimal(80), 280)]
    answer = VolatilityAnswer(
        source=SOURCE,
        market=BTC,
        made_of=MadeOf.TRADES,
        rows=[TimedVolatility(NOON + n * HOUR, each) for n, each in enumerate(found)],
    )
    assert format_volatility(answer) == [
        "coinbase BTC/USD  ▁ █",
        "",
        "as of             volatility  returns",
        "2025-11-22 12:00      40.2 %      288",
        "2025-11-22 13:00           -        3",
        "2025-11-22 14:00      80.0 %      280",
    ]
    row = build_rows(build_volatility(answer))[1]
    assert (row["as_of"], row["annualised_pct"]) == ("2025-11-22T13:00:00.000000Z", None)


def test_correlations_stand_with_the_closest_first_and_the_unknown_last() -> None:
    """Of the newest hour; a market that was silent then is not dropped."""
    eth, sol, old = (
        Market("coinbase", f"{name}-USD", f"{name}/USD") for name in ("ETH", "SOL", "OLD")
    )
    rows = [
        TimedCorrelation(NOON, eth, Correlation(Decimal("0.1"), 280)),
        TimedCorrelation(NOON, old, Correlation(Decimal("0.2"), 40)),
        TimedCorrelation(NOON + HOUR, eth, Correlation(Decimal("0.9"), 288)),
        TimedCorrelation(NOON + HOUR, sol, Correlation(Decimal("-0.5"), 200)),
    ]
    answer = CorrelationAnswer(source=SOURCE, market=BTC, made_of=MadeOf.TRADES, rows=rows)
    assert format_correlations(answer) == [
        "coinbase BTC/USD, as of 2025-11-22 13:00",
        "",
        "with     correlation  pairs  2 h",
        "ETH/USD        +0.90    288  ▁█",
        "SOL/USD        -0.50    200   ▅",
        "OLD/USD            -      0  ▅",
    ]
    assert build_rows(build_correlations(answer))[3]["correlation"] == "-0.5"
