"""Run by an old release: a data folder with records, loaded into both stores by its own code.

`python tests/old_release.py FOLDER`, with the old release first on the path. Uses nothing that the
release of revision 0004 (2026-11-25) had not.
"""

import sys
import threading
import time
from pathlib import Path

from crypto_platform.delivery.load import load
from crypto_platform.feeds import FEEDS
from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.quotes import QUOTES, Quote, seal_quote
from crypto_platform.feeds.trades import TRADES, Side, Trade, seal_trade
from crypto_platform.kafka.producer import Outgoing, Publisher
from crypto_platform.kafka.topics import topic_name
from crypto_platform.stack.embedded import embedded_servers
from crypto_platform.stores import STORES, open_store

RECORDS = 500


def build_quote(number: int) -> Quote:
    draft = Quote(
        source="old",
        currency_id=f"c{number % 20}",
        quote_currency="USD",
        price=f"{number}.10",
        ts_event=1_767_268_800_000_000 + number,
        ts_ingest=1_767_268_800_500_000 + number,
    )
    return seal_quote(draft)


def build_trade(number: int) -> Trade:
    draft = Trade(
        venue="old",
        venue_symbol="BTC-USD",
        symbol="BTC/USD",
        trade_id=str(number),
        price="64250.10",
        quantity=f"0.{number:04d}1",
        taker_side=Side.BUY,
        ts_event=1_767_268_800_000_000 + number,
        ts_ingest=1_767_268_800_500_000 + number,
    )
    return seal_trade(draft)


def main(folder: Path) -> None:
    """Everything the folder is to hold."""
    with embedded_servers(folder, migrate=True) as settings:
        quotes, trades = (topic_name(settings, feed.topic) for feed in (QUOTES, TRADES))
        records = [build_quote(number) for number in range(RECORDS)]
        matches = [build_trade(number) for number in range(RECORDS)]
        publisher = Publisher(settings, source="test", feed="any")
        publisher.open()
        publisher.publish(
            [
                *(Outgoing(quotes, QUOTES.key_of(each), encode(each)) for each in records),
                *(Outgoing(trades, TRADES.key_of(each), encode(each)) for each in matches),
                Outgoing(quotes, "bad", b"no json"),
            ]
        )
        publisher.close()
        for name in STORES:
            store = open_store(name, settings, role="loader")
            load(
                settings,
                store,
                FEEDS,
                run_id="00000000-0000-0000-0000-000000000001",
                clock=lambda: time.time_ns() // 1000,
                stop=threading.Event(),
            )
            store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
