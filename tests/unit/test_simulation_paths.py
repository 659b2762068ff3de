"""The simulated market's bridges: any value, and the extremes of any stretch, found at once."""

import itertools
import math
import time
from random import Random

import pytest

from crypto_platform.simulation.paths import CELL_S, Bridges

PLACES = 1024
VOLATILITY = 0.0001
"""A second's: three per cent a day."""


def read_pin(cell: int) -> float:
    return 10_000.0 + 70 * math.sin(cell)


def build(name: str = "7:BTC-USD", places: int = PLACES) -> Bridges:
    return Bridges(name=name, places=places, volatility=VOLATILITY, read_pin=read_pin)


def spread_of(place: int) -> int:
    """Something that hangs on the place alone, as a trade's side does: -3 to 3."""
    return Random(place).randint(-3, 3)


def measure(place: int, value: float) -> int:
    return round(value) + spread_of(place)


def test_a_cell_begins_at_its_pin() -> None:
    """Else a price would jump once an hour."""
    bridges = build()
    for cell in (0, 1, 77):
        assert bridges.read_value(cell * PLACES) == read_pin(cell)


def test_values_are_the_same_in_whatever_order_they_are_asked() -> None:
    """What is cached must not change what is told."""
    places = range(5 * PLACES - 20, 5 * PLACES + 20)
    forwards, backwards = build(), build()
    assert [forwards.read_value(p) for p in places] == [
        backwards.read_value(p) for p in reversed(places)
    ][::-1]


def test_another_name_is_another_way() -> None:
    """Two products must not move in step."""
    assert build("a").read_value(500) != build("b").read_value(500)


def test_neighbours_lie_as_far_apart_as_the_volatility_says() -> None:
    """A path without noise between its pins, or one that jumps, is no market."""
    bridges = build()
    values = [bridges.read_value(place) for place in range(8 * PLACES)]
    steps = [(b - a) / a for a, b in itertools.pairwise(values)]
    deviation = math.sqrt(sum(step**2 for step in steps) / len(steps))
    expected = VOLATILITY * math.sqrt(CELL_S / PLACES)
    assert 0.9 * expected < deviation < 1.1 * expected


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("places", [32, 1024])
def test_the_extreme_of_a_stretch_is_that_of_all_its_places(places: int, sign: int) -> None:
    """A candle whose high no trade has would be a lie; over one place, a cell, many cells."""
    bridges, random = build(places=places), Random(7)
    stretches = [(5, 5), (0, places - 1), (places - 1, places), (3, 5 * places + 2)]
    stretches += [
        (first, first + random.randrange(3 * places))
        for first in random.choices(range(20 * places), k=40)
    ]
    for first, last in stretches:
        found = bridges.find_most(first, last, measure=measure, slack=3.5, sign=sign)
        all_of = [measure(p, bridges.read_value(p)) for p in range(first, last + 1)]
        assert found == (max(all_of) if sign > 0 else min(all_of)), (first, last)


def test_a_long_stretch_is_searched_by_a_few_looks() -> None:
    """Three hundred days of candles have to come within a second."""
    looks = 0

    def count(place: int, value: float) -> int:
        nonlocal looks
        looks += 1
        return measure(place, value)

    started = time.monotonic()
    build().find_most(0, 100 * PLACES, measure=count, slack=3.5, sign=1)
    assert looks < 1000
    assert time.monotonic() - started < 1
