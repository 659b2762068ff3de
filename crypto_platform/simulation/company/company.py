"""The company at work: commands and traders take turns at the engine, each turn is made durable.

Here: one loop, in which commands that came over HTTP and the traders' steps become one batch and
one transaction; callers are answered after it. Not here: HTTP (server.py), rules (engine.py).
Between two turns everything that can be seen is on the disk: a turn has no await in it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from crypto_platform.simulation.company.engine import Engine, RefusedError
from crypto_platform.simulation.company.events import OPEN, Order, OrderRequest
from crypto_platform.simulation.company.journal import Journal
from crypto_platform.simulation.company.pace import Drive, Pace
from crypto_platform.simulation.company.traders import Traders

TURN_STEPS_MAX = 200
TURN_S_MIN = 0.02
"""Steps of so long are gathered for one write; commands are not kept waiting."""

Command = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What came of a drive: differences of the company's own counters."""

    orders: int
    fills: int
    events: int
    last_sequence: int


class UnwrittenError(Exception):
    """The journal could not be written: what is remembered may never have happened."""


class UnknownOrderError(RefusedError):
    """The user has no such order."""


class Company:
    """One company: its engine, its journal, its users."""

    def __init__(
        self,
        journal: Journal,
        *,
        build_traders: Callable[[Engine, int | None], Traders],
        users: int,
        rate: float,
        clock_us: Callable[[], int],
        clock_s: Callable[[], float],
    ) -> None:
        """Go on where the journal ended.

        Args:
            journal: Just opened.
            build_traders: Makes the users of a seed; None: the usual one.
            users: How many trade.
            rate: Their orders a second; 0: none.
            clock_us: The time, microseconds since 1970 UTC.
            clock_s: A clock that only rises, for the pace.
        """
        self._is_lost = False
        self._journal = journal
        self._engine = journal.load()
        self.users = users
        self._build_traders = build_traders
        self._traders = self._usual_traders = build_traders(self.engine, None)
        self._is_behind = False
        self._step = journal.step
        self._clock_us = clock_us
        self._clock_s = clock_s
        self._pace = Pace(rate=rate, now_s=clock_s())
        self._waiting: list[tuple[Command, asyncio.Future[object]]] = []
        self._wake = asyncio.Event()
        self._drive_from = self._count()

    @property
    def engine(self) -> Engine:
        """What is so.

        Raises:
            UnwrittenError: The company is ending: the engine is ahead of what was kept.
        """
        self._check_kept()
        return self._engine

    @property
    def journal(self) -> Journal:
        """What was kept.

        Raises:
            UnwrittenError: The company is ending.
        """
        self._check_kept()
        return self._journal

    def _check_kept(self) -> None:
        if self._is_lost:
            text = "the journal cannot be written, and the company ends: ask again once it is back"
            raise UnwrittenError(text)

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            sqlite3.Error: The journal could not be written; nobody was told otherwise, and the
                process must end, for its memory is ahead of its file.
            Exception: The same of any other failure of a turn, which is a mistake of ours.
        """
        while True:
            self.turn()
            if self._is_behind:
                await asyncio.sleep(0)
                continue
            pause_s = self._pace.wait_s(now_s=self._clock_s())
            if pause_s is not None:
                pause_s = max(pause_s, TURN_S_MIN)
            try:
                await asyncio.wait_for(self._wake.wait(), timeout=pause_s)
            except TimeoutError:
                continue

    def turn(self) -> None:
        """Make commands and due steps, write them down, answer who waits."""
        self._wake.clear()
        waiting, self._waiting = self._waiting, []
        try:
            answers = [(future, *_try(command)) for command, future in waiting]
            self._trade()
            if self.engine.outbox.events:
                self.journal.write(self.engine, step=self._step)
        except Exception:
            # whatever failed: the memory is ahead of the file
            self._is_lost = True
            for _, future in waiting:
                _fail(future)
            raise
        for future, result, error in answers:
            if future.done():
                continue  # who asked is gone
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

    def _trade(self) -> None:
        drive = self._pace.drive
        traders = self._usual_traders if drive is None else self._traders
        users = self.users if drive is None or drive.users is None else drive.users
        steps = self._pace.take(now_s=self._clock_s(), steps_max=TURN_STEPS_MAX)
        self._is_behind = steps == TURN_STEPS_MAX
        for _ in range(steps):
            self._step += 1
            traders.act(self._step, users=users, time_us=self._clock_us())

    async def submit(self, command: Command) -> object:
        """Have a command made in the next turn; returns once what came of it is on the disk.

        Raises:
            RefusedError: By the command; nothing happened.
            UnwrittenError: The company is ending; whether it happened is known after its start.
        """
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((command, future))
        if self._is_lost:
            _fail(future)
        self._wake.set()
        return await future

    def place(self, user: int, request: OrderRequest) -> Order:
        """Take an order, or find the one that the user has called so before.

        Raises:
            RefusedError: The name belongs to another order.
        """
        known = self._find_named(user, request.client_order_id)
        if known is None:
            return self.engine.place(user, request, time_us=self._clock_us())
        if known.request != request:
            text = f"client_order_id {request.client_order_id} belongs to another order of yours"
            raise RefusedError(text)
        return known

    def cancel(self, user: int, number: int) -> Order:
        """End an order; one that the user has cancelled before stays so.

        Raises:
            UnknownOrderError: The user has none of this number.
            RefusedError: It has ended otherwise.
        """
        order = self.find_order(number)
        if order is None or order.user != user:
            text = "you have no such order"
            raise UnknownOrderError(text)
        if order.status in OPEN:
            self.engine.cancel(order, reason="user_cancelled", time_us=self._clock_us())
        elif order.reason != "user_cancelled":
            text = f"the order is {order.status} and cannot be cancelled"
            raise RefusedError(text)
        return order

    def deposit(self, user: int, currency: str, amount: int) -> None:
        """See Engine.deposit."""
        self.engine.deposit(user, currency, amount, time_us=self._clock_us())

    def withdraw(self, user: int, currency: str, amount: int) -> None:
        """See Engine.withdraw."""
        self.engine.withdraw(user, currency, amount, time_us=self._clock_us())

    def find_order(self, number: int) -> Order | None:
        """An order as it is now, ended ones included, also those of this very turn."""
        order = self.engine.orders.get(number)
        if order is None and number in self.engine.outbox.ended:
            _, order = self.engine.outbox.ended[number]
        if order is None:
            event = self.journal.find_end(number)
            order = None if event is None else event.order
        return order

    def drive(self, drive: Drive) -> None:
        """Let users trade otherwise for a while.

        Raises:
            RefusedError: A drive is on.
        """
        if self._pace.drive is not None:
            text = "another drive is on: wait for its end, or end it"
            raise RefusedError(text)
        self._drive_from = self._count()
        self._traders = self._build_traders(self.engine, drive.seed)
        self._pace.begin(drive, now_s=self._clock_s())
        self._wake.set()

    def end_drive(self) -> None:
        """End a drive before its time, where one is on."""
        if self._pace.drive is not None:
            self._pace.end(now_s=self._clock_s())
            self._wake.set()

    def see_drive(self) -> tuple[float | None, Counts]:
        """How many seconds the drive goes on, None where it is over, and what has come of it.

        Right after its time it may still make its last orders: then 0.
        """
        now, begun = self._count(), self._drive_from
        counts = Counts(
            orders=now.orders - begun.orders,
            fills=now.fills - begun.fills,
            events=now.events - begun.events,
            last_sequence=now.last_sequence,
        )
        left_s = None if self._pace.drive is None else self._pace.left_s(now_s=self._clock_s())
        return left_s, counts

    def _find_named(self, user: int, name: str | None) -> Order | None:
        if name is None:
            return None
        order = self.engine.outbox.named.get((user, name))
        if order is None:
            number = self.journal.find_named(user, name)
            order = None if number is None else self.find_order(number)
        return order

    def _count(self) -> Counts:
        engine = self.engine
        return Counts(
            orders=engine.orders_count,
            fills=engine.fills_count,
            events=engine.sequence,
            last_sequence=engine.sequence,
        )


def _fail(future: "asyncio.Future[object]") -> None:
    if not future.done():
        text = (
            "the journal cannot be written, and the company ends: whether this happened is known "
            "once it is back; an order with a client_order_id can then be sent again"
        )
        future.set_exception(UnwrittenError(text))


def _try(command: Command) -> tuple[object, RefusedError | None]:
    try:
        return command(), None
    except RefusedError as error:
        return None, error
