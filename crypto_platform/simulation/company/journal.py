"""The company's memory: one SQLite file, one transaction a batch of commands.

Here: writing what the engine's outbox holds, reading it back at the start, events by sequence, past
states. Not here: what the rows mean (events.py), market data (tape.py), whether all of it adds up
(proof.py).

Why SQLite: events and the state that follows from them are one transaction, so a killed process
comes back with both or neither, and a start reads the state instead of replaying events: its time
depends on users and open orders, not on what happened so far. WAL with `synchronous = FULL`: what
was answered for is on the disk; a last write that was cut short is dropped whole, by its checksum.
Events are read by their primary key; a state of the past is a checkpoint (every CHECKPOINT_EVENTS
events) and the few events behind it.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from crypto_platform.simulation.company.engine import Engine, Outbox
from crypto_platform.simulation.company.events import (
    OPEN,
    Account,
    Event,
    Order,
    decode_event,
)
from crypto_platform.simulation.company.ledger import Wallet
from crypto_platform.simulation.company.tape import Tape

FILE_NAME = "company.sqlite"
CHECKPOINT_EVENTS = 1000
"""A state of the past costs at most so many events to find, and those of one batch."""
FORMAT = 1

_WAL_PAGES = 4000
_SCHEMA = """
CREATE TABLE event (sequence INTEGER PRIMARY KEY, user INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX event_user ON event (user, sequence);
CREATE TABLE user (user INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE open_order (number INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE ended_order (number INTEGER PRIMARY KEY, sequence INTEGER NOT NULL);
CREATE TABLE named_order (user INTEGER, name TEXT, number INTEGER NOT NULL,
    PRIMARY KEY (user, name)) WITHOUT ROWID;
CREATE TABLE company (one INTEGER PRIMARY KEY CHECK (one = 1), body BLOB NOT NULL);
CREATE TABLE user_checkpoint (user INTEGER, sequence INTEGER, user_sequence INTEGER NOT NULL,
    body BLOB NOT NULL, PRIMARY KEY (user, sequence)) WITHOUT ROWID;
CREATE TABLE totals_checkpoint (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL);
"""


class JournalError(Exception):
    """The file cannot be used; says what to do."""


class _User(msgspec.Struct, array_like=True):
    """A user's row: what an engine knows of them, open orders apart."""

    user_sequence: int
    wallets: dict[str, Wallet]


class _Company(msgspec.Struct, array_like=True):
    """What there is once."""

    sequence: int
    step: int
    time_us: int
    trade_ids: dict[str, int]
    book_sequences: dict[str, int]
    totals: list[tuple[Account, str, int]]


class AccountState(msgspec.Struct, array_like=True):
    """One user at one sequence: wallets by currency, open orders by number."""

    user_sequence: int
    wallets: dict[str, Wallet]
    orders: dict[int, Order]

    def apply(self, event: Event) -> None:
        """Follow one event of the user."""
        self.user_sequence = event.user_sequence
        self.wallets |= {currency: (free, locked) for currency, free, locked in event.wallets}
        if event.order is None:
            return
        if event.order.status in OPEN:
            self.orders[event.order.number] = event.order
        else:
            self.orders.pop(event.order.number, None)


Totals = dict[tuple[Account, str], int]

_encode = msgspec.msgpack.Encoder().encode
_user_decoder = msgspec.msgpack.Decoder(_User)
_order_decoder = msgspec.msgpack.Decoder(Order)
_company_decoder = msgspec.msgpack.Decoder(_Company)
_account_decoder = msgspec.msgpack.Decoder(AccountState)


class Journal:
    """One open file; for one thread. Reads see what is committed, for a write is one call."""

    def __init__(self, folder: Path, *, checkpoint_events: int = CHECKPOINT_EVENTS) -> None:
        """Open the file in a folder, made where missing.

        Args:
            folder: Of this journal alone.
            checkpoint_events: How many may lie between two checkpoints.

        Raises:
            JournalError: Another process has it, or another version made it, or it is damaged.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / FILE_NAME
        self._checkpoint_events = checkpoint_events
        self.step = 0
        """Of the traders, as of the last write."""
        self._user_checkpoints: dict[int, int] = {}
        self._totals_sequence = 0
        try:
            self._connection = self._open()
        except sqlite3.Error as error:
            text = (
                f"{self._path} cannot be used ({error}): another company may have it open; if it "
                f"is damaged, move it away and the company begins anew"
            )
            raise JournalError(text) from None
        self.tape = Tape(self._connection)

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=1.0)
        for pragma in (
            "locking_mode = EXCLUSIVE",
            "journal_mode = WAL",
            "synchronous = FULL",
            f"wal_autocheckpoint = {_WAL_PAGES}",
        ):
            connection.execute(f"PRAGMA {pragma}")
        [(version,)] = connection.execute("PRAGMA user_version")
        if version == 0:
            script = f"BEGIN; {_SCHEMA} {Tape.SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;"
            connection.executescript(script)
        elif version != FORMAT:
            text = f"{self._path} has format {version}, this version reads {FORMAT}: move it away"
            raise JournalError(text)
        return connection

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def load(self) -> Engine:
        """The engine as of the last write."""
        engine = Engine()
        execute = self._connection.execute
        for (body,) in execute("SELECT body FROM company"):
            company = _company_decoder.decode(body)
            self.step = company.step
            engine.sequence, engine.time_us = company.sequence, company.time_us
            engine.trade_ids |= company.trade_ids
            engine.ledger.totals = _read_totals(company)
            for product_id, sequence in company.book_sequences.items():
                engine.books[product_id].sequence = sequence
        for user, body in execute("SELECT user, body FROM user"):
            row = _user_decoder.decode(body)
            engine.user_sequences[user] = row.user_sequence
            engine.ledger.wallets[user] = row.wallets
        for (body,) in execute("SELECT body FROM open_order ORDER BY number"):
            engine.restore(_order_decoder.decode(body))
        [(last,)] = execute("SELECT max(sequence) FROM totals_checkpoint")
        self._totals_sequence = last or 0
        self._user_checkpoints = dict(
            execute("SELECT user, max(user_sequence) FROM user_checkpoint GROUP BY user")
        )
        return engine

    def write(self, engine: Engine, *, step: int) -> None:
        """Keep what the engine's outbox holds, as one transaction, and empty it.

        Raises:
            sqlite3.Error: Nothing of it was kept; the engine is ahead of its file and must go.
        """
        outbox, engine.outbox = engine.outbox, Outbox()
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            self._write_all(engine, outbox, step)
        except BaseException:
            execute("ROLLBACK")
            raise
        execute("COMMIT")
        self.step = step

    def _write_all(self, engine: Engine, outbox: Outbox, step: int) -> None:
        write = self._connection.executemany
        write("INSERT INTO event VALUES (?, ?, ?)", outbox.events)
        wallets = engine.ledger.wallets
        write(
            "INSERT OR REPLACE INTO user VALUES (?, ?)",
            [
                (user, _encode(_User(engine.user_sequences[user], wallets.get(user, {}))))
                for user in outbox.users
            ],
        )
        write("DELETE FROM open_order WHERE number = ?", [(number,) for number in outbox.ended])
        write(
            "INSERT OR REPLACE INTO open_order VALUES (?, ?)",
            [(number, _encode(order)) for number, order in outbox.orders.items()],
        )
        write(
            "INSERT INTO ended_order VALUES (?, ?)",
            [(number, sequence) for number, (sequence, _) in outbox.ended.items()],
        )
        # a name belongs to the first order that bears it, even if a trader of ours takes it again
        write(
            "INSERT OR IGNORE INTO named_order VALUES (?, ?, ?)",
            [(*name, order.number) for name, order in outbox.named.items()],
        )
        company = _Company(
            engine.sequence,
            step,
            engine.time_us,
            engine.trade_ids,
            {product_id: book.sequence for product_id, book in engine.books.items()},
            [(*key, amount) for key, amount in engine.ledger.totals.items()],
        )
        write("INSERT OR REPLACE INTO company VALUES (1, ?)", [(_encode(company),)])
        self._write_checkpoints(engine, outbox, company)
        self.tape.write(outbox.trades)

    def _write_checkpoints(self, engine: Engine, outbox: Outbox, company: _Company) -> None:
        write = self._connection.executemany
        if engine.sequence - self._totals_sequence >= self._checkpoint_events:
            self._totals_sequence = engine.sequence
            write(
                "INSERT INTO totals_checkpoint VALUES (?, ?)",
                [(engine.sequence, _encode(company))],
            )
        for user in outbox.users:
            count = engine.user_sequences[user]
            if count - self._user_checkpoints.get(user, 0) >= self._checkpoint_events:
                self._user_checkpoints[user] = count
                orders = engine.orders_of_user.get(user, {})
                state = AccountState(count, engine.ledger.wallets.get(user, {}), orders)
                write(
                    "INSERT INTO user_checkpoint VALUES (?, ?, ?, ?)",
                    [(user, engine.sequence, count, _encode(state))],
                )

    def read_events(self, *, after: int, limit: int) -> list[Event]:
        """Events after a sequence, oldest first."""
        rows = self._connection.execute(
            "SELECT body FROM event WHERE sequence > ? ORDER BY sequence LIMIT ?", (after, limit)
        )
        return [decode_event(body) for (body,) in rows]

    def iterate_rows(self) -> Iterator[tuple[int, int, bytes]]:
        """All events as they are kept: sequence, user, bytes."""
        return iter(
            self._connection.execute("SELECT sequence, user, body FROM event ORDER BY sequence")
        )

    def list_users(self, *, after: int, limit: int) -> list[int]:
        """Users who ever did anything, by number."""
        rows = self._connection.execute(
            "SELECT user FROM user WHERE user > ? ORDER BY user LIMIT ?", (after, limit)
        )
        return [user for (user,) in rows]

    def find_last(self, user: int) -> int:
        """The sequence of a user's last event; 0 where there is none."""
        [(last,)] = self._connection.execute(
            "SELECT max(sequence) FROM event WHERE user = ?", (user,)
        )
        return last or 0

    def read_account(self, user: int, *, at_sequence: int) -> AccountState:
        """One user right after a sequence; empty before their first event."""
        execute = self._connection.execute
        state, first = AccountState(0, {}, {}), 0
        for sequence, body in execute(
            "SELECT sequence, body FROM user_checkpoint WHERE user = ? AND sequence <= ?"
            " ORDER BY sequence DESC LIMIT 1",
            (user, at_sequence),
        ):
            state, first = _account_decoder.decode(body), sequence
        for (body,) in execute(
            "SELECT body FROM event WHERE user = ? AND sequence > ? AND sequence <= ?"
            " ORDER BY sequence",
            (user, first, at_sequence),
        ):
            state.apply(decode_event(body))
        return state

    def read_totals(self, *, at_sequence: int) -> Totals:
        """The sums of all postings up to a sequence."""
        execute = self._connection.execute
        totals: Totals = {}
        first = 0
        for sequence, body in execute(
            "SELECT sequence, body FROM totals_checkpoint WHERE sequence <= ?"
            " ORDER BY sequence DESC LIMIT 1",
            (at_sequence,),
        ):
            totals, first = _read_totals(_company_decoder.decode(body)), sequence
        for (body,) in execute(
            "SELECT body FROM event WHERE sequence > ? AND sequence <= ? ORDER BY sequence",
            (first, at_sequence),
        ):
            for account, currency, amount in decode_event(body).postings:
                key = (account, currency)
                totals[key] = totals.get(key, 0) + amount
        return totals

    def find_named(self, user: int, name: str) -> int | None:
        """The number of the order that a user called so."""
        rows = self._connection.execute(
            "SELECT number FROM named_order WHERE user = ? AND name = ?", (user, name)
        )
        return next((number for (number,) in rows), None)

    def find_end(self, number: int) -> Event | None:
        """The event that ended an order; None where it is open or there is none."""
        rows = self._connection.execute(
            "SELECT event.body FROM ended_order JOIN event USING (sequence) WHERE number = ?",
            (number,),
        )
        return next((decode_event(body) for (body,) in rows), None)


def _read_totals(company: _Company) -> Totals:
    return {(account, currency): amount for account, currency, amount in company.totals}
