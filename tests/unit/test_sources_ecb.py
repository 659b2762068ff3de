"""The ECB's files. The samples are made by hand in the published shape, none was fetched."""

from datetime import date
from decimal import Decimal

import pytest

from crypto_platform.errors import SourceMalformedError
from crypto_platform.sources.ecb import parse_rates_csv, parse_rates_xml

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
CSV = b"""Date,USD,JPY,RUB,
2026-11-27,1.0842,171.94,N/A,
2022-03-01,1.1162,128.60,117.201,
1999-01-04,1.1789,133.73,,
"""


def daily(days: str = FRIDAY) -> bytes:
    return ENVELOPE.format(days=days).encode()


def test_a_daily_file_is_a_table_of_one_day() -> None:
    """Units of the other currency for one euro, with the bank's digits."""
    rates = parse_rates_xml(daily(), url=URL)
    assert (rates.base, rates.source) == ("EUR", "ECB")
    assert rates.days == {
        date(2026, 11, 27): {
            "USD": Decimal("1.0842"), "JPY": Decimal("171.94"), "IDR": Decimal("17487.21"),
        }
    }  # fmt: skip
    assert rates.currencies == {"EUR", "USD", "JPY", "IDR"}


def test_a_historical_file_has_many_days_in_the_same_shape() -> None:
    """Hist and hist-90d are written on one line, newest first, with either quotation mark."""
    rates = parse_rates_xml(daily(FRIDAY + THURSDAY), url=URL)
    assert list(rates.days) == [date(2026, 11, 27), date(2026, 11, 26)]
    assert str(rates.days[date(2026, 11, 26)]["USD"]) == "1.0800"


def test_what_the_csv_does_not_quote_is_missing_not_zero() -> None:
    """N/A is not a rate; and every line ends with a comma that is no currency."""
    rates = parse_rates_csv(CSV, url=URL)
    assert rates.days[date(2026, 11, 27)] == {"USD": Decimal("1.0842"), "JPY": Decimal("171.94")}
    assert rates.days[date(2022, 3, 1)]["RUB"] == Decimal("117.201")
    assert "RUB" not in rates.days[date(1999, 1, 4)]


def test_both_forms_say_the_same() -> None:
    """Whoever changes the form must not change a value."""
    from_csv = parse_rates_csv(b"Date,USD,JPY,IDR,\n2026-11-27,1.0842,171.94,17487.21,\n", url=URL)
    assert from_csv == parse_rates_xml(daily(), url=URL)


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
        daily(FRIDAY + FRIDAY),
        daily(FRIDAY)[:-40],
        WITH_ENTITY,
        WITH_ENTITY.decode().replace("UTF-8", "UTF-16").encode("utf-16"),
    ],
)
def test_no_such_xml_is_refused_whole(body: bytes) -> None:
    """Half a table would value the rest of the year by older rates, and nobody would know."""
    with pytest.raises(SourceMalformedError) as refused:
        parse_rates_xml(body, url=URL)
    assert URL in str(refused.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"<html>",
        b"Date,USD,\n",
        b"Date,USD,\n2026-11-27,1.1\n",
        b"Date,USD,\n27.11.2026,1.1,\n",
        b'Date,USD,\n2026-11-27,"1,1",\n',
        b"Date,USD,USD,\n2026-11-27,1.1,1.1,\n",
        b"Date,USD,\n2026-11-27,1.1,\n2026-11-27,1.2,\n",
        b"Date,USD,\n2026-11-27,1.1,7\n",
    ],
)
def test_no_such_csv_is_refused_whole(body: bytes) -> None:
    """A column that moved would give the yen the dollar's rate."""
    with pytest.raises(SourceMalformedError):
        parse_rates_csv(body, url=URL)
