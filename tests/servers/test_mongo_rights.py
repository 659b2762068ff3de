"""Who may do what in MongoDB, tried and not only granted."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from crypto_platform.feeds.quotes import QUOTES
from tests.fault_steps import assert_whole, numbered_quotes
from tests.platform_harness import Platform

NOT_AUTHORIZED = 13
ELSEWHERE = "somebody_elses"

Command = Mapping[str, Any]

CHANGES_USERS: tuple[Command, ...] = (
    {"createUser": "guest", "pwd": "x", "roles": []},
    {"grantRolesToUser": "loader", "roles": [{"role": "root", "db": "admin"}]},
    {"usersInfo": 1},
)
CHANGES_RULES: tuple[Command, ...] = (
    {"collMod": "quotes", "validator": {}},
    {"collMod": "kafka_offset", "validationLevel": "off"},
)
WRITES: tuple[Command, ...] = (
    {"insert": "quotes", "documents": [{"_id": "mine"}]},
    {"update": "kafka_offset", "updates": [{"q": {}, "u": {"$set": {"epoch": 0}}}]},
    {"delete": "quotes", "deletes": [{"q": {}, "limit": 0}]},
    {"create": "mine"},
    {"drop": "quotes"},
    {"dropIndexes": "quotes", "index": "*"},
    {"dropDatabase": 1},
)
MUST_NOT = {
    "analyst": (*WRITES, *CHANGES_RULES, *CHANGES_USERS),
    "loader": ({"dropDatabase": 1}, *CHANGES_RULES, *CHANGES_USERS),
    "migrator": CHANGES_USERS,
}


@pytest.fixture
def clients(platform: Platform) -> Iterator[Mapping[str, MongoClient[dict[str, Any]]]]:
    """Each role as it logs in."""
    urls = {name: getattr(platform.settings.mongo, f"{name}_url") for name in MUST_NOT}
    opened = {
        name: MongoClient[dict[str, Any]](url.get_secret_value()) for name, url in urls.items()
    }
    yield opened
    for client in opened.values():
        client.close()


def test_each_role_is_refused_what_is_not_its_part(
    platform: Platform, clients: Mapping[str, MongoClient[dict[str, Any]]]
) -> None:
    """Whoever has the password of one role must not have the rights of the next."""
    quotes = numbered_quotes(1, 3)
    platform.publish(QUOTES, quotes)
    platform.load_both()
    for role, commands in MUST_NOT.items():
        for command in commands:
            assert refusal(clients[role], platform.name, command) == NOT_AUTHORIZED, (role, command)
    assert_whole(platform, quotes)


@pytest.mark.parametrize("role", MUST_NOT)
def test_no_role_reaches_into_another_database(
    clients: Mapping[str, MongoClient[dict[str, Any]]], role: str
) -> None:
    """A server is often shared with others."""
    client = clients[role]
    assert refusal(client, ELSEWHERE, {"find": "theirs"}) == NOT_AUTHORIZED
    insert = {"insert": "theirs", "documents": [{"_id": 1}]}
    assert refusal(client, ELSEWHERE, insert) == NOT_AUTHORIZED
    assert refusal(client, "admin", {"shutdown": 1}) == NOT_AUTHORIZED


def refusal(client: MongoClient[dict[str, Any]], database: str, command: Command) -> int | None:
    """The code with which a command is refused; None where it is done."""
    try:
        client[database].command(dict(command))
    except OperationFailure as error:
        return error.code
    return None
