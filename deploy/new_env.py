"""Write `.env` for docker-compose.yml: .env.example with fresh passwords in the empty places.

Here: making it once, and adding what a newer version asks for. Not here: changing what is there,
for the servers keep what they were made with. The standard library only: it runs where there is
nothing but Python.
"""

import base64
import hashlib
import hmac
import os
import secrets
import sys
import uuid
from collections.abc import Mapping
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
    made = _make_values(now)
    lines = (_fill_line(line, made) for line in example.splitlines())
    return "".join(f"{line}\n" for line in lines)


def find_missing(example: str, env: str) -> str:
    """The lines of the example whose empty names an older `.env` does not have."""
    known = {line.partition("=")[0] for line in env.splitlines()}
    asked = [line for line in example.splitlines() if line.endswith("=") and line[0] != "#"]
    return "".join(f"{line}\n" for line in asked if line[:-1] not in known)


def _make_values(now: datetime) -> dict[str, str]:
    """All that is not just any secret, by name."""
    # a first bit of 0: Kafka's tools take an id with a leading - for an option
    random = uuid.uuid4().bytes
    cluster_id = bytes([random[0] & 0x7F]) + random[1:]
    company_secret = secrets.token_urlsafe(32)
    signature = hmac.new(company_secret.encode(), b"operator", hashlib.sha256)
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return {
        "MONGO_KEY": base64.b64encode(secrets.token_bytes(96)).decode(),
        "COMPANY_SECRET": company_secret,
        "COMPANY_OPERATOR_KEY": f"operator.{signature.hexdigest()}",
        "API_OPERATOR_KEY": secrets.token_urlsafe(24),
        "KAFKA_CLUSTER_ID": base64.urlsafe_b64encode(cluster_id).decode().rstrip("="),
        "CRYPTO_PLATFORM_INSTALLED_AT": hour.isoformat(),
    }


def _fill_line(line: str, made: Mapping[str, str]) -> str:
    name, equals, value = line.partition("=")
    if line.startswith("#") or not equals or value:
        return line
    if name in made:
        return f"{line}{made[name]}"
    if name.endswith(("_PASSWORD", "_SECRET")):
        return f"{line}{secrets.token_urlsafe(24)}"
    message = f"{name}: not known what to fill in"
    raise ValueError(message)


def main() -> int:
    """Write the file, or add to it what it lacks; nothing that is there is changed."""
    target = ROOT / ".env"
    example = (ROOT / ".env.example").read_text("utf-8")
    now = datetime.now(UTC)
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        older = target.read_text("utf-8")
        added = fill(find_missing(example, older), now=now)
        with target.open("a", encoding="utf-8") as file:
            file.write(added if older.endswith("\n") else f"\n{added}")
        names = ", ".join(line.partition("=")[0] for line in added.splitlines())
        sys.stdout.write(f"{target} is there already; added: {names or 'nothing'}\n")
        return 0
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(fill(example, now=now))
    sys.stdout.write(f"written: {target}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
