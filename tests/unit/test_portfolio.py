"""A portfolio's wallets and prices each come from the store in which they are at home."""

from dataclasses import dataclass, field
from pathlib import Path

from crypto_platform.feeds.accounts import Wallet
from crypto_platform.serving.accounts import read_portfolio
from crypto_platform.serving.failover import Reads
from crypto_platform.settings import load_settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.claims import StoredOffset, TopicPart

ROW = StoredOffset(
    topic="accounts.events",
    partition=TopicPart("id", 0),
    next_offset=5,
    leader_epoch=None,
    max_ts_append=1,
    epoch=1,
    owner_run_id=None,
    claimed_at=None,
    updated_at=None,
    blocked_by=None,
)
WALLET = Wallet(user_id="ann", currency="BTC", available="2", locked="0", sequence=1, ts_event=1)


@dataclass
class Fake:
    """As much of a store as a portfolio needs; notes what it was asked."""

    name: str
    asked: list[str] = field(default_factory=list[str])

    def check_readable(self) -> None:
        pass

    def read_offsets(self) -> list[StoredOffset]:
        return [ROW]

    def read_wallets(self, user_id: str) -> list[Wallet]:
        self.asked.append(f"{self.name}: wallets of {user_id}")
        return [WALLET]

    def read_latest_quotes(self, *, records_max: int) -> list[object]:
        del records_max
        self.asked.append(f"{self.name}: quotes")
        return []

    def list_markets(self, feed: object) -> list[object]:
        del feed
        return []

    def close(self) -> None:
        pass


def test_prices_are_asked_of_their_own_home(tmp_path: Path) -> None:
    """Whether MongoDB's prices were old was looked at by nobody."""
    settings = load_settings(tmp_path, environment={})
    asked: list[str] = []

    def open_(name: str) -> Store:
        fake: object = Fake(name, asked)
        return fake  # pyright: ignore[reportReturnType] - as much of a store as it needs

    reads = Reads(settings, open_=open_)
    answered = read_portfolio(reads, settings, "ann")
    reads.close()
    assert asked == ["mongo: wallets of ann", "postgres: quotes"]
    assert answered.source.store == "mongo"
    assert answered.value.prices_from is not None
    assert answered.value.prices_from.store == "postgres"
    assert answered.value.unpriced == ["BTC"]
