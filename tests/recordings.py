"""Public recordings, read from beside the project; tests that want them are skipped without."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

RECORDINGS = Path(__file__).parents[2] / "shared" / "data"


def read_cassette(name: str) -> list[dict[str, Any]]:
    """The HTTP exchanges of a VCR cassette of CoinGecko, 2021."""
    path = RECORDINGS / "coingecko_vcr" / name
    if not path.exists():
        pytest.skip(f"the recording {path.name} is not here")
    return yaml.safe_load(path.read_text("utf-8"))["http_interactions"]


def read_markets_in_eth() -> bytes:
    """CoinGecko's page of two currencies in ETH, as it came on 2021-05-15."""
    [page, _] = read_cassette("market_data_for_multiple_coins_in_eth.yml")
    return page["response"]["body"]["string"].encode()


def read_recording(name: str) -> bytes:
    """An answer, as it came or as its recorder laid it out: digits and order are the venue's."""
    path = RECORDINGS / name
    if not path.exists():
        pytest.skip(f"the recording {path.name} is not here")
    return path.read_bytes()


def read_answers(name: str) -> dict[str, bytes]:
    """Answers of a cryptofeed recording (`address -> time: body`) by address."""
    lines = read_recording(f"cryptofeed/{name}").decode().splitlines()
    told = (line.partition(" -> ") for line in lines if line.startswith("http"))
    return {address: rest.partition(": ")[2].encode() for address, _, rest in told}


def read_coinbase_matches() -> list[dict[str, Any]]:
    """Trades of ten products from Coinbase's WebSocket, 2021-04-17: more fields than over REST."""
    return _read_coinbase_messages("match", "last_match")


def read_coinbase_snapshots() -> list[dict[str, Any]]:
    """Whole books of ten products from the same stream: levels are [price, size]."""
    return _read_coinbase_messages("snapshot")


def _read_coinbase_messages(*types: str) -> list[dict[str, Any]]:
    lines = read_recording("cryptofeed/COINBASE.ws.28.0").decode().splitlines()
    told = (line.partition(": ")[2] for line in lines)
    begins = tuple(f'{{"type":"{name}"' for name in types)
    return [json.loads(text) for text in told if text.startswith(begins)]


@dataclass(frozen=True)
class Told:
    """A question to a venue, and the answer's bytes."""

    path: str
    query: str
    body: bytes


class _Told(msgspec.Struct):
    data: msgspec.Raw
    queryString: str = ""  # noqa: N815 the recording's own name


def read_market(venue: str) -> list[Told]:
    """The REST answers of one venue's public market data, 2019 to 2025."""
    body = read_recording(f"gocryptotrader/{venue}_public_market.json")
    told = msgspec.json.decode(body, type=dict[str, list[_Told]])
    return [
        Told(path, answer.queryString, bytes(answer.data))
        for path, answers in told.items()
        for answer in answers
    ]


def read_market_answers(venue: str, path: str) -> list[bytes]:
    """The answers that one path of a venue gave, in order."""
    return [told.body for told in read_market(venue) if told.path == path]
