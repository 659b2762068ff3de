"""The main job: a source's page through asset, topic and loads into both stores, digit by digit.

Real input is what CoinGecko answered on 2021-05-15; the page in CoinCap v3's shape is hand-made.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import dagster as dg
import pytest

from crypto_platform.assets.names import (
    INGEST_JOB,
    INGEST_OP,
    ingest_key,
    load_job,
    load_key,
    load_op,
)
from crypto_platform.definitions import build_definitions
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.quotes import QUOTES, Quote, seal_quote
from crypto_platform.stores import STORES
from tests.platform_harness import Platform
from tests.recordings import read_markets_in_eth
from tests.scripted_source import Reply, ScriptedSource, run_scripted_source

COINGECKO_NAMES = {
    "current_price": "price",
    "market_cap": "market_cap",
    "fully_diluted_valuation": "fully_diluted_market_cap",
    "total_volume": "quote_volume_24h",
    "high_24h": "high_24h",
    "low_24h": "low_24h",
    "price_change_24h": "price_change_24h",
    "price_change_percentage_24h": "price_change_24h_pct",
    "market_cap_change_24h": "market_cap_change_24h",
    "market_cap_change_percentage_24h": "market_cap_change_24h_pct",
    "circulating_supply": "circulating_supply",
    "total_supply": "total_supply",
    "max_supply": "max_supply",
}

COINCAP_PAGE = json.dumps(
    {
        "timestamp": 1_733_000_000_123,
        "data": [
            {
                "id": "bitcoin",
                "rank": "1",
                "symbol": "BTC",
                "name": "Bitcoin",
                "supply": "19787581.000000000000000000",
                "maxSupply": "21000000.0000",
                "marketCapUsd": "1900000000000.123456789012345678",
                "volumeUsd24Hr": "12345678901.0987654321098765432",
                "priceUsd": "96542.123456789012345678901234",
                "changePercent24Hr": "-0.00",
                "vwap24Hr": "96000.1",
            },
            {
                "id": "broken-coin",
                "rank": 2,
                "symbol": "BRK",
                "name": "Broken",
                "supply": "1",
                "maxSupply": None,
                "marketCapUsd": "1",
                "volumeUsd24Hr": "1",
                "priceUsd": "NaN",
                "changePercent24Hr": "1",
                "vwap24Hr": None,
            },
            {
                "id": "dust",
                "rank": 3,
                "symbol": "DUST",
                "name": "Dust",
                "supply": None,
                "maxSupply": None,
                "marketCapUsd": None,
                "volumeUsd24Hr": None,
                "priceUsd": "0.000000000000000000000000000071",
                "changePercent24Hr": None,
                "vwap24Hr": None,
            },
        ],
    }
).encode()


@pytest.fixture
def source() -> Iterator[ScriptedSource]:
    with run_scripted_source() as running:
        yield running


def quote(number: int) -> Quote:
    """A quote of currency c<number> at <number> dollars and ten cents."""
    draft = Quote(
        source="test",
        currency_id=f"c{number}",
        quote_currency="USD",
        price=f"{number}.10",
        ts_event=1_700_000_000_000_000,
        ts_ingest=1_700_000_000_500_000,
    )
    return seal_quote(draft)


def this_hour() -> str:
    """The current hour's partition key."""
    return datetime.now(UTC).strftime("%Y-%m-%d-%H:00")


def use_only(platform: Platform, source: ScriptedSource, name: str, path: str) -> None:
    """Point one source at the scripted server and switch the others off."""
    changes = {
        f"CRYPTO_PLATFORM_SOURCES__{other.upper()}__ENABLED": str(other == name).lower()
        for other in platform.settings.sources
    }
    changes[f"CRYPTO_PLATFORM_SOURCES__{name.upper()}__BASE_URL"] = f"{source.url}{path}"
    platform.reload(**changes)


def run_job(platform: Platform, name: str) -> dg.ExecuteInProcessResult:
    """Execute a job as Dagster's executor would, in this process."""
    with dg.DagsterInstance.ephemeral() as instance:
        job = build_definitions(platform.settings).resolve_job_def(name)
        return job.execute_in_process(instance=instance, raise_on_error=False)


def load_both(platform: Platform) -> None:
    for store in STORES:
        assert run_job(platform, load_job(store)).success


def stored_quotes(platform: Platform, store: str) -> dict[str, Quote]:
    """The stored quotes by currency."""
    reader = platform.store(store, role="analyst")
    quotes = reader.read_latest_quotes()
    return {quote.currency_id: quote for quote in quotes}


def test_every_number_of_coingeckos_recorded_page_is_stored_as_recorded(
    platform: Platform, source: ScriptedSource
) -> None:
    """A float anywhere on the way would turn 115885505.624 or 1.0 into something near it."""
    body = read_markets_in_eth()
    source.script(Reply(body=body))
    use_only(platform, source, "coingecko", "/api/v3")
    platform.reload(CRYPTO_PLATFORM_SOURCES__COINGECKO__QUOTE_CURRENCY="ETH")
    recorded = {item["id"]: item for item in json.loads(body, parse_float=str, parse_int=str)}

    assert run_job(platform, INGEST_JOB).success
    load_both(platform)

    for store in STORES:
        quotes = stored_quotes(platform, store)
        assert set(quotes) == {"bitcoin", "ethereum"}
        for currency_id, quote in quotes.items():
            assert quote.quote_currency == "ETH"
            for theirs, ours in COINGECKO_NAMES.items():
                text = recorded[currency_id][theirs]
                stored = getattr(quote, ours)
                if text is None:
                    assert stored is None, (store, currency_id, ours)
                else:
                    assert Decimal(stored).as_tuple() == Decimal(text).as_tuple(), (store, ours)
    assert quotes["bitcoin"].ts_event == 1_621_094_383_867_000
    assert platform.audit().whole


def test_a_page_in_coincaps_shape_keeps_thirty_digits_and_rejects_one_bad_currency(
    platform: Platform, source: ScriptedSource
) -> None:
    """One NaN among two hundred prices must cost one record, not the page and not the run."""
    source.script(Reply(body=COINCAP_PAGE))
    use_only(platform, source, "coincap", "/v3")
    platform.reload(CRYPTO_PLATFORM_SOURCES__COINCAP__KEY="a-key")

    result = run_job(platform, INGEST_JOB)
    load_both(platform)

    assert result.success
    [event] = result.asset_materializations_for_node(INGEST_OP)
    assert event.asset_key == ingest_key("coincap", "quotes")
    assert event.metadata["records"].value == 2
    assert event.metadata["rejected_records"].value == 1
    for store in STORES:
        quotes = stored_quotes(platform, store)
        assert set(quotes) == {"bitcoin", "dust"}
        bitcoin, dust = quotes["bitcoin"], quotes["dust"]
        assert bitcoin.price == "96542.123456789012345678901234"
        assert bitcoin.quote_volume_24h == "12345678901.0987654321098765432"
        assert bitcoin.circulating_supply == "19787581.000000000000000000"
        assert bitcoin.price_change_24h_pct == "0.00"
        assert (bitcoin.market_cap_rank, dust.market_cap_rank) == (1, 3)
        assert dust.price == "0.000000000000000000000000000071"
        assert (dust.circulating_supply, dust.max_supply, dust.market_cap) == (None, None, None)
        assert bitcoin.ts_event == 1_733_000_000_123_000
        reader = platform.store(store, role="analyst")
        rejected = FEED_BY_NAME["rejected"]
        [offset] = [row for row in reader.read_offsets() if row.topic == platform.topic(rejected)]
        [found] = reader.read_range(rejected, offset.partition, 0, offset.next_offset)
        [piece] = reader.read_facts(rejected, [found.event_id])
        assert b'"broken-coin"' in piece.raw
        assert piece.reason == "invariant"
    assert platform.audit().whole


def test_polling_the_same_page_again_stores_nothing_twice(
    platform: Platform, source: ScriptedSource
) -> None:
    """A new run publishes its first poll again; the ids absorb it."""
    source.script(Reply(body=COINCAP_PAGE))
    use_only(platform, source, "coincap", "/v3")
    platform.reload(CRYPTO_PLATFORM_SOURCES__COINCAP__KEY="a-key")
    for _ in range(2):
        assert run_job(platform, INGEST_JOB).success
    load_both(platform)
    for store in STORES:
        reader = platform.store(store, role="analyst")
        stored = sum(batch.stored.count for batch in reader.read_load_batches())
        assert stored == 3
    assert platform.audit().whole


def test_a_wrong_key_fails_the_run_with_the_setting_to_mend(
    platform: Platform, source: ScriptedSource
) -> None:
    """A bare "403 Forbidden" would send a person searching."""
    source.script(Reply(status=403, body=b'{"error":"invalid key"}'))
    use_only(platform, source, "coincap", "/v3")
    platform.reload(CRYPTO_PLATFORM_SOURCES__COINCAP__KEY="canary-secret")
    result = run_job(platform, INGEST_JOB)
    assert not result.success
    text = " ".join(str(event) for event in result.all_events)
    assert "CRYPTO_PLATFORM_SOURCES__COINCAP__KEY" in text
    assert "canary-secret" not in text


def test_a_dead_api_leaves_the_other_source_alone(
    platform: Platform, source: ScriptedSource
) -> None:
    """The run ends failed, after the others were published and reported."""
    source.script(Reply(body=COINCAP_PAGE))
    use_only(platform, source, "coincap", "/v3")
    platform.reload(
        CRYPTO_PLATFORM_SOURCES__COINCAP__KEY="a-key",
        CRYPTO_PLATFORM_SOURCES__COINGECKO__ENABLED="true",
        CRYPTO_PLATFORM_SOURCES__COINGECKO__BASE_URL="http://127.0.0.1:9",
    )
    result = run_job(platform, INGEST_JOB)
    load_both(platform)
    assert not result.success
    reported = {event.asset_key for event in result.asset_materializations_for_node(INGEST_OP)}
    assert reported == {ingest_key("coincap", "quotes")}
    assert set(stored_quotes(platform, "postgres")) == {"bitcoin", "dust"}
    assert platform.audit().whole


def test_a_poison_value_is_quarantined_in_both_stores_and_the_rest_goes_on(
    platform: Platform,
) -> None:
    """Fault 20: whoever wrote it, it must not stop the topic."""
    platform.publish(QUOTES, [quote(1)])
    platform.publish_raw(
        [
            (QUOTES, "s:c", b"not json"),
            (QUOTES, "s:c", b'{"v":9}'),
            (QUOTES, "s:c", b'{"v":1,"price":"' + b"1" * 60 + b'"}'),
            (QUOTES, "s:c", b"\x00" * 900_000),
        ]
    )
    load_both(platform)
    for store in STORES:
        reader = platform.store(store, role="analyst")
        entries = list(reader.read_quarantine())
        assert [entry.reason.value for entry in entries] == [
            "undecodable",
            "unknown_schema",
            "invariant",
            "too_large",
        ]
        assert set(stored_quotes(platform, store)) == {"c1"}
    assert platform.audit().whole


def test_an_hour_of_rows_deleted_by_mistake_comes_back_by_its_partition(
    platform: Platform,
) -> None:
    """Replay: a run with a partition restores what is missing and nothing else."""
    platform.publish(QUOTES, [quote(number) for number in range(40)])
    load_both(platform)
    platform.delete_quotes("postgres", currency_id="c7")
    platform.delete_quotes("mongo", currency_id="c7")
    assert not platform.audit().whole

    for store in STORES:
        job = build_definitions(platform.settings).resolve_job_def(load_job(store))
        with dg.DagsterInstance.ephemeral() as instance:
            result = job.execute_in_process(
                instance=instance,
                partition_key=this_hour(),
                asset_selection=[load_key(store, QUOTES)],
            )
        [event] = result.asset_materializations_for_node(load_op(store))
        assert event.metadata["restored_records"].value == 1
        assert event.metadata["already_there_records"].value == 39
    assert platform.audit().whole
