"""What Grafana and Prometheus are provisioned with: figures that the API really gives."""

import json
import re
from typing import Any

import yaml

from crypto_platform.serving.status_metrics import METRICS, PREFIX
from tests.api_harness import FakeStore, TestClient, serving
from tests.compose_file import ROOT, SERVICES

GRAFANA = ROOT / "deploy" / "grafana"
BOARD: dict[str, Any] = json.loads((GRAFANA / "boards" / "platform.json").read_text("utf-8"))


def read_metrics(client: TestClient) -> dict[str, set[str]]:
    """Name -> labels of all that has a value."""
    assert client.get("/health").status_code == 200
    found: dict[str, set[str]] = {}
    for line in client.get("/metrics").text.splitlines():
        if match := re.match(r"(\w+)(?:\{(.*)\})? ", line):
            found[match[1]] = set(re.findall(r"(\w+)=", match[2] or ""))
    return found


def test_every_panel_asks_for_figures_that_there_are() -> None:
    """A panel of a metric that was renamed stays empty, which looks like a calm day."""
    with serving(FakeStore()) as client:
        metrics = read_metrics(client)
    # those of the platform have no value without servers
    metrics |= {PREFIX + metric.name: set(metric.labels) for metric in METRICS}
    # Prometheus' own, of the job that reads the API
    metrics["up"] = {"job"}
    assert BOARD["panels"]
    for panel in BOARD["panels"]:
        [target] = panel["targets"]
        used = re.findall(r"crypto_platform_\w+|\bup\b", target["expr"])
        assert used
        assert set(used) <= set(metrics), panel["title"]
        labels = set[str]().union(*(metrics[name] for name in used))
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels, panel["title"]


def test_what_grafana_is_given_fits_together() -> None:
    """A board whose source bears another name opens with an error in every panel."""
    [source] = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    [provider] = yaml.safe_load((GRAFANA / "provisioning/dashboards/boards.yaml").read_text())[
        "providers"
    ]
    assert {panel["datasource"]["uid"] for panel in BOARD["panels"]} == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"
    mounts = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    assert mounts["./deploy/grafana/boards"] == provider["options"]["path"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/platform.json"


NEEDED = (
    *("good", "kafka_up", "open_incidents", "audit_faults", "load_quarantined_records"),
    *("disk_left_seconds", "load_lag_seconds", "load_record_age_seconds", "source_failures"),
)
"""What decides whether somebody gets up."""


def test_the_board_shows_whether_the_promise_holds() -> None:
    """One of answers a second alone looks well while nothing is loaded."""
    asked = {
        name
        for panel in BOARD["panels"]
        for name in re.findall(rf"{PREFIX}(\w+)", panel["targets"][0]["expr"])
    }
    assert [name for name in NEEDED if name not in asked] == []


def test_no_panel_lies_on_another() -> None:
    """Grafana moves what overlaps, and the row of what matters is torn apart."""
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in BOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
