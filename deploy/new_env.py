"""Write `.env` for docker-compose.yml: .env.example with fresh passwords in the empty places.

Here: making it once. Not here: changing it, for the servers keep what they were made with. The
standard library only: it runs where there is nothing but Python.
"""

import base64
import os
import secrets
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def fill(example: str, *, now: datetime) -> str:
    """Give every `NAME=` of the example a value; lines that are comments stay.

    Args:
        example: The text of .env.example.
        now: Its hour becomes the first hour of the load partitions.

    Raises:
        ValueError: A name of which it is not known what its value looks like.
    """
    lines = (_fill_line(line, now) for line in example.splitlines())
    return "".join(f"{line}\n" for line in lines)


def _fill_line(line: str, now: datetime) -> str:
    name, equals, value = line.partition("=")
    if line.startswith("#") or not equals or value:
        return line
    if name.endswith(("_PASSWORD", "_SECRET")):
        return f"{line}{secrets.token_urlsafe(24)}"
    if name == "MONGO_KEY":
        return f"{line}{base64.b64encode(secrets.token_bytes(96)).decode()}"
    if name == "KAFKA_CLUSTER_ID":
        random = uuid.uuid4().bytes
        # a first bit of 0: Kafka's tools take an id with a leading - for an option
        first = bytes([random[0] & 0x7F])
        return f"{line}{base64.urlsafe_b64encode(first + random[1:]).decode().rstrip('=')}"
    if name == "CRYPTO_PLATFORM_INSTALLED_AT":
        hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        return f"{line}{hour.isoformat()}"
    message = f"{name}: not known what to fill in"
    raise ValueError(message)


def main() -> int:
    """Write the file; 1 where there is one already."""
    target = ROOT / ".env"
    text = fill((ROOT / ".env.example").read_text("utf-8"), now=datetime.now(UTC))
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        sys.stderr.write(f"{target} is there already; the servers were made with its passwords\n")
        return 1
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    sys.stdout.write(f"written: {target}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
