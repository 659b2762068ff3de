"""The dialect coincap reads the simulated market: the two were written apart."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crypto_platform.feeds.quotes import Quote
from crypto_platform.settings import SourceSettings
from crypto_platform.sources.coincap import CoinCap


@pytest.fixture
def base_url() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "crypto_platform.simulation", "--port", "0", "--currencies", "40"],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        yield f"http://127.0.0.1:{port}/v3"
    finally:
        process.terminate()
        process.communicate(timeout=10)


def test_every_currency_of_the_simulated_market_becomes_a_quote(base_url: str) -> None:
    """Without a network this is all that a new user sees."""
    settings = SourceSettings(dialect="coincap", base_url=base_url, simulated=True)
    poll = CoinCap(name="simulated", settings=settings).poll("quotes", positions={}, ts_ingest=5)
    quotes = [record for record in poll.records if isinstance(record, Quote)]
    assert poll.rejected == []
    assert len(quotes) == 40
    assert sorted(quote.market_cap_rank or 0 for quote in quotes) == list(range(1, 41))
    assert all(quote.price and quote.ts_event for quote in quotes)
    assert {quote.source for quote in quotes} == {"simulated"}
