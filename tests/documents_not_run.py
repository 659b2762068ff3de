"""Which documented commands `make test-docs` does not run, why, and what tries their like.

All others of README.md and docs/ are run (tests/servers/test_documents.py, test_tutorials.py).
"""

from dataclasses import dataclass

from tests.documents import Documented


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
ENGINE = "needs a Docker engine"
COMPOSE = (
    "tests/docker/test_compose.py::test_compose_starts_and_every_record_is_in_both_stores_once"
)
CLUSTER = "needs a Kubernetes cluster"
OBJECTS = "tests/unit/test_kubernetes.py::test_kubernetes_takes_every_object"
SECRETS = "tests/unit/test_kubernetes.py::test_the_documents_secrets_are_those_that_are_asked_for"
MACHINE = "needs root, and installs into the machine"
UNIT = "tests/unit/test_service_unit.py::test_the_command_of_the_unit_can_be_typed"
PROGRAM = "needs a client of Kafka's that may not be there"

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
    NotRun(page="docs/service.md", begins="", why=MACHINE, instead=UNIT),
    NotRun(page="docs/tracing.md", begins="kcat", why=PROGRAM),
    NotRun(page="docs/tracing.md", begins="kafka-console-consumer.sh", why=PROGRAM),
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
