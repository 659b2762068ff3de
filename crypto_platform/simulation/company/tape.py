"""The company's trades and candles, as they are kept and read for its market feeds.

Here: the rows of trades and of minutes, written in the journal's transaction; longer candles made
of minutes. Not here: books (book.py), Coinbase's words (../exchange.py).
"""

import sqlite3
from collections.abc import Iterator, Sequence

from crypto_platform.simulation.candles import CANDLES_MAX, Candle
from crypto_platform.simulation.company.events import Trade

MINUTE_S = 60
_SECOND_US = 1_000_000


class Tape:
    """Trades by product and id, and what each minute with a trade came to."""

    SCHEMA = """
CREATE TABLE trade (product_id TEXT, trade_id INTEGER, time_us INTEGER NOT NULL,
    price INTEGER NOT NULL, quantity INTEGER NOT NULL, maker_side TEXT NOT NULL,
    PRIMARY KEY (product_id, trade_id)) WITHOUT ROWID;
CREATE TABLE minute (product_id TEXT, open_s INTEGER, low INTEGER NOT NULL, high INTEGER NOT NULL,
    open INTEGER NOT NULL, close INTEGER NOT NULL, volume INTEGER NOT NULL,
    PRIMARY KEY (product_id, open_s)) WITHOUT ROWID;
"""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Read and write through the journal's connection."""
        self._connection = connection
        self._newest: dict[str, Candle] = {}

    def write(self, trades: Sequence[Trade]) -> None:
        """Add trades, in the order in which they happened; in the caller's transaction."""
        if not trades:
            return
        changed: dict[tuple[str, int], Candle] = {}
        for trade in trades:
            minute = self._find_minute(trade)
            self._newest[trade.product_id] = minute
            changed[trade.product_id, minute.open_s] = minute
        self._connection.executemany(
            "INSERT INTO trade VALUES (?, ?, ?, ?, ?, ?)",
            [
                (t.product_id, t.trade_id, t.time_us, t.price, t.quantity, t.maker_side)
                for t in trades
            ],
        )
        self._connection.executemany(
            "INSERT OR REPLACE INTO minute VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(product_id, *minute) for (product_id, _), minute in changed.items()],
        )

    def read_trades(
        self, product_id: str, *, now_us: int, limit: int, before: int | None, after: int | None
    ) -> list[Trade]:
        """The newest trades, newest first; ids above `before` and below `after` only."""
        rows = self._connection.execute(
            "SELECT * FROM trade WHERE product_id = ? AND trade_id > ? AND trade_id < ?"
            " AND time_us <= ? ORDER BY trade_id DESC LIMIT ?",
            (product_id, before or 0, 2**63 - 1 if after is None else after, now_us, limit),
        )
        return [Trade(*row) for row in rows]

    def list_candles(
        self, product_id: str, *, granularity_s: int, first_s: int, last_s: int, now_us: int
    ) -> list[Candle]:
        """The candles that open in a stretch, newest first; at most CANDLES_MAX, the newest."""
        newest = min(last_s, now_us // _SECOND_US) // granularity_s * granularity_s
        oldest = max(first_s, newest - (CANDLES_MAX - 1) * granularity_s)
        oldest = -(-oldest // granularity_s) * granularity_s
        rows = self._connection.execute(
            "SELECT open_s, low, high, open, close, volume FROM minute"
            " WHERE product_id = ? AND open_s >= ? AND open_s < ? ORDER BY open_s",
            (product_id, oldest, newest + granularity_s),
        )
        found: dict[int, Candle] = {}
        for minute in (Candle(*row) for row in rows):
            open_s = minute.open_s // granularity_s * granularity_s
            found[open_s] = _join(found.get(open_s), minute._replace(open_s=open_s))
        return list(found.values())[::-1]

    def count_trades(self) -> int:
        """How many trades there are, of all products."""
        [(count,)] = self._connection.execute("SELECT count(*) FROM trade")
        return count

    def iterate_minutes(self) -> Iterator[tuple[tuple[str, int], Candle]]:
        """All minutes with a trade, by product and opening."""
        for product_id, *minute in self._connection.execute("SELECT * FROM minute"):
            candle = Candle(*minute)
            yield (product_id, candle.open_s), candle

    def _find_minute(self, trade: Trade) -> Candle:
        """The minute of a trade, with the trade in it."""
        open_s = trade.time_us // _SECOND_US // MINUTE_S * MINUTE_S
        price, quantity = trade.price, trade.quantity
        alone = Candle(open_s, price, price, price, price, quantity)
        known = self._newest.get(trade.product_id)
        if known is None or known.open_s != open_s:
            known = self._read_minute(trade.product_id, open_s)
        return _join(known, alone)

    def _read_minute(self, product_id: str, open_s: int) -> Candle | None:
        rows = self._connection.execute(
            "SELECT open_s, low, high, open, close, volume FROM minute"
            " WHERE product_id = ? AND open_s = ?",
            (product_id, open_s),
        )
        return next((Candle(*row) for row in rows), None)


def _join(earlier: Candle | None, later: Candle) -> Candle:
    """One candle of two that follow each other."""
    if earlier is None:
        return later
    return Candle(
        earlier.open_s,
        min(earlier.low, later.low),
        max(earlier.high, later.high),
        earlier.open,
        later.close,
        earlier.volume + later.volume,
    )
