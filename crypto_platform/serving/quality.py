"""The quality of an hour and the gap report, from the home store or its mirror.

Here: which question is put to a store. The audit proves that both hold the same, so one of them is
enough. Not here: what is looked at (delivery/quality_hour.py, gap_report.py).
"""

from collections.abc import Collection, Mapping, Sequence

from crypto_platform.delivery.gap_report import GapLine, Subject, report_gaps
from crypto_platform.delivery.quality_hour import MarketReport, examine_hour
from crypto_platform.domain.hours import TimeUs
from crypto_platform.feeds.candles import CANDLES
from crypto_platform.feeds.incidents import INCIDENTS
from crypto_platform.feeds.order_books import ORDER_BOOKS
from crypto_platform.feeds.trades import TRADES
from crypto_platform.kafka.history_cursors import HistoryCursors
from crypto_platform.kafka.watermarks import Watermarks
from crypto_platform.serving.failover import Answered, open_reads
from crypto_platform.settings import Settings

ANSWER_S_MAX = 3000.0
"""An hour of a thousand trades a second is millions of rows; each statement has its own limit."""


def read_hour(
    settings: Settings, feed_names: Collection[str], *, hour_us: TimeUs
) -> Answered[Mapping[str, Sequence[MarketReport]]]:
    """Look at the quality of an hour; see examine_hour.

    Raises:
        StoreUnavailableError: No store answered; holds what each said.
    """
    with open_reads(settings) as reads:
        return reads.ask(
            lambda store: examine_hour(settings, store, feed_names, hour_us=hour_us),
            [TRADES, ORDER_BOOKS, CANDLES, INCIDENTS],
            answer_s_max=ANSWER_S_MAX,
        )


def read_gap_report(settings: Settings, subjects: Sequence[Subject]) -> Answered[list[GapLine]]:
    """Look at days of these streams; see report_gaps.

    Raises:
        StoreUnavailableError: No store answered; holds what each said.
        KafkaUnavailableError: How far the past was asked for is not known.
    """
    cursors = HistoryCursors(settings, Watermarks(settings))
    cursors.refresh()
    with open_reads(settings) as reads:
        return reads.ask(
            lambda store: report_gaps(settings, store, subjects, cursors.find),
            [TRADES, CANDLES, INCIDENTS],
            answer_s_max=ANSWER_S_MAX,
        )
