"""A store's accounts and the company as lists, for the reconciliation: right, until a test spoils.

Here: the smallest model of both that the reconciliation can read. Not here: expectations.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from crypto_platform.domain.exact import ZERO, add
from crypto_platform.errors import SourceError, SourceUnavailableError
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.account_events import ACCOUNT_EVENTS
from crypto_platform.feeds.accounts import ORDERS, AccountEvent, Fill
from crypto_platform.feeds.codec import to_columns
from crypto_platform.feeds.projection import Key, Projection, fold
from crypto_platform.kafka.watermarks import Bounds, Part
from crypto_platform.sources.company_accounts import OwnAccounts, OwnWallet
from crypto_platform.stores.accounts import Half, PostingSum, ToldOrder, UserCount, Whole
from crypto_platform.stores.claims import StoredOffset, TopicPart
from tests.store_steps import TOPIC_ID


class AccountsLog:
    """Kafka as far as the reconciliation asks: where the topic's only partition ends."""

    def __init__(self, end: int) -> None:
        self.end = end

    def read_topic_ids(self, topics: Iterable[str]) -> dict[str, tuple[str, int]]:
        return dict.fromkeys(topics, (TOPIC_ID, 1))

    def read_bounds(self, parts: Sequence[Part]) -> dict[Part, Bounds]:
        return dict.fromkeys(parts, Bounds(low=0, high=self.end, last_stable=self.end))

    def read_offsets_at(self, parts: Sequence[Part], *, time_us: int) -> dict[Part, int | None]:
        raise NotImplementedError

    def read_range(self, part: Part, *, first_offset: int, next_offset: int) -> Iterator[list]:
        raise NotImplementedError


@dataclass(kw_only=True)
class FakeAccounts:
    """A store that has loaded these events, an offset each.

    Attributes:
        states: What was changed by hand, by projection and key; None is a state that is gone.
        next_offset: None: behind the last event.
    """

    sink: str
    events: list[AccountEvent]
    states: dict[tuple[str, Key], Whole | None] = field(default_factory=dict)
    next_offset: int | None = None

    def drop(self, sequence: int) -> None:
        """Delete an event, as nobody should; its states stay."""
        self._keep_states()
        self.events = [event for event in self.events if event.sequence != sequence]
        self.next_offset = len(self.events) + 1

    def change_event(self, sequence: int, **changes: object) -> None:
        """Change an event, as nobody should; its states stay."""
        self._keep_states()
        self.events = [
            msgspec.structs.replace(event, **changes) if event.sequence == sequence else event
            for event in self.events
        ]

    def change_state(self, projection: Projection, key: Key, **changes: object) -> None:
        """Change a wallet or an order, as nobody should."""
        whole = self._list_states(projection)[key]
        assert whole is not None
        changed = msgspec.structs.replace(whole.state, **changes)
        self.states[projection.table, key] = Whole(changed, whole.parts)

    def _keep_states(self) -> None:
        for projection in ACCOUNT_EVENTS.projections:
            for key, whole in self._list_states(projection).items():
                self.states[projection.table, key] = whole

    # What the reconciliation asks.
    def read_sequences(self) -> Iterator[int]:
        return (event.sequence for event in reversed(self.events))

    def read_offsets(self) -> list[StoredOffset]:
        end = len(self.events) if self.next_offset is None else self.next_offset
        return [
            StoredOffset(
                topic=ACCOUNT_EVENTS.topic,
                partition=TopicPart(TOPIC_ID, 0),
                next_offset=end,
                leader_epoch=None,
                max_ts_append=0,
                epoch=1,
                owner_run_id=None,
                claimed_at=None,
                updated_at=None,
                blocked_by=None,
            )
        ]

    def sum_postings(self, *, through_sequence: int) -> Iterator[PostingSum]:
        sums: dict[tuple[str, str, str], Decimal] = {}
        for event in self._up_to(through_sequence):
            for account, currency, amount in zip(
                event.posting_accounts,
                event.posting_currencies,
                event.posting_amounts,
                strict=True,
            ):
                name = (event.user_id, account, currency)
                sums[name] = add(sums.get(name, ZERO), Decimal(amount))
        return (PostingSum(*name, amount) for name, amount in sorted(sums.items()))

    def count_user_events(self, *, through_sequence: int) -> Iterator[UserCount]:
        found: dict[str, list[int]] = {}
        for event in self._up_to(through_sequence):
            found.setdefault(event.user_id, []).append(event.user_sequence)
        return (UserCount(user, len(own), max(own)) for user, own in sorted(found.items()))

    def read_told_orders(self, *, through_sequence: int) -> Iterator[ToldOrder]:
        last = {
            event.order_id: ToldOrder(event.order_id, event.user_id, event.sequence)
            for event in self._up_to(through_sequence)
            if event.order_id is not None
        }
        return iter(sorted(last.values()))

    def read_halves(self, *, through_sequence: int) -> Iterator[Half]:
        halves = [
            Half(
                event.venue_symbol or "",
                event.trade_id,
                event.sequence,
                event.user_id,
                event.liquidity or "",
                event.fill_price or "",
                event.fill_quantity or "",
            )
            for event in self._up_to(through_sequence)
            if event.trade_id is not None
        ]
        return iter(sorted(halves))

    def read_account_events(self, wanted: Sequence[tuple[str, int]]) -> list[AccountEvent]:
        return [event for event in self.events if (event.user_id, event.sequence) in set(wanted)]

    def read_states(self, feed: Feed[Record], projection: Projection) -> Iterator[Whole]:
        _ = feed
        found = self._list_states(projection)
        return (whole for _, whole in sorted(found.items()) if whole is not None)

    def _up_to(self, sequence: int) -> Iterator[AccountEvent]:
        return (event for event in self.events if event.sequence <= sequence)

    def _list_states(self, projection: Projection) -> dict[Key, Whole | None]:
        named = dict(
            zip(AccountEvent.__struct_fields__, to_columns(self.events), strict=True)
            if self.events
            else ()
        )
        found: dict[Key, Whole | None] = {}
        if named:
            folded = fold(projection, named)
            names = [each.name for each in projection.fields]
            parts: dict[str, list[Fill]] = {}
            if projection is ORDERS:
                for event in self.events:
                    if event.order_id is not None and event.trade_id is not None:
                        own = {name: getattr(event, name) for name in Fill.__struct_fields__}
                        parts.setdefault(event.order_id, []).append(Fill(**own))
            for row in zip(*projection.columns_of(folded), strict=True):
                state = projection.state(**dict(zip(names, row, strict=True)))
                key = projection.key_of(state)
                found[key] = Whole(state, tuple(parts.get(key[0], ())))
        planted = {
            key: whole for (table, key), whole in self.states.items() if table == projection.table
        }
        return found | planted


class FakeCompany:
    """The company's own truth, computed from all its events; answers what it is told to.

    Attributes:
        is_away: Does not answer at all.
        users_max: Stops answering behind so many users.
        wallets, counts: What it says otherwise, by user and currency, and by user.
        totals: The same of sums over all users.
    """

    name = "company"

    def __init__(self, events: Sequence[AccountEvent]) -> None:
        self.events = list(events)
        self.is_away = False
        self.users_max: int | None = None
        self.wallets: dict[tuple[str, str], OwnWallet] = {}
        self.counts: dict[str, int] = {}
        self.totals: dict[tuple[str, str], Decimal] = {}

    def close(self) -> None: ...

    def read_last_sequence(self) -> int:
        if self.is_away:
            raise self._fail()
        return len(self.events)

    def read_totals(self, *, at_sequence: int) -> Mapping[tuple[str, str], Decimal]:
        store = FakeAccounts(sink="company", events=self.events)
        totals: dict[tuple[str, str], Decimal] = {}
        for each in store.sum_postings(through_sequence=at_sequence):
            name = (each.account, each.currency)
            totals[name] = add(totals.get(name, ZERO), each.amount)
        return totals | self.totals

    def read_wallets(self, *, at_sequence: int) -> Iterator[OwnAccounts]:
        own = [event for event in self.events if event.sequence <= at_sequence]
        for number, user in enumerate(sorted({event.user_id for event in own})):
            if number == self.users_max:
                raise self._fail()
            wallets: dict[str, OwnWallet] = {}
            count = 0
            for event in own:
                if event.user_id != user:
                    continue
                count += 1
                for currency, free, locked in zip(
                    event.wallet_currencies,
                    event.wallet_available,
                    event.wallet_locked,
                    strict=True,
                ):
                    wallets[currency] = OwnWallet(Decimal(free), Decimal(locked))
            wallets |= {c: wallet for (u, c), wallet in self.wallets.items() if u == user}
            yield OwnAccounts(user, self.counts.get(user, count), wallets)

    def _fail(self) -> SourceError:
        return SourceUnavailableError("company: gave no answer", source="company", url="/v1")
