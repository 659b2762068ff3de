"""The ECB's files. The samples are made by hand in the published shape, none was fetched."""

from datetime import UTC, datetime

import pytest

from crypto_platform.domain.hours import to_time_us
from crypto_platform.errors import SourceMalformedError
from crypto_platform.feeds.exchange_rates import ExchangeRates
from crypto_platform.sources.ecb import parse_rates
from crypto_platform.sources.http import Answer

URL = "https://bank.example/eurofxref"

ENVELOPE = """<?xml version="1.0" encoding="UTF-8"?>
<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01"\
 xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
	<gesmes:subject>Reference rates</gesmes:subject>
	<gesmes:Sender>
		<gesmes:name>European Central Bank</gesmes:name>
	</gesmes:Sender>
	<Cube>{days}</Cube>
</gesmes:Envelope>
"""
FRIDAY = """
		<Cube time='2026-11-27'>
			<Cube currency='USD' rate='1.0842'/>
			<Cube currency='JPY' rate='171.94'/>
			<Cube currency='IDR' rate='17487.21'/>
		</Cube>"""
THURSDAY = """<Cube time="2026-11-26"><Cube currency="USD" rate="1.0800"/></Cube>"""


def daily(days: str = FRIDAY) -> bytes:
    return ENVELOPE.format(days=days).encode()


def parse(body: bytes) -> list[ExchangeRates]:
    return parse_rates(Answer(body=body, url=URL), source="ecb", ts_ingest=7)


def test_a_daily_file_is_one_day_with_the_banks_digits() -> None:
    """Units of the other currency for one euro, by name: the bank's order is nobody's fact."""
    [day] = parse(daily())
    assert (day.source, day.base_currency, day.ts_ingest) == ("ecb", "EUR", 7)
    assert day.ts_event == to_time_us(datetime(2026, 11, 27, tzinfo=UTC))
    assert day.currencies == ("IDR", "JPY", "USD")
    assert day.rates == ("17487.21", "171.94", "1.0842")


def test_a_historical_file_has_many_days_in_the_same_shape() -> None:
    """Hist and hist-90d are written on one line, newest first, with either quotation mark."""
    days = parse(daily(FRIDAY + THURSDAY))
    assert [day.rates[-1] for day in days] == ["1.0800", "1.0842"]


def test_a_day_printed_otherwise_is_the_same_fact_and_a_corrected_one_is_not() -> None:
    """A daily and a historical file of one day must not be two facts; a correction must be one."""
    swapped = """<Cube time="2026-11-27"><Cube currency="IDR" rate="17487.21"/>
        <Cube currency="USD" rate="1.0842"/><Cube currency="JPY" rate="171.94"/></Cube>"""
    [first], [again] = parse(daily()), parse(daily(swapped))
    [corrected] = parse(daily(FRIDAY.replace("1.0842", "1.0843")))
    assert first == again
    assert corrected.event_id != first.event_id


WITH_ENTITY = daily("<Cube time='2026-11-27'><Cube currency='USD' rate='&a;'/></Cube>").replace(
    b"?>", b'?><!DOCTYPE x [<!ENTITY a "1.1">]>', 1
)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Bad gateway</html>",
        b"not xml",
        daily(""),
        daily("<Cube time='27 November 2026'/>"),
        daily("<Cube time='2026-11-27'><Cube currency='USD' rate='N/A'/></Cube>"),
        daily("<Cube time='2026-11-27'><Cube currency='USD' rate='0'/></Cube>"),
        daily("<Cube time='2026-11-27'><Cube currency='USD' rate='-1.1'/></Cube>"),
        daily("<Cube time='2026-11-27'><Cube currency='US$' rate='1.1'/></Cube>"),
        daily("<Cube time='2026-11-27'><Cube rate='1.1'/></Cube>"),
        daily("<Cube time='2026-11-27'><Cube currency='USD' rate='1'/><Cube currency='USD'"
              " rate='1'/></Cube>"),
        daily(FRIDAY + FRIDAY),
        daily(FRIDAY)[:-40],
        WITH_ENTITY,
        WITH_ENTITY.decode().replace("UTF-8", "UTF-16").encode("utf-16"),
    ],
)  # fmt: skip
def test_no_such_xml_is_refused_whole(body: bytes) -> None:
    """Half a table would value the rest of the year by older rates, and nobody would know."""
    with pytest.raises(SourceMalformedError) as refused:
        parse(body)
    assert URL in str(refused.value)
