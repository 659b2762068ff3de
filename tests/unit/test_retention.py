"""What is too old, and that one store's silence keeps no other from forgetting."""

from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from crypto_platform.analytics.retention import plan_figure_cuts
from crypto_platform.delivery.retention import Cut, plan_cuts, remove_old
from crypto_platform.domain.hours import to_time_us
from crypto_platform.errors import ConfigurationError, StoreUnavailableError
from crypto_platform.feeds import FEEDS, Feed, Record
from crypto_platform.feeds.order_books import ORDER_BOOKS
from crypto_platform.jobs.retention import build_retention_job
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store

SETTINGS = Settings(data_dir=Path("/nonexistent"))
NOW = to_time_us(datetime(2026, 11, 25, 12, 30, tzinfo=UTC))


def test_a_cut_is_where_a_partition_begins() -> None:
    """Half a partition cannot be dropped, and both stores have to forget the same."""
    cuts = {cut.feed.name: cut.before_us for cut in plan_cuts(SETTINGS, FEEDS, now_us=NOW)}
    assert cuts == {
        "order_books": to_time_us(datetime(2026, 11, 22, tzinfo=UTC)),
        "trades": to_time_us(datetime(2026, 8, 1, tzinfo=UTC)),
    }


def test_days_of_the_settings_go_before_the_catalogues() -> None:
    """0 is for good; candles, which are kept by themselves, may be forgotten as well."""
    days = {"trades": 0, "order_books": 1, "candles": 365}
    settings = SETTINGS.model_copy(update={"retention_days": days})
    cuts = {cut.feed.name: cut.before_us for cut in plan_cuts(settings, FEEDS, now_us=NOW)}
    assert cuts == {
        "order_books": to_time_us(datetime(2026, 11, 24, tzinfo=UTC)),
        "candles": to_time_us(datetime(2025, 11, 1, tzinfo=UTC)),
    }


@pytest.mark.parametrize(("name", "why"), [("tardes", "no such feed"), ("quotes", "for good")])
def test_days_of_what_cannot_be_cut_are_refused_with_what_can(name: str, why: str) -> None:
    """A disk that fills although somebody has set a limit fills unseen."""
    settings = SETTINGS.model_copy(update={"retention_days": {name: 7}})
    with pytest.raises(ConfigurationError, match=f"retention_days.{name}.*{why}.*candles, order"):
        build_retention_job(settings)


def test_figures_go_by_whole_days_where_they_are_not_kept() -> None:
    """Candles and what is small stay; 0 is for good."""

    def plan(days: dict[str, int]) -> dict[str, int]:
        own = SETTINGS.analytics.model_copy(update={"retention_days": days})
        settings = SETTINGS.model_copy(update={"analytics": own})
        return {c.computation: c.before_us for c in plan_figure_cuts(settings, now_us=NOW)}

    assert plan({}) == {"book_metrics": to_time_us(datetime(2026, 8, 27, tzinfo=UTC))}
    assert plan({"book_metrics": 0, "volatility": 25}) == {
        "volatility": to_time_us(datetime(2026, 10, 31, tzinfo=UTC))
    }


@pytest.mark.parametrize(("name", "why"), [("candels", "no such"), ("candles", "for good")])
def test_days_of_figures_that_are_not_removed_are_refused(name: str, why: str) -> None:
    """As of feeds."""
    own = SETTINGS.analytics.model_copy(update={"retention_days": {name: 7}})
    settings = SETTINGS.model_copy(update={"analytics": own})
    with pytest.raises(ConfigurationError, match=f"analytics.retention_days.{name}.*{why}.*book_"):
        build_retention_job(settings)


class Forgetful:
    """A store that removes what it is told to."""

    def remove_before(self, feed: Feed[Record], before_us: int, *, run_id: str) -> int:
        del feed, before_us, run_id
        return 7


class Silent:
    """A store that is down."""

    def remove_before(self, feed: Feed[Record], before_us: int, *, run_id: str) -> int:
        del feed, before_us, run_id
        message = "down"
        raise StoreUnavailableError(message)


def test_a_store_that_is_down_holds_no_other_one_up() -> None:
    """A disk fills whether or not the mirror answers."""
    stores = cast("dict[str, Store]", {"silent": Silent(), "forgetful": Forgetful()})
    removals = remove_old(stores, [Cut(feed=ORDER_BOOKS, before_us=NOW)], run_id="run")
    assert [(each.store, each.records, str(each.problem)) for each in removals] == [
        ("silent", None, "down"),
        ("forgetful", 7, "None"),
    ]
