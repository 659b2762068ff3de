"""DAGSTER_HOME: the repository's dagster.yaml, completed by where runs work (dagster.run_launcher).

Here: what is written there, for the embedded stack by `up`, for containers by
`python -m crypto_platform.stack.home DIR`. Not here: what Dagster's processes are (dagster.py); the
launchers, which are Dagster's own (dagster-docker, dagster-k8s). Nothing of Dagster is imported.
"""

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import click
import yaml

from crypto_platform.errors import ConfigurationError, PlatformError, StackError
from crypto_platform.settings import (
    ENV_CONFIG,
    ENV_DATA_DIR,
    ENV_PREFIX,
    DagsterSettings,
    DockerRunSettings,
    KubernetesRunSettings,
    load_settings,
    process_environment,
)

IMAGE_HOME = "/var/lib/dagster"
"""DAGSTER_HOME of the image, as its Dockerfile has it."""

IMAGE_USER = 10001
_KEPT_VARIABLES = (
    ENV_DATA_DIR,
    ENV_CONFIG,
    f"{ENV_PREFIX}DAGSTER__RUN_LAUNCHER",
    f"{ENV_PREFIX}DAGSTER__DOCKER__",
)
"""How names begin that no run needs: places of another container, and how runs are launched."""

_CA_FOLDER = "/etc/crypto_platform"
_STOP_S = 30
_KEEP_JOBS_S = 600
"""Of a job that has ended; ingest makes one a minute."""


def write_home(home: Path, settings: DagsterSettings, *, variables: Collection[str]) -> None:
    """Write dagster.yaml and workspace.yaml, anew at every start.

    Args:
        home: Made where it is not there; its other content stays.
        settings: Which launcher, and how it is set.
        variables: Names of the launching process' environment; ours are handed on to containers.

    Raises:
        ConfigurationError: The launcher cannot work as it is set. Nothing was written.
    """
    launcher = plan_run_launcher(settings, variables=variables)
    text = find_yaml("dagster.yaml").read_text("utf-8")
    if launcher is not None:
        text += "\n" + yaml.safe_dump({"run_launcher": launcher}, sort_keys=False)
    home.mkdir(exist_ok=True)
    for name, content in (
        ("dagster.yaml", text),
        ("workspace.yaml", find_yaml("workspace.yaml").read_text("utf-8")),
    ):
        # in the image they are links to files that nobody may change
        (home / name).unlink(missing_ok=True)
        (home / name).write_text(content, "utf-8")


def find_yaml(name: str) -> Path:
    """A YAML file of the repository: beside the package in a checkout, shared data of a wheel.

    Raises:
        StackError: In neither place.
    """
    package = Path(__file__).parent.parent
    for folder in (package.parent, Path(sys.prefix) / "share" / "crypto_platform"):
        if (folder / name).is_file():
            return folder / name
    message = f"{name} is missing beside {package}: install the package again"
    raise StackError(message)


def plan_run_launcher(
    settings: DagsterSettings, *, variables: Collection[str]
) -> dict[str, Any] | None:
    """The section `run_launcher` of dagster.yaml; None leaves it to Dagster: a process a run.

    Raises:
        ConfigurationError: No image is named; says which setting.
    """
    if settings.run_launcher == "process":
        return None
    if settings.run_launcher == "docker":
        return {
            "module": "dagster_docker",
            "class": "DockerRunLauncher",
            "config": _plan_docker(settings.docker, variables),
        }
    return {
        "module": "dagster_k8s.launcher",
        "class": "K8sRunLauncher",
        "config": _plan_kubernetes(settings.kubernetes),
    }


def _plan_docker(settings: DockerRunSettings, variables: Collection[str]) -> dict[str, Any]:
    """Containers as those of docker-compose.yml; of the environment names only, no values."""
    ours = (name for name in variables if name.startswith(ENV_PREFIX))
    handed_on = [name for name in ours if not name.startswith(_KEPT_VARIABLES)]
    limits: dict[str, Any] = {
        "auto_remove": True,
        "init": True,
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "tmpfs": {"/tmp": ""},  # noqa: S108 (a memory of the container's own)
        "stop_timeout": _STOP_S,
    }
    if settings.home_volume is None:
        limits["tmpfs"][f"{IMAGE_HOME}/storage"] = "mode=1777"
    else:
        limits["volumes"] = [f"{settings.home_volume}:{IMAGE_HOME}"]
    return {
        "image": _need_image(settings.image, "docker"),
        "networks": list(settings.networks),
        "env_vars": sorted(handed_on),
        "container_kwargs": limits,
    }


def _plan_kubernetes(settings: KubernetesRunSettings) -> dict[str, Any]:
    """Jobs whose addresses and passwords come from config maps and secrets, by name."""
    security = {
        "allow_privilege_escalation": False,
        "capabilities": {"drop": ["ALL"]},
        "read_only_root_filesystem": True,
    }
    pod_security = {
        "run_as_non_root": True,
        "run_as_user": IMAGE_USER,
        "run_as_group": IMAGE_USER,
        "seccomp_profile": {"type": "RuntimeDefault"},
    }
    volumes: list[dict[str, Any]] = [
        {"name": "tmp", "empty_dir": {}},
        {"name": "storage", "empty_dir": {}},
    ]
    mounts: list[dict[str, Any]] = [
        {"name": "tmp", "mount_path": "/tmp"},  # noqa: S108 (as above)
        {"name": "storage", "mount_path": f"{IMAGE_HOME}/storage"},
    ]
    if settings.ca_config_map is not None:
        volumes.append({"name": "ca", "config_map": {"name": settings.ca_config_map}})
        mounts.append({"name": "ca", "mount_path": _CA_FOLDER, "read_only": True})
    return {
        "service_account_name": settings.service_account,
        "job_namespace": settings.namespace,
        "job_image": _need_image(settings.image, "kubernetes"),
        # asked for, but used by nothing: a job is told of the instance in its command
        "instance_config_map": "dagster-instance",
        "dagster_home": IMAGE_HOME,
        "env_config_maps": list(settings.config_maps),
        "env_secrets": list(settings.secrets),
        "volumes": volumes,
        "volume_mounts": mounts,
        "run_k8s_config": {
            "job_spec_config": {"ttl_seconds_after_finished": _KEEP_JOBS_S},
            "pod_spec_config": {
                "automount_service_account_token": False,
                "security_context": pod_security,
            },
            "container_config": {"security_context": security},
        },
    }


def _need_image(image: str | None, launcher: str) -> str:
    if image is None:
        message = (
            f"dagster.run_launcher is {launcher}, but dagster.{launcher}.image names no image: set "
            f"it to the one that the code server runs, for example crypto-platform:0.1.0"
        )
        raise ConfigurationError(message)
    return image


@click.command()
@click.argument("home", type=click.Path(file_okay=False, path_type=Path))
def main(home: Path) -> None:
    """Write dagster.yaml and workspace.yaml into HOME, with the launcher of the settings."""
    try:
        write_home(home, load_settings().dagster, variables=process_environment())
    except PlatformError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
