"""A venue added: one class and one line in DIALECTS, and all that is asked of a dialect holds.

What docs/architecture.md says of it, tried: the dialect below is whole, and nothing else of the
project knows it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from crypto_platform.feeds.trades import TRADES, Side, Trade
from crypto_platform.settings import load_settings
from crypto_platform.sources import DIALECTS, Source, build_sources, list_feeds
from crypto_platform.sources.pages import NULL, decode_item, list_items
from crypto_platform.sources.readings import Subject, build_trade, read_epoch
from crypto_platform.sources.trade_pages import TradesRead, choose_new, number_trades
from crypto_platform.sources.venue import Venue
from tests.contract import test_dialects as contract
from tests.scripted_source import ScriptedSource, run_scripted_source

Promise = Callable[[Source, ScriptedSource, contract.Sample], None]


class _Trade(msgspec.Struct):
    n: Annotated[int, msgspec.Meta(ge=1)]
    t: msgspec.Raw = NULL
    p: msgspec.Raw = NULL
    q: msgspec.Raw = NULL
    taker: Side | None = None


_TRADE_DECODER = msgspec.json.Decoder(_Trade)


class Tiny(Venue):
    """A venue that gives its newest trades as [{"n", "t": ms, "p", "q", "taker"}]."""

    gives = (TRADES.name,)

    def unify(self, venue_symbol: str) -> str | None:
        return venue_symbol.replace("-", "/")

    def read_trades(self, subject: Subject, *, position: str | None, pages_max: int) -> TradesRead:
        _ = pages_max
        cursor = self.read_cursor(position, venue_symbol=subject.venue_symbol)
        answer = self.http.get("/trades", params={"symbol": subject.venue_symbol})
        page = number_trades(
            list_items(answer.body, source=self.name, url=answer.url),
            _read_number,
            source=self.name,
            answer=answer,
            may_be_empty=False,
        )
        return TradesRead(items=choose_new([page], cursor=cursor), position=str(page.highest))

    def parse_trade(self, item: bytes, *, subject: Subject) -> Trade:
        trade = decode_item(_TRADE_DECODER, item)
        return build_trade(
            subject,
            trade_id=str(trade.n),
            price=trade.p,
            quantity=trade.q,
            taker_side=trade.taker,
            moment=read_epoch(trade.t, "t", unit="ms"),
        )


def _read_number(item: bytes) -> int | None:
    return decode_item(_TRADE_DECODER, item).n


SAMPLE = contract.Sample(
    feed="trades",
    body=b"""[{"n": 9, "t": 1767268800123, "p": "1.054e-05", "q": "19970000.0"},
        {"n": 8, "t": 1767268800123, "p": "bad", "q": "1", "taker": "buy"},
        {"n": 7, "t": 1767268800122, "p": "64000.1234567890123456789012345", "q": 1.10}]""",
    figures=contract.FIGURES,
    empty=b"[]",
    settings={"symbols": "BTC-USD"},
)


@pytest.fixture
def server() -> Iterator[ScriptedSource]:
    with run_scripted_source() as running:
        yield running


@pytest.fixture
def source(server: ScriptedSource, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Source:
    """Registered by the one line, configured as anybody would, built as an ingest run does."""
    monkeypatch.setitem(DIALECTS, "tiny", Tiny)
    lines = ("[sources.mine]", 'dialect = "tiny"', f'base_url = "{server.url}/v3"')
    more = ('symbols = ["BTC-USD"]', "requests_per_minute_max = 600", "timeout_s = 5")
    (tmp_path / "settings.toml").write_text("\n".join((*lines, *more)), "utf-8")
    settings = load_settings(tmp_path, environment={})
    assert ("mine", "trades") in list_feeds(settings)
    return build_sources(settings)["mine"]


@pytest.mark.parametrize(
    "promise",
    [
        contract.test_good_items_become_records_and_the_bad_one_is_rejected_with_its_bytes,
        contract.test_records_are_sealed_and_pass_the_decoder_of_the_loads,
        contract.test_no_figure_passed_through_a_float,
        contract.test_the_same_answer_read_later_is_the_same_facts,
    ],
)
def test_an_added_dialect_keeps_the_contract(
    source: Source, server: ScriptedSource, promise: Promise
) -> None:
    """By what the base class gives it."""
    promise(source, server, SAMPLE)


@pytest.mark.parametrize("page", sorted(contract.REFUSED_PAGES))
def test_an_added_dialect_refuses_what_is_no_page(
    source: Source, server: ScriptedSource, page: str
) -> None:
    """Nothing of such an answer may be published."""
    contract.test_a_page_that_is_not_what_it_promises_is_refused_whole(source, server, SAMPLE, page)


def test_an_added_dialect_reads_on_from_its_cursor(source: Source, server: ScriptedSource) -> None:
    """Polls, positions and unified names are the base's too."""
    first = contract.poll(source, server, SAMPLE)
    again = source.poll("trades", positions=first.positions, ts_ingest=contract.RECEIVED)
    assert (len(first.records), len(again.records)) == (2, 0)
    assert first.positions == {"BTC-USD": "9"}
    assert {r.symbol for r in first.records if isinstance(r, Trade)} == {"BTC/USD"}
