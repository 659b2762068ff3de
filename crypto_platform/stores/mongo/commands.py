"""A database command as text, for a person at the command line.

Here: extended JSON in, extended JSON out. What may be done is the user's right on the server; this
adds none. Not here: anything the platform itself asks.

Source: MongoDB Extended JSON v2 specification.
"""

from collections.abc import Sequence
from typing import Any, cast

from bson import json_util
from bson.errors import BSONError

from crypto_platform.errors import ConfigurationError
from crypto_platform.stores.mongo.connection import Connection
from crypto_platform.stores.mongo.errors import translating

COMMAND_BYTES_MAX = 1024 * 1024


def run_command(
    url: str,
    database: str,
    text: str,
    *,
    timeout_s: float = 30.0,
    plain_text_hosts: Sequence[str] = (),
) -> str:
    """Run one database command and return the server's answer.

    Args:
        url: mongodb://…, of the role that is to act.
        database: Where.
        text: A command in extended JSON, its name first: {"find": "quotes", "limit": 1}.
        timeout_s: Longest wait.
        plain_text_hosts: Members beyond this machine that need no encryption.

    Returns:
        Relaxed extended JSON, indented; cluster times and signatures left out.

    Raises:
        ConfigurationError: The text is no command.
        StoreUnavailableError, StoreRefusedError: As the server says.
    """
    command = parse_command(text)
    connection = Connection(url, database, timeout_s=timeout_s, plain_text_hosts=plain_text_hosts)
    try:
        with translating(f"run {next(iter(command))}"):
            answer = connection.client.get_database(database).command(command)
    finally:
        connection.close()
    shown = {key: value for key, value in answer.items() if key not in _PROTOCOL_KEYS}
    return json_util.dumps(shown, json_options=json_util.RELAXED_JSON_OPTIONS, indent=2)


_PROTOCOL_KEYS = frozenset({"$clusterTime", "operationTime", "$db", "$readPreference"})


def parse_command(text: str) -> dict[str, Any]:
    """The command as the driver takes it.

    Raises:
        ConfigurationError: Too long, not extended JSON, or not an object with a name.
    """
    example = 'for example \'{"find": "quotes", "limit": 1}\''
    if len(text.encode("utf-8", "replace")) > COMMAND_BYTES_MAX:
        message = f"a command of more than {COMMAND_BYTES_MAX} bytes"
        raise ConfigurationError(message)
    try:
        command = json_util.loads(text)
    except (ValueError, TypeError, BSONError, RecursionError) as error:
        message = f"not a command in extended JSON ({error}); {example}"
        raise ConfigurationError(message) from None
    if not isinstance(command, dict) or not command:
        message = f"a command is an object whose first key names it, {example}"
        raise ConfigurationError(message)
    return cast("dict[str, Any]", command)
