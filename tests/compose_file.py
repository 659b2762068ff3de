"""docker-compose.yml as compose reads it: its services, and its variables filled from a new `.env`.

Not here: its own rules (tests/unit/test_packaging.py), its services at work
(tests/servers/test_compose_services.py).
"""

import re
import runpy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE = (ROOT / ".env.example").read_text("utf-8")
NOON = datetime(2026, 11, 22, 12, 34, 56, tzinfo=UTC)
INTERPOLATION = re.compile(r"\$\{([A-Z_]+)(:[-?])?([^}]*)\}")


def environment_of(service: str) -> dict[str, str]:
    return SERVICES[service].get("environment", {})


def interpolate(text: str, values: dict[str, str]) -> str:
    """As compose does with `${NAME}`, `${NAME:-default}` and `${NAME:?problem}`."""

    def find(match: re.Match[str]) -> str:
        name, operator, rest = match.groups()
        if values.get(name):
            return values[name]
        assert operator != ":?", f"{name}: {rest}"
        return rest

    return INTERPOLATION.sub(find, text)


def filled_example(now: datetime = NOON) -> dict[str, str]:
    """What deploy/new_env.py writes."""
    fill = runpy.run_path(str(ROOT / "deploy" / "new_env.py"))["fill"]
    lines = fill(EXAMPLE, now=now).splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}
