"""`config`: every setting, and no secret."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from crypto_platform.cli import main
from crypto_platform.cli.config import find_origins, list_settings
from crypto_platform.settings import Settings, load_settings

CANARY = "canary-3141592653"


def run(*words: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    ended = CliRunner().invoke(main, list(words), catch_exceptions=False)
    return ended.exit_code, ended.stdout, ended.stderr


def test_no_output_holds_a_secret(tmp_path: Path) -> None:
    """What config prints is pasted into bug reports."""
    url = f"postgresql://loader:{CANARY}@127.0.0.1:1/x"
    (tmp_path / "settings.toml").write_text(
        f'[sources.coincap]\nkey = "{CANARY}"\n[postgres]\nloader_url = "{url}"\n'
    )
    for words in (["config"], ["config", "--json"], ["sources", "list", "--json"]):
        code, out, err = run(*words, "--data-dir", str(tmp_path))
        assert code == 0, err
        assert CANARY not in out + err
    [_, out, _] = run("config", "--data-dir", str(tmp_path))
    [line] = [line for line in out.splitlines() if line.startswith("postgres.loader_url")]
    assert "(set, hidden)" in line


def test_every_setting_is_listed_with_its_description(tmp_path: Path) -> None:
    """A setting nobody can see is one nobody uses."""
    listed = {s.path: s for s in list_settings(load_settings(tmp_path, environment={}), {})}
    assert {"load.batch_records_max", "kafka.topic_prefix", "deployment"} <= set(listed)
    assert {"sources.simulated.pace_s", "sources.coincap.key"} <= set(listed)
    assert all(setting.description for setting in listed.values())
    sections = {path.partition(".")[0] for path in listed}
    assert sections == set(Settings.model_fields)


def test_a_setting_says_where_it_came_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who wonders about a value has to know which of four places to look at."""
    (tmp_path / "settings.toml").write_text("[load]\nfollow_s = 30\nbatch_wait_s = 0.2\n")
    (tmp_path / "environment").write_text("CRYPTO_PLATFORM_LOAD__STALL_S=20\n")
    monkeypatch.setenv("CRYPTO_PLATFORM_LOAD__FOLLOW_S", "40")
    origins = find_origins(tmp_path, tmp_path / "settings.toml")
    assert origins["load.follow_s"] == "CRYPTO_PLATFORM_LOAD__FOLLOW_S"
    assert origins["load.batch_wait_s"] == "settings.toml"
    assert origins["load.stall_s"] == "<data>/environment"
    assert "load.batch_records_max" not in origins


def test_json_is_one_document(tmp_path: Path) -> None:
    """Programs read it."""
    code, out, _ = run("config", "--json", "--data-dir", str(tmp_path))
    rows = {row["path"]: row for row in json.loads(out)["settings"]}
    assert code == 0
    assert rows["load.batch_records_max"]["value"] == 10_000
    assert rows["load.batch_records_max"]["origin"] == "default"


def test_a_wrong_setting_is_one_message_and_exit_1(tmp_path: Path) -> None:
    """A trace of pydantic helps nobody who mistyped a number."""
    (tmp_path / "settings.toml").write_text("[load]\nbatch_records_max = 0\n")
    code, out, err = run("config", "--data-dir", str(tmp_path))
    assert (code, out) == (1, "")
    assert "load.batch_records_max" in err
    assert "Traceback" not in err
