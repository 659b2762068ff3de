"""Pictures and tables in an asset's metadata."""

import base64
import re
from decimal import Decimal
from xml.etree import ElementTree as ET

from crypto_platform.assets.charts import draw_bars, draw_line


def test_a_chart_is_a_picture_from_zero_with_its_last_and_largest_value_in_words() -> None:
    """Dagster's UI shows an image in Markdown only as a data: URL; a line alone has no scale."""
    text = draw_line([1.0, 20_000.0, 10_000.0], title="stored a minute", unit="records").value
    found = re.match(r"!\[stored a minute\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", text)
    assert found is not None
    svg = ET.fromstring(base64.b64decode(found[1]))  # noqa: S314 - our own picture
    [line] = [element for element in svg if element.tag.endswith("polyline")]
    # 360 x 72 with a margin of 4: the largest at the top, half of it in the middle
    assert line.attrib["points"] == "4.0,68.0 180.0,4.0 356.0,36.0"
    assert text.endswith("stored a minute: 10,000 records at last, 20,000 at most")


def test_a_chart_of_nothing_but_zeros_lies_on_its_ground() -> None:
    """A feed that rests must not end its reports with a division by zero."""
    assert "0 s at last, 0 at most" in draw_line([0.0, 0.0], title="wait", unit="s").value


def test_bars_stand_between_the_lowest_and_the_highest_price() -> None:
    """On a scale from zero every market is a straight line."""
    eight, nine, ten, twelve = map(Decimal, (8, 9, 10, 12))
    bars = [(ten, twelve, eight, nine), (nine, ten, nine, ten)]
    text = draw_bars(bars, title="BTC-USD").value
    picture = re.search(r"base64,([A-Za-z0-9+/=]+)", text)
    assert picture is not None
    svg = ET.fromstring(base64.b64decode(picture[1]))  # noqa: S314 - our own picture
    paths = [each.attrib["d"] for each in svg if each.tag.endswith("path")]
    assert paths == [
        "M92.0 4.0V68.0",
        "M92.0 35.5V52.5",
        "M268.0 36.0V52.0",
        "M268.0 51.5V36.5",
    ]
    assert text.endswith("BTC-USD: 10 at last, 8 to 12")


def test_a_price_that_does_not_move_is_drawn_too() -> None:
    """A market of one trade must not end its report with a division by zero."""
    five = Decimal(5)
    assert draw_bars([(five, five, five, five)], title="x").value.endswith("x: 5 at last, 5 to 5")
