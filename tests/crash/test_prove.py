"""`prove` on a running platform: what the README promises, as a script types it.

Slow (about two minutes): `make test-crash`.
"""

import json

import pytest

from crypto_platform.stack.processes import find_marked
from tests.crash_harness import RunningPlatform

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_platform_hit_for_half_a_minute_is_proved_whole(running: RunningPlatform) -> None:
    """Faults 1 to 3, 7 to 10, 17, 18, 25, one after another before the last has healed."""
    before = {process.pid for process in find_marked(running.data_dir)}
    done = running.command("prove", "--seconds", "30", "--seed", "7", "--yes", "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    document = json.loads(done.stdout)
    kills = document["kills"]
    assert document["proved"] is True
    assert document["seed"] == 7
    assert len({kill["target"] for kill in kills}) == len(kills) == 3
    assert {kill["pid"] for kill in kills} <= before
    assert all(kill["away_s"] is not None for kill in kills)
    assert document["audit"]["whole"] is True
    counts = document["audit"]["feeds"]["quotes"]
    assert 0 < counts["kafka"]["records"] == counts["postgres"]["records"]
    assert counts["kafka"]["records"] == counts["mongo"]["records"]
    assert done.stderr.splitlines()[-1].startswith("proved: 3 kills in 30 s; ")
