"""Whether all that a company keeps adds up: its whole history, read once from the first event on.

Here: the rules, and the first break of each, in words. Not here: keeping them (engine.py,
ledger.py). It trusts neither: it adds up what the events themselves say.

    sequences     1, 2, 3 ... without a gap, of the company and of each user; times never fall
    postings      sum to zero per currency, event by event; only an accepted order and a withdrawal
                  take from what is available
    wallets       are the sums of their user's postings, never below zero
    fills         come in pairs of one trade: maker first, same price and quantity; clearing is
                  then zero; trade ids of a product are 1, 2, 3 ... without a gap
    orders        hold what their user has locked; fees and fills sum to what the order says
    what is kept  beside the events (wallets, open orders, trades, minutes) says what they say

`python -m crypto_platform.simulation.company.proof FOLDER` proves a stopped company's journal; exit
code 0: it adds up, 1: it does not, or cannot be read, 2: usage.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from crypto_platform.simulation.candles import Candle
from crypto_platform.simulation.company.engine import Engine
from crypto_platform.simulation.company.events import OPEN, Event, Fill, Order, decode_event
from crypto_platform.simulation.company.journal import FILE_NAME, Journal, JournalError
from crypto_platform.simulation.company.ledger import Wallet
from crypto_platform.simulation.company.products import PRODUCTS, QUOTE_CURRENCY
from crypto_platform.simulation.company.tape import MINUTE_S, Tape

_MINUTE_US = MINUTE_S * 1_000_000
_TAKING = ("order_accepted", "withdrawal")


class BrokenError(Exception):
    """A rule does not hold; says which, and where first."""


class Proof:
    """What the events read so far come to."""

    def __init__(self) -> None:
        """Nothing read yet."""
        self.sequence = 0
        self.user_sequences: dict[int, int] = {}
        self.wallets: dict[int, dict[str, Wallet]] = {}
        self.totals: dict[tuple[str, str], int] = {}
        self.orders: dict[int, Order] = {}
        self.trade_ids = dict.fromkeys(PRODUCTS, 0)
        self.minutes: dict[tuple[str, int], Candle] = {}
        self._time_us = 0
        self._maker: Event | None = None

    def read(self, event: Event) -> None:
        """Follow one event.

        Raises:
            BrokenError: It breaks a rule.
        """
        expected = (self.sequence + 1, self.user_sequences.get(event.user, 0) + 1)
        _check((event.sequence, event.user_sequence) == expected, event, "a sequence has a gap")
        _check(event.time_us >= self._time_us, event, "time falls")
        self.sequence, self._time_us = event.sequence, event.time_us
        self.user_sequences[event.user] = event.user_sequence
        self._read_postings(event)
        self._read_fill(event)
        if event.order is not None:
            self._read_order(event, event.order)

    def compare(self, engine: Engine, tape: Tape) -> None:
        """Say that an engine as it was loaded, and a tape, are what the events say.

        Raises:
            BrokenError: They are not.
        """
        totals = {key: amount for key, amount in engine.ledger.totals.items() if amount}
        pairs = {
            "sequence": (engine.sequence, self.sequence),
            "user sequences": (engine.user_sequences, self.user_sequences),
            "wallets": (engine.ledger.wallets, {u: w for u, w in self.wallets.items() if w}),
            "totals": (totals, {key: amount for key, amount in self.totals.items() if amount}),
            "open orders": (engine.orders, self.orders),
            "trade ids": (engine.trade_ids, self.trade_ids),
            "minutes": (dict(tape.iterate_minutes()), self.minutes),
            "trades": (tape.count_trades(), sum(self.trade_ids.values())),
        }
        for name, (kept, told) in pairs.items():
            if kept != told:
                text = f"{name}: kept are {kept!r:.300}, events say {told!r:.300}"
                raise BrokenError(text)

    def _read_postings(self, event: Event) -> None:
        sums: dict[str, int] = {}
        wallets = self.wallets.setdefault(event.user, {})
        for account, currency, amount in event.postings:
            sums[currency] = sums.get(currency, 0) + amount
            self.totals[account, currency] = self.totals.get((account, currency), 0) + amount
            free, locked = wallets.get(currency, (0, 0))
            if account == "available":
                may_take = event.type in _TAKING or amount >= 0
                _check(may_take, event, "something is taken that was not locked")
                wallets[currency] = (free + amount, locked)
            elif account == "locked":
                wallets[currency] = (free, locked + amount)
        _check(not any(sums.values()), event, "postings do not sum to zero")
        told = {currency: (free, locked) for currency, free, locked in event.wallets}
        summed = {currency: wallets[currency] for currency in told}
        _check(told == summed, event, f"wallets are not the sums {summed}")
        _check(all(min(wallet) >= 0 for wallet in told.values()), event, "a wallet is below zero")

    def _read_fill(self, event: Event) -> None:
        maker, self._maker = self._maker, None
        fill, order = event.fill, event.order
        if maker is None:
            if fill is not None:
                _check(fill.liquidity == "maker", event, "a taker's half without a maker's")
                self._maker = event
            return
        assert maker.fill is not None
        assert maker.order is not None
        if fill is None or order is None:
            text = f"a maker's half without a taker's: {maker}"
            raise BrokenError(text)
        mine = (fill.trade_id, fill.price, fill.quantity, fill.liquidity)
        theirs = (maker.fill.trade_id, maker.fill.price, maker.fill.quantity, "taker")
        _check(mine == theirs, event, "two halves differ")
        request = order.request
        sides = {request.side, maker.order.request.side}
        _check(len(sides) == 2, event, "two of one side")  # noqa: PLR2004
        _check(event.user != maker.user, event, "a user meets himself")
        for currency in (PRODUCTS[request.product_id].base, QUOTE_CURRENCY):
            _check(self.totals["clearing", currency] == 0, event, "clearing is not empty")
        product_id = request.product_id
        self.trade_ids[product_id] += 1
        _check(fill.trade_id == self.trade_ids[product_id], event, "trade ids have a gap")
        self._read_minute(product_id, event.time_us, fill)

    def _read_minute(self, product_id: str, time_us: int, fill: Fill) -> None:
        open_s = time_us // _MINUTE_US * MINUTE_S
        price = fill.price
        known = self.minutes.get(
            (product_id, open_s), Candle(open_s, price, price, price, price, 0)
        )
        self.minutes[product_id, open_s] = known._replace(
            low=min(known.low, price),
            high=max(known.high, price),
            close=price,
            volume=known.volume + fill.quantity,
        )

    def _read_order(self, event: Event, order: Order) -> None:
        before = self.orders.pop(order.number, None)
        quantity, notional, fees = (
            (0, 0, 0)
            if before is None
            else (before.filled_quantity, before.filled_notional, before.fees)
        )
        if event.fill is not None:
            quantity += event.fill.quantity
            unit = PRODUCTS[order.request.product_id].notional_unit
            notional += event.fill.price * event.fill.quantity * unit
            fees += event.fill.fee
        told = (order.filled_quantity, order.filled_notional, order.fees)
        _check(told == (quantity, notional, fees), event, "an order is not the sum of its fills")
        if order.status in OPEN:
            self.orders[order.number] = order
        else:
            _check(order.hold == 0, event, "an ended order holds something")


def prove(journal: Journal) -> int:
    """Read a company's whole history and compare it with all else it keeps.

    Returns:
        How many events there are.

    Raises:
        BrokenError: Something does not add up.
    """
    proof = Proof()
    for event in decode_all(journal):
        proof.read(event)
    engine = journal.load()
    proof.compare(engine, journal.tape)
    check_holds(engine)
    return proof.sequence


def check_holds(engine: Engine) -> None:
    """Say that what users have locked is what their open orders hold.

    Raises:
        BrokenError: It is not.
    """
    held: dict[tuple[int, str], int] = {}
    for order in engine.orders.values():
        product = PRODUCTS[order.request.product_id]
        currency = QUOTE_CURRENCY if order.request.side == "buy" else product.base
        held[order.user, currency] = held.get((order.user, currency), 0) + order.hold
    locked = {
        (user, currency): wallet[1]
        for user, wallets in engine.ledger.wallets.items()
        for currency, wallet in wallets.items()
        if wallet[1]
    }
    if held != locked:
        text = f"locked is {locked!r:.300}, orders hold {held!r:.300}"
        raise BrokenError(text)


def decode_all(journal: Journal) -> Iterable[Event]:
    """All events of a journal, oldest first; their rows name them rightly.

    Raises:
        BrokenError: A row's key is not its event's.
    """
    for sequence, user, body in journal.iterate_rows():
        event = decode_event(body)
        _check((sequence, user) == (event.sequence, event.user), event, "a row has another key")
        yield event


def _check(is_so: bool, event: Event, text: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not is_so:
        message = f"{text}: {event!r:.600}"
        raise BrokenError(message)


def main() -> int:
    """Prove the journal in a folder; return the exit code."""
    parser = argparse.ArgumentParser(description="Add up a stopped company's whole history.")
    parser.add_argument("folder", type=Path, help="where its journal is")
    folder = parser.parse_args().folder
    if not (folder / FILE_NAME).is_file():
        parser.error(f"{folder} has no {FILE_NAME}")
    try:
        journal = Journal(folder)
        count = prove(journal)
        journal.close()
    except (BrokenError, JournalError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"whole: {count:,} events\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
