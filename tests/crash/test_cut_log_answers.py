"""Kafka's log loses its end, and a person answers: read again from there, nothing twice."""

from pathlib import Path

import pytest

from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.stores import STORES
from tests.crash.test_cut_log import CUT_AT, cut_log, elsewhere, store_ten_of_bitcoin
from tests.fault_steps import numbered_quotes
from tests.own_servers import own_server
from tests.platform_harness import Platform
from tests.servers.test_answers import acknowledge_all

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    ("again", "kinds"),
    [
        (0, ["offset_beyond_end"]),
        # grown, but not past what is stored: the kept leader epoch says where it was cut
        (2, ["offset_beyond_end", "log_truncated"]),
        (15, ["log_truncated"]),
    ],
)
def test_a_cut_log_loads_on_after_each_answer_and_is_whole(
    platform: Platform, own_folder: Path, again: int, kinds: list[str]
) -> None:
    """Faults 14 and 27: what took the lost offsets' place loads, what was stored stays."""
    with own_server(platform, own_folder, "kafka"):
        stored, part = store_ten_of_bitcoin(platform)
    cut_log(own_folder, platform.topic(QUOTES), part, at=CUT_AT)
    with own_server(platform, own_folder, "kafka"):
        in_their_place = numbered_quotes(11, 10 + again, currency_id="bitcoin") if again else []
        for quote in in_their_place:
            platform.publish(QUOTES, [quote])
        for store in STORES:
            found = []
            while incidents := platform.load(store).progress.incidents:
                found += [incident.kind for incident in incidents]
                assert [ended.exit_code for ended in acknowledge_all(platform, store)] == [0]
            assert found == kinds
        later = numbered_quotes(40, 60, currency_id="bitcoin") + elsewhere(121, 130)
        platform.publish(QUOTES, later)
        platform.load_both()
        ids = [quote.event_id for quote in (*stored, *in_their_place, *later)]
        for store in STORES:
            reader = platform.store(store, role="analyst")
            assert len(reader.read_facts(QUOTES, ids)) == len(ids)
        assert platform.audit().whole
