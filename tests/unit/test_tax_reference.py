"""Tax lots against rp2, which shares no code with ours: FIFO, LIFO and HIFO, lot by lot.

Not compared: average cost, which rp2 does not have, and holding periods, which it counts as 365
days of 24 hours.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from crypto_platform.domain.hours import from_time_us
from crypto_platform.domain.tax_lots import BookingMethod
from crypto_platform.domain.tax_report import TaxReport
from tests.tax_histories import Step, generate_history, prices_of, report_of

SCRIPT = Path(__file__).parents[1] / "tax_reference.py"
METHODS = (BookingMethod.FIFO, BookingMethod.LIFO, BookingMethod.HIFO)
CLOSE = Decimal("1e-12")
"""rp2 rounds to 31 digits; quantities are compared exactly."""

Lines = dict[tuple[str, str], tuple[Decimal, Decimal, Decimal]]


def ask_rp2(histories: Sequence[Sequence[Step]], folder: Path) -> list[Lines]:
    """Every history by every method."""
    asked = [
        {"method": str(method), "rows": [describe(step) for step in history]}
        for history in histories
        for method in METHODS
    ]
    done = subprocess.run(
        [sys.executable, SCRIPT],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [
        {(event, lot): tuple(map(Decimal, numbers)) for event, lot, *numbers in lines}
        for lines in json.loads(done.stdout)
    ]


def describe(step: Step) -> dict[str, str]:
    # what rp2's HIFO sorts by: no more decimals than it takes
    unit_price = (step.value / (step.quantity or step.fee)).quantize(Decimal("1e-10"))
    return {
        "event_id": step.event.event_id,
        "kind": step.kind,
        "time": from_time_us(step.event.ts_event).isoformat(),
        "unit_price": str(unit_price),
        "quantity": str(step.quantity),
        "fee": str(step.fee),
        "value": str(step.value),
    }


def lines_of(report: TaxReport) -> Lines:
    lines: Lines = {}
    for disposal in report.disposals:
        for part in disposal.parts:
            assert part.proceeds is not None
            assert part.cost_basis is not None
            numbers = (part.quantity, part.proceeds, part.cost_basis)
            lines[disposal.event_id, part.lot_event_id] = numbers
    return lines


def compare(seeds: Sequence[int], folder: Path) -> int:
    """How many lines were equal; the first that is not ends it, with its seed."""
    histories = [generate_history(seed) for seed in seeds]
    theirs = iter(ask_rp2(histories, folder))
    compared = 0
    for seed, history in zip(seeds, histories, strict=True):
        events = [step.event for step in history]
        prices = prices_of(history)
        for method in METHODS:
            expected = next(theirs)
            found: Lines = {}
            for year in range(2025, 2036):
                found |= lines_of(report_of(events, method, prices=prices, year=year))
            where = f"seed {seed}, {method}"
            assert found.keys() == expected.keys(), where
            for line, (quantity, proceeds, cost) in found.items():
                assert quantity == expected[line][0], (where, line)
                assert abs(proceeds - expected[line][1]) < CLOSE, (where, line)
                assert abs(cost - expected[line][2]) < CLOSE, (where, line)
            compared += len(found)
    return compared


def test_fifty_histories_have_the_lots_that_rp2_finds(tmp_path: Path) -> None:
    """A wrong lot is a wrong gain and a wrong holding period, and looks like a right one."""
    assert compare(range(50), tmp_path) > 1000


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_histories_have_the_lots_that_rp2_finds(tmp_path: Path) -> None:
    """Rare orders of events (the last satoshi of a lot, equal prices) need many histories."""
    assert compare(range(1000, 2000), tmp_path) > 20_000
