"""What is read of ccxt's structures: finer times, exact figures, steps."""

import pytest

from crypto_platform.errors import RecordRejectedError
from crypto_platform.sources.ccxt_answers import cut_list, decode_exactly, find_path
from crypto_platform.sources.ccxt_exchange import move_urls
from crypto_platform.sources.ccxt_readings import PrecisionMode, find_moment, find_step, to_raw
from crypto_platform.sources.readings import Moment


@pytest.mark.parametrize(
    ("answer", "timestamp_ms", "moment"),
    [
        (
            {"t": "1688669597.827736912"},
            1688669597827,
            Moment(1688669597827736, "1688669597.827736912"),
        ),
        (
            {"t": 1688669597827736912},
            1688669597827,
            Moment(1688669597827736, "1688669597827736912"),
        ),
        ({"t": 1688669597827736}, 1688669597827, Moment(1688669597827736)),
        ({"t": 1688669597827}, 1688669597827, Moment(1688669597827000)),
        ({"t": 1688669597}, 1688669597000, Moment(1688669597000000)),
        (
            {"t": "2023-07-06T18:53:17.8277369Z"},
            1688669597827,
            Moment(1688669597827736, "2023-07-06T18:53:17.8277369Z"),
        ),
        # seconds as a float, times 1000, cut: a millisecond too early
        ({"t": "1688669597.829"}, 1688669597828, Moment(1688669597829000)),
        (
            {"coarse": 1688669597827, "fine": 1688669597827736},
            1688669597827,
            Moment(1688669597827736),
        ),
        ([["30243.3", "1"], "s", "1688669597.8277"], 1688669597827, Moment(1688669597827700)),
        ({"result": {"time": "1688669597827"}}, 1688669597827, Moment(1688669597827000)),
        ({"id": "123456789", "price": "64000.5"}, 1688669597827, None),
        ({"t": 1688669597827}, None, None),
    ],
    ids=str,
)
def test_the_venues_own_text_of_a_time_is_found(
    answer: object, timestamp_ms: int | None, moment: Moment | None
) -> None:
    """What ccxt hands out are milliseconds; trades of one millisecond have an order."""
    assert find_moment(answer, timestamp_ms) == moment


@pytest.mark.parametrize("figure", [0.1, True, {"value": "1"}, ["1"]])
def test_a_figure_that_was_a_float_is_no_figure(figure: object) -> None:
    """A venue whose class in ccxt calculates: its digits are lost before we see them."""
    with pytest.raises(RecordRejectedError, match="digits are lost"):
        to_raw(figure, "price")


@pytest.mark.parametrize(
    ("precision", "mode", "step"),
    [
        ("0.01", PrecisionMode.TICK_SIZE, "0.01"),
        ("1e-8", PrecisionMode.TICK_SIZE, "0.00000001"),
        (8, PrecisionMode.DECIMAL_PLACES, "0.00000001"),
        (0, PrecisionMode.DECIMAL_PLACES, "1"),
        (5, PrecisionMode.SIGNIFICANT_DIGITS, None),
        (None, PrecisionMode.TICK_SIZE, None),
    ],
)
def test_a_precision_is_a_step(precision: object, mode: int, step: str | None) -> None:
    """Three meanings of one field; significant digits are no step at all."""
    assert find_step(precision, mode) == step


def test_the_items_of_a_list_are_cut_out_as_they_came() -> None:
    """Also where the list is deep inside, and something beside it is no JSON."""
    body = b'{"error": [], "result": {"a": NaN, "b": [{"x": 1.10}, ["y",  "\\ud800"]]}}'
    wanted = [{"x": "1.10"}, ["y", "?"]]
    document = {"error": [], "result": {"a": "NaN", "b": wanted}}
    assert find_path(document, wanted) == ("result", "b")
    assert cut_list(body, document, wanted) == [b'{"x": 1.10}', b'["y",  "\\ud800"]']
    assert cut_list(body, document, [{"x": "1.10"}]) == []


def test_addresses_keep_their_paths_and_lose_their_hosts() -> None:
    """Whatever depth they stand at, and where ccxt fills the host in later."""
    urls = {"public": "https://api.x.example/api/v3", "rest": {"spot": "https://{hostname}/"}}
    assert move_urls(urls, base_url="http://127.0.0.1:9") == {
        "public": "http://127.0.0.1:9/api/v3",
        "rest": {"spot": "http://127.0.0.1:9"},
    }


def test_numbers_keep_their_digits_and_half_a_surrogate_is_refused() -> None:
    """Python's own decoder makes floats, and text that no store can keep."""
    assert decode_exactly(
        b'{"a": 1.10, "b": NaN, "c": 12345678901234567890, "d": "\\ud83d\\ude00"}'
    ) == {
        "a": "1.10",
        "b": "NaN",
        "c": 12345678901234567890,
        "d": "\U0001f600",
    }
    with pytest.raises(ValueError, match="surrogates"):
        decode_exactly(b'["\\ud83d"]')
