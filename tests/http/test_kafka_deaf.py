"""A broker that takes connections and says nothing: who asks it waits no longer than he said."""

import socket
import time
from collections.abc import Iterator

import pytest

from crypto_platform.errors import KafkaUnavailableError
from crypto_platform.kafka.watermarks import Watermarks
from crypto_platform.settings import Settings

WITHIN_S = 1.0


@pytest.fixture
def deaf_broker() -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_a_question_with_a_limit_keeps_it_where_nobody_answers(deaf_broker: str) -> None:
    """A load asks between two batches whether its topics are still the same: records wait."""
    kafka = {"bootstrap_servers": deaf_broker, "request_timeout_s": 30.0}
    watermarks = Watermarks(Settings.model_validate({"kafka": kafka}))
    began = time.monotonic()
    with pytest.raises(KafkaUnavailableError):
        watermarks.read_topic_ids(["market.trades", "market.quotes"], within_s=WITHIN_S)
    assert time.monotonic() - began < WITHIN_S * 1.75
