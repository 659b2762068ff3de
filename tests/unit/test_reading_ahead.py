"""An iterator taken in another thread: order, errors, and no thread left behind."""

import threading
from collections.abc import Iterator

import pytest

from crypto_platform.delivery.read_ahead import reading_ahead


def test_items_come_in_order_and_an_error_where_it_happened() -> None:
    """A restore that lost the error would call half a partition complete."""

    def items() -> Iterator[int]:
        yield from range(5)
        message = "the mirror went away"
        raise ConnectionError(message)

    with reading_ahead(items()) as ahead:
        assert [next(ahead) for _ in range(5)] == [0, 1, 2, 3, 4]
        with pytest.raises(ConnectionError, match="went away"):
            next(ahead)
    with reading_ahead(range(5)) as ahead:
        assert list(ahead) == [0, 1, 2, 3, 4]


def test_leaving_early_ends_the_thread() -> None:
    """It would go on with a store that others use then."""
    before = threading.active_count()
    with reading_ahead(iter(range(1_000_000))) as ahead:
        assert next(ahead) == 0
    assert threading.active_count() == before
