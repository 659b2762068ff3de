"""How the commands of README.md and docs/ are run by `make test-docs`: all but a few, and how.

Here: which are not run, why, and what tries their like; what stands in for what a fresh stack does
not have; which exit codes are answers. Not here: running them (tests/servers/test_documents.py, and
those of tutorials, test_tutorials.py).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tests.documents import TUTORIALS, Documented, list_commands


@dataclass(frozen=True, kw_only=True)
class NotRun:
    """Commands of one page that begin alike.

    Attributes:
        begins: Their first words.
        why: What they need, or what they would do.
        instead: The test that runs their like; None where there is none.
    """

    page: str
    begins: str
    why: str
    instead: str | None = None

    def matches(self, command: Documented) -> bool:
        """Whether it is one of these."""
        return command.page == self.page and command.text.startswith(self.begins)


NO_INCIDENT = "a stack that is well has no incident"
ACKNOWLEDGED = "tests/servers/test_answers.py::test_a_topic_made_again_loads_after_the_answer"
NO_REFUSED = "a stack that is well has refused nothing"
DISCARDED = (
    "tests/servers/test_answers.py::test_an_entry_is_shown_with_its_bytes_and_discarded_for_good"
)
ENGINE = "needs a Docker engine"
COMPOSE = (
    "tests/docker/test_compose.py::test_compose_starts_and_every_record_is_in_both_stores_once"
)
CLUSTER = "needs a Kubernetes cluster"
OBJECTS = "tests/unit/test_kubernetes.py::test_kubernetes_takes_every_object"
SECRETS = "tests/unit/test_kubernetes.py::test_the_documents_secrets_are_those_that_are_asked_for"
MACHINE = "needs root, and installs into the machine"
UNIT = "tests/unit/test_service_unit.py::test_the_command_of_the_unit_can_be_typed"

NOT_RUN = (
    NotRun(
        page="README.md",
        begins="make up  ",
        why="runs until Ctrl-C; the detached one is run",
        instead="tests/servers/test_stack_up.py::test_nothing_outlives_a_clean_stop",
    ),
    NotRun(page="README.md", begins="make test", why="runs all tests: the public CI does"),
    NotRun(
        page="docs/api.md",
        begins="curl -sN",
        why="a stream: runs until Ctrl-C",
        instead="tests/unit/test_api_streams.py::test_a_newcomer_gets_what_there_is_then_what_comes",
    ),
    NotRun(page="docs/deployment.md", begins="docker", why=ENGINE, instead=COMPOSE),
    NotRun(page="docs/deployment.md", begins="kubectl", why=CLUSTER, instead=SECRETS),
    NotRun(page="docs/deployment.md", begins="TLS=", why=CLUSTER, instead=SECRETS),
    NotRun(page="docs/deployment.md", begins="MTLS=", why=CLUSTER, instead=SECRETS),
    NotRun(page="docs/deployment.md", begins="helm", why=CLUSTER, instead=OBJECTS),
    NotRun(
        page="docs/operations.md",
        begins="crypto-platform incident ack",
        why=NO_INCIDENT,
        instead=ACKNOWLEDGED,
    ),
    NotRun(
        page="docs/runbook.md",
        begins="crypto-platform incident ack",
        why=NO_INCIDENT,
        instead=ACKNOWLEDGED,
    ),
    NotRun(
        page="docs/runbook.md",
        begins="crypto-platform quarantine show",
        why=NO_REFUSED,
        instead=DISCARDED,
    ),
    NotRun(
        page="docs/runbook.md",
        begins="crypto-platform quarantine discard",
        why=NO_REFUSED,
        instead=DISCARDED,
    ),
    *(
        NotRun(page="docs/service.md", begins=begins, why=MACHINE, instead=UNIT)
        for begins in ("useradd", "git", "install", "cd", "chown", "cp", "systemctl")
    ),
    NotRun(
        page="docs/upgrading.md",
        begins="git pull",
        why="needs a newer version",
        instead="tests/servers/test_upgrade.py::test_a_data_folder_of_an_earlier_release_is_taken_over",
    ),
)


def find_reason(command: Documented) -> NotRun | None:
    """Why a command is not run; None where it is."""
    return next((row for row in NOT_RUN if row.matches(command)), None)


COMMENT = re.compile(r"\s{2,}# .*$")

STAND_INS = (
    # venues and prices that no test may ask
    (r"\bcoingecko\b", "simulated"),
    (r"\b(coinbase|kraken)\b", "simulated_exchange"),
    # times: of the day that was read as history, of now, of the hour that Kafka has
    (r"2026-01-01 --to 2026-01-31", "{yesterday} --to {yesterday}"),
    (r"2026-01-31T14:00 --to 2026-01-31T15:00", "{yesterday}T14:00 --to {yesterday}T15:00"),
    (r"2026-01-31T14:30", "{now}"),
    (r"2026-01-31-10:00( --to |\.\.\.)2026-01-31-12:00", r"{hour}\g<1>{hour}"),
    (r"--year 2026", "--year {year}"),
    # the only interval that the simulated exchange is asked for
    (r"--interval 1h --from 2026-01-01", "--interval 1m --from {yesterday}"),
    # places
    (r"/mnt/backups/2026-01-31", "{folder}/backup"),
    (r"/mnt/backups/…", "{folder}/backup_before"),
    (r"http://127\.0\.0\.1:23115", "{api}"),
    # the service's user and folders
    (
        r"^sudo -u crypto-platform /opt/crypto-platform/(.*) /var/lib/crypto-platform$",
        r"{folder}/\1 {folder}/data",
    ),
    (r"ck_1f0c9a64e2b7d350_…", "{key}"),
    # a record that is there
    (r"simulated:bitcoin:USD:1795401337537000:3dcfa30a6f4648bb", "{event_id}"),
    (r"55cbe9f7-3b11-421c-b96d-abb56f0c644f", "{topic_id}"),
    (r"""(Part\('market.quotes', 1\), |"\$(?:lte|gt)": )690""", r"\g<1>{offset}"),
    # nobody is there to say yes, or to press Ctrl-C
    (r"^(crypto-platform prove)$", r"\1 --yes --seconds 20"),
    (r"^(crypto-platform restore .*--from (?!.*--dry-run).*)$", r"\1 --yes"),
    (r"^(crypto-platform gaps .*--repair)$", r"\1 --yes --symbol BTC-USD --day {yesterday}"),
    (r"^(crypto-platform retention)$", r"\1 --yes"),
    (r"^(crypto-platform load .*)$", r"\1 --drain"),
    (r"^(crypto-platform up)$", r"\1 --detach"),
)

ANSWERS = (
    *("crypto-platform status", "crypto-platform alerts list", "crypto-platform gaps"),
    "sudo -u crypto-platform /opt/crypto-platform/.venv/bin/crypto-platform status",
)
"""Their exit code 1 says what they found."""


def strip_comment(command: str) -> str:
    """Without the comment at its end."""
    return command if "\n" in command else COMMENT.sub("", command)


def put_in(command: str, values: Mapping[str, str]) -> str:
    """The command with what stands in for what this stack does not have."""
    typed = strip_comment(command)
    for pattern, instead in STAND_INS:
        typed = re.sub(pattern, instead.format(**values), typed)
    return typed


ONCE = ("crypto-platform restore ",)
"""Take a minute each: where a page repeats one, it is run at its first place."""


def list_run() -> dict[str, list[Documented]]:
    """The commands that are run, by page."""
    run: dict[str, list[Documented]] = {}
    seen: set[tuple[str, str]] = set()
    for command in list_commands():
        key = (command.page, strip_comment(command.text))
        is_repeated = command.text.startswith(ONCE) and key in seen
        if not (command.page.startswith(TUTORIALS) or find_reason(command) or is_repeated):
            run.setdefault(command.page, []).append(command)
            seen.add(key)
    return run
