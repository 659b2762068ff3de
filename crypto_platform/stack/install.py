"""Fetch beforehand what `up` would fetch: `python -m crypto_platform.stack.install`."""

import sys

from crypto_platform.errors import PlatformError
from crypto_platform.stack.archive import make_archive
from crypto_platform.stack.kafka import fetch_jars
from crypto_platform.stack.mongo import find_mongod
from crypto_platform.stack.postgres import find_binaries


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main() -> int:
    """Fetch Kafka's jars and look for the other servers; 1 where one is missing."""
    try:
        _say(f"kafka: {fetch_jars(_say)}")
        _say(f"its classes: {make_archive(_say) or 'not archived by this Java'}")
        _say(f"postgres: {find_binaries()}")
        _say(f"mongod: {find_mongod()}")
    except PlatformError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
