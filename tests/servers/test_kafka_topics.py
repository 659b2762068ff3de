"""How topics are made: on how many brokers, and when a record counts as kept."""

import pytest

from crypto_platform.errors import ConfigurationError
from crypto_platform.feeds.account_events import ACCOUNT_EVENTS
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.kafka.topics import create_topics
from crypto_platform.migrations.run import migrate
from crypto_platform.settings import ENV_PREFIX
from tests.platform_harness import Platform


def test_more_replicas_than_brokers_are_refused_with_what_to_do(platform: Platform) -> None:
    """Taken for an outage it would be tried again for ever."""
    settings = platform.reload(
        **{
            f"{ENV_PREFIX}KAFKA__REPLICATION_FACTOR": "3",
            f"{ENV_PREFIX}KAFKA__TOPIC_PREFIX": f"{platform.name}-more.",
        }
    )
    with pytest.raises(ConfigurationError, match=r"kafka\.replication_factor is 3, but .* set it"):
        create_topics(settings, progress=lambda text: None)


def test_topics_that_have_fewer_replicas_than_are_asked_for_are_told(platform: Platform) -> None:
    """Who raised the setting would believe that a broker may be lost."""
    settings = platform.reload(**{f"{ENV_PREFIX}KAFKA__REPLICATION_FACTOR": "3"})
    lines: list[str] = []
    create_topics(settings, progress=lines.append)
    [line] = lines
    assert "kafka.replication_factor = 3" in line
    assert platform.topic(QUOTES) in line


def test_a_lone_broker_acknowledges_for_itself(platform: Platform) -> None:
    """A majority of one is one: asked for two, nothing could be published."""
    assert platform.topic_setting(QUOTES, "min.insync.replicas") == "1"


def test_what_a_migration_does_to_topics_is_told_to_who_asked(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    """Printed, it would stand in the middle of a restore's JSON."""
    settings = platform.reload(**{f"{ENV_PREFIX}KAFKA__RETENTION_HOURS": "72"})
    lines: list[str] = []
    migrate(settings, progress=lines.append)
    assert any("kept longer now" in line and platform.topic(QUOTES) in line for line in lines)
    assert capsys.readouterr().out == ""


def test_topics_come_to_keep_records_longer_but_never_shorter(platform: Platform) -> None:
    """Shortened, Kafka would remove at once what a store that is behind has not loaded."""
    lines: list[str] = []

    def ask_for(hours: int) -> str:
        lines.clear()
        settings = platform.reload(**{f"{ENV_PREFIX}KAFKA__RETENTION_HOURS": str(hours)})
        create_topics(settings, progress=lines.append)
        return platform.topic_setting(QUOTES, "retention.ms")

    assert ask_for(72) == str(72 * 3_600_000)
    [line] = lines
    assert platform.topic(QUOTES) in line

    assert ask_for(24) == str(72 * 3_600_000)
    [line] = lines
    assert "kafka.retention_hours = 24" in line
    assert platform.topic(QUOTES) in line

    assert ask_for(72) == str(72 * 3_600_000)
    assert not lines
    assert platform.topic_setting(ACCOUNT_EVENTS, "retention.ms") == "-1"
