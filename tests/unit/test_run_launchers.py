"""What dagster.yaml says of where runs work, and what the launchers make of it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import kubernetes_validate
import pytest
import yaml
from dagster._config import process_config
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.launcher import LaunchRunContext, RunLauncher
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.storage.dagster_run import DagsterRun
from dagster._serdes.config_class import ConfigurableClassData
from dagster_docker import DockerRunLauncher
from dagster_k8s import K8sRunLauncher
from kubernetes.client import ApiClient, V1Job

from crypto_platform.errors import ConfigurationError
from crypto_platform.settings import DagsterSettings, load_settings
from crypto_platform.stack.home import write_home
from crypto_platform.stack.plan import choose_parts
from tests.compose_file import ROOT

IMAGE = "registry.example/crypto-platform:0.1.0"
VARIABLES = (
    "CRYPTO_PLATFORM_POSTGRES__LOADER_URL",
    "CRYPTO_PLATFORM_KAFKA__BOOTSTRAP_SERVERS",
    "CRYPTO_PLATFORM_DATA_DIR",
    "CRYPTO_PLATFORM_DAGSTER__RUN_LAUNCHER",
    "CRYPTO_PLATFORM_DAGSTER__DOCKER__IMAGE",
    "PATH",
)
CANARY = "canary-2718281828"
KUBERNETES = "1.34"

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: test}}]
clusters: [{name: test, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: test, user: {}}]
"""


def settings_of(**values: object) -> DagsterSettings:
    return DagsterSettings.model_validate(values)


def read_home(home: Path, settings: DagsterSettings) -> dict[str, Any]:
    """The dagster.yaml that is written there."""
    write_home(home, settings, variables=VARIABLES)
    return yaml.safe_load((home / "dagster.yaml").read_text("utf-8"))


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance in files, for launchers hand it on by reference."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


def queue_run(instance: dg.DagsterInstance) -> DagsterRun:
    """A run of our definitions, as the daemon takes it out of its queue."""

    @dg.job
    def ingest_live() -> None: ...

    repository = RepositoryPythonOrigin(
        executable_path="/opt/venv/bin/python",
        code_pointer=ModuleCodePointer("crypto_platform.definitions", "defs", None),
        entry_point=["dagster"],
    )
    origin = JobPythonOrigin(job_name=ingest_live.name, repository_origin=repository)
    return instance.create_run_for_job(ingest_live, job_code_origin=origin)


def launch(launcher: RunLauncher, instance: dg.DagsterInstance) -> None:
    launcher.register_instance(instance)
    launcher.launch_run(LaunchRunContext(dagster_run=queue_run(instance), workspace=None))


def test_by_default_dagster_yaml_is_the_repositorys_own(tmp_path: Path) -> None:
    """Dagster's own launcher starts a process beside the code server."""
    assert "run_launcher" not in read_home(tmp_path, settings_of())
    written = (tmp_path / "dagster.yaml").read_bytes()
    assert written == (ROOT / "dagster.yaml").read_bytes()


def test_a_home_of_links_is_written_anew(tmp_path: Path) -> None:
    """In the image they point to files of the image, which are everybody's."""
    shared = tmp_path / "shared.yaml"
    shared.write_text("old: true\n", "utf-8")
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").symlink_to(shared)
    read = read_home(home, settings_of(run_launcher="docker", docker={"image": IMAGE}))
    assert read["run_launcher"]["class"] == "DockerRunLauncher"
    assert shared.read_text("utf-8") == "old: true\n"
    assert "run_launcher" not in read_home(home, settings_of())


@pytest.mark.parametrize("launcher", ["docker", "kubernetes"])
def test_a_launcher_without_an_image_is_refused(launcher: str, tmp_path: Path) -> None:
    """Dagster would say so at the first run, every minute, in a log."""
    with pytest.raises(ConfigurationError, match=rf"dagster\.{launcher}\.image"):
        read_home(tmp_path, settings_of(run_launcher=launcher))
    assert not (tmp_path / "dagster.yaml").exists()


def test_the_embedded_stack_runs_no_containers(tmp_path: Path) -> None:
    """They would look for its servers on a loopback of their own."""
    variables = {"CRYPTO_PLATFORM_DAGSTER__RUN_LAUNCHER": "docker"}
    settings = load_settings(tmp_path, environment=variables, environment_file=False)
    with pytest.raises(ConfigurationError, match="which no container reaches"):
        choose_parts(settings, only=None, migrate=True, sources="auto")


class RecordingDocker:
    """Stands in for the engine's client: takes what would be created."""

    def __init__(self) -> None:
        self.created: dict[str, Any] = {}
        self.joined: list[str] = []
        self.id = "c0ffee"
        self.containers = self.networks = self

    def get(self, network: str) -> "RecordingDocker":
        self.joined.append(network)
        return self

    def connect(self, container: "RecordingDocker") -> None: ...

    def create(self, **words: Any) -> "RecordingDocker":  # noqa: ANN401 (Docker's words)
        self.created = words
        return self

    def start(self) -> None: ...


class RecordedDockerLauncher(DockerRunLauncher):
    engine: RecordingDocker

    def _get_client(self, container_context: object) -> Any:  # noqa: ANN401 (Docker's client)
        return self.engine


def test_a_run_in_docker_gets_a_container_that_may_do_little(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads what strangers send, and holds the loaders' passwords."""
    for name in VARIABLES[:2]:
        monkeypatch.setenv(name, CANARY)
    docker = {"image": IMAGE, "networks": "a_servers,a_outside", "home_volume": "a_dagster"}
    section = read_home(tmp_path / "home", settings_of(run_launcher="docker", docker=docker))[
        "run_launcher"
    ]
    assert CANARY not in json.dumps(section)
    # Dagster's own check of the section
    config = yaml.safe_dump(section["config"])
    data = ConfigurableClassData(section["module"], section["class"], config)
    assert isinstance(data.rehydrate(as_type=RunLauncher), DockerRunLauncher)

    launcher = RecordedDockerLauncher(**section["config"])
    launcher.engine = RecordingDocker()
    launch(launcher, instance)
    made = launcher.engine.created
    assert (made["image"], made["network"]) == (IMAGE, "a_servers")
    assert launcher.engine.joined == ["a_outside"]
    assert (made["read_only"], made["cap_drop"], made["auto_remove"]) == (True, ["ALL"], True)
    assert made["volumes"] == ["a_dagster:/var/lib/dagster"]
    assert made["command"][:3] == ["dagster", "api", "execute_run"]
    assert made["environment"] == {
        "CRYPTO_PLATFORM_KAFKA__BOOTSTRAP_SERVERS": CANARY,
        "CRYPTO_PLATFORM_POSTGRES__LOADER_URL": CANARY,
        "DAGSTER_RUN_JOB_NAME": "ingest_live",
    }


class RecordingBatch:
    """Stands in for Kubernetes' batch API."""

    def __init__(self) -> None:
        self.jobs: list[V1Job] = []

    def create_namespaced_job(self, body: V1Job, namespace: str, **words: object) -> None:
        assert namespace == "trading"
        self.jobs.append(body)


def plan_job(tmp_path: Path, instance: dg.DagsterInstance, **more: str) -> dict[str, Any]:
    """The job that a run becomes, as it is sent to Kubernetes."""
    (tmp_path / "kubeconfig").write_text(KUBECONFIG, "utf-8")
    kubernetes = {"image": IMAGE, "namespace": "trading", **more}
    settings = settings_of(run_launcher="kubernetes", kubernetes=kubernetes)
    section = read_home(tmp_path / "home", settings)["run_launcher"]
    checked = process_config(K8sRunLauncher.config_type(), section["config"])
    assert checked.success, checked.errors
    words: Mapping[str, Any] = checked.value or {}
    outside = {
        "load_incluster_config": False,
        "kubeconfig_file": str(tmp_path / "kubeconfig"),
    }
    batch = RecordingBatch()
    launcher = K8sRunLauncher(
        **{**words, **outside}, k8s_client_batch_api=batch, k8s_client_core_api=object()
    )
    launch(launcher, instance)
    [job] = batch.jobs
    return ApiClient().sanitize_for_serialization(job)


def test_a_run_in_kubernetes_is_a_job_that_kubernetes_takes(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """A misspelt key is dropped without a word: limits that were never set."""
    names = {"secrets": "run-secrets", "config_maps": "addresses", "ca_config_map": "our-ca"}
    job = plan_job(tmp_path, instance, **names)
    kubernetes_validate.validate(job, KUBERNETES, strict=True)
    assert job["spec"]["ttlSecondsAfterFinished"] == 600
    pod = job["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    [container] = pod["containers"]
    assert container["image"] == IMAGE
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert container["envFrom"] == [
        {"configMapRef": {"name": "addresses"}},
        {"secretRef": {"name": "run-secrets"}},
    ]
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts == {"/tmp", "/var/lib/dagster/storage", "/etc/crypto_platform"}  # noqa: S108
    assert {"name": "ca", "configMap": {"name": "our-ca"}} in pod["volumes"]


def test_the_check_of_jobs_sees_a_misspelt_key(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """Else the test above would pass whatever the launcher made."""
    job = plan_job(tmp_path, instance)
    job["spec"]["template"]["spec"]["containers"][0]["securityContexts"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="securityContexts"):
        kubernetes_validate.validate(job, KUBERNETES, strict=True)
