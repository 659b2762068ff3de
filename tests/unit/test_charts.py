"""Pictures and tables in an asset's metadata."""

import base64
import re
from xml.etree import ElementTree as ET

from crypto_platform.assets.charts import draw_line


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
