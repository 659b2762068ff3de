"""deploy/kubernetes: what Kubernetes takes, and what agrees with compose and with dagster.yaml."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from crypto_platform.settings import ENV_PREFIX, load_settings
from crypto_platform.stack.home import IMAGE_USER
from tests.compose_file import ROOT, SERVICES, environment_of, interpolate

FOLDER = ROOT / "deploy" / "kubernetes"
VERSION = "1.34"

VALUES: dict[str, Any] = yaml.safe_load((FOLDER / "values.yaml").read_text("utf-8"))
DAGSTER: dict[str, Any] = yaml.safe_load((ROOT / "dagster.yaml").read_text("utf-8"))


def read_all(file: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / file).read_text("utf-8")))


OBJECTS = [*read_all("platform.yaml"), *read_all("company.yaml")]
PODS: dict[str, dict[str, Any]] = {
    each["metadata"]["name"]: each["spec"]["template"]
    for each in OBJECTS
    if "template" in each.get("spec", {})
}
SERVER = "crypto-platform-code-server"
CA = "crypto-platform-ca"
SECRET = re.compile(r"(POSTGRES|MONGO|DAGSTER)__(?!WEBSERVER)\w+_URL$|_KEY$|PASSWORD$|SECRET$")
NOT_IN_THE_CLUSTER = {
    f"{ENV_PREFIX}SOURCES__{source}__BASE_URL"
    for source in (
        "SIMULATED",
        "SIMULATED_EXCHANGE",
        "SIMULATED_ECB",
        "COMPANY",
        "COMPANY_EXCHANGE",
    )
} | {f"{ENV_PREFIX}COMPANY__URL", f"{ENV_PREFIX}SOURCES__COMPANY_EXCHANGE__ENABLED"}
"""What is switched off there: no simulation; company.yaml says what the company needs."""
[CONFIG_MAP] = [each for each in OBJECTS if each["kind"] == "ConfigMap"]


def container_of(name: str) -> dict[str, Any]:
    [container] = PODS[name]["spec"]["containers"]
    return container


def secrets_of(name: str) -> list[str]:
    """Names of the secrets whose keys are a pod's environment."""
    sources = container_of(name)["envFrom"]
    return [each["secretRef"]["name"] for each in sources if "secretRef" in each]


def test_kubernetes_takes_every_object() -> None:
    """A key in the wrong place is dropped by some servers without a word."""
    for each in OBJECTS:
        kubernetes_validate.validate(each, VERSION, strict=True)


def test_pods_may_do_no_more_than_they_must() -> None:
    """As for compose: one pod without these lines would run as root, unnoticed."""
    assert len(PODS) == 4
    for name, pod in PODS.items():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] == IMAGE_USER, name
        assert container_of(name)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert "memory" in container_of(name)["resources"]["limits"], name


@pytest.mark.parametrize(
    ("pod", "service"),
    [
        ("crypto-platform-migrate", "migrate"),
        (SERVER, "code-server"),
        ("crypto-platform-api", "api"),
    ],
)
def test_pods_start_what_compose_starts(pod: str, service: str) -> None:
    """Of two copies one is forgotten when an option is renamed."""
    words = [interpolate(word, {}) for word in SERVICES[service]["command"]]
    if "--log-format" in words:  # a variable there, and here a word of the command
        place = words.index("--log-format")
        assert words[place + 1] == "colored"
        del words[place : place + 2]
    assert container_of(pod)["command"] == words


def test_the_companys_pod_starts_what_compose_starts() -> None:
    """The same, where compose has numbers in `.env`."""
    expected = [interpolate(word, {}) for word in SERVICES["company"]["command"]]
    assert container_of("crypto-platform-company")["command"] == expected


def test_all_that_talks_to_servers_has_the_certificate() -> None:
    """Without the file no connection is made, and no run loads anything."""
    mount = {"name": "ca", "mountPath": "/etc/crypto_platform", "readOnly": True}
    volume = {"name": "ca", "configMap": {"name": CA}}
    for name in set(PODS) - {"crypto-platform-company"}:
        assert mount in container_of(name)["volumeMounts"], name
        assert volume in PODS[name]["spec"]["volumes"], name
    launcher = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
    for each in (VALUES["dagsterWebserver"], VALUES["dagsterDaemon"], launcher):
        assert mount in each["volumeMounts"]
        assert volume in each["volumes"]
    assert CONFIG_MAP["data"]["CRYPTO_PLATFORM_KAFKA__CA_FILE"] == f"{mount['mountPath']}/ca.pem"


def test_only_what_changes_tables_knows_the_migrators_password() -> None:
    """As for compose: the API is what strangers reach."""
    secrets = {name: secrets_of(name) for name in PODS}
    assert secrets == {
        "crypto-platform-migrate": ["crypto-platform-run", "crypto-platform-migrate"],
        SERVER: ["crypto-platform-run"],
        "crypto-platform-api": ["crypto-platform-api"],
        "crypto-platform-company": ["crypto-platform-company"],
    }


def test_no_object_holds_a_secret() -> None:
    """Manifests lie in a repository."""
    assert not [each for each in OBJECTS if each["kind"] == "Secret"]
    assert not [name for name in CONFIG_MAP["data"] if SECRET.search(name)]
    assert "password:" not in (FOLDER / "values.yaml").read_text("utf-8").lower()


def test_the_documents_secrets_are_those_that_are_asked_for(tmp_path: Path) -> None:
    """Who follows the page and still lacks a variable finds out in a pod's log."""
    text = (ROOT / "docs" / "deployment.md").read_text("utf-8")
    asked = {secret for name in PODS for secret in secrets_of(name)}
    for secret in {*asked, VALUES["global"]["postgresqlSecretName"]}:
        assert f"secret generic {secret} " in text, secret
    for name in {name for service in ("migrate", "api") for name in environment_of(service)}:
        if re.search(r"(POSTGRES|MONGO)__\w+_URL$|__SECRET$", name):
            assert f"{name}=" in text, name
    settings = load_settings(tmp_path, environment=CONFIG_MAP["data"])
    assert settings.deployment == "kubernetes"
    assert f"create configmap {CA} " in text


def test_the_chart_is_told_what_dagster_yaml_says() -> None:
    """Runs that queue, ticks that are kept: differences would show after weeks."""
    more = VALUES["additionalInstanceConfig"]
    assert more == {name: DAGSTER[name] for name in more}
    daemon = VALUES["dagsterDaemon"]
    queue = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    monitoring = daemon["runMonitoring"]
    said = DAGSTER["run_monitoring"]
    catchup = VALUES["scheduler"]["config"]["daemonScheduler"]["maxCatchupRuns"]
    assert catchup == DAGSTER["scheduler"]["config"]["max_catchup_runs"]
    interval = DAGSTER["run_coordinator"]["config"]["dequeue_interval_seconds"]
    assert queue == {"dequeueIntervalSeconds": interval}
    assert monitoring["startTimeoutSeconds"] == said["start_timeout_seconds"]
    assert monitoring["pollIntervalSeconds"] == said["poll_interval_seconds"]
    assert monitoring["freeSlotsAfterRunEndSeconds"] == said["free_slots_after_run_end_seconds"]
    for kind in ("schedule", "sensor"):
        kept = DAGSTER["retention"][kind]["purge_after_days"]
        assert VALUES["retention"][kind]["purgeAfterDays"] == kept
    logs = DAGSTER["python_logs"]
    assert VALUES["pythonLogs"] == {
        "managedPythonLoggers": logs["managed_python_loggers"],
        "pythonLogLevel": logs["python_log_level"],
    }


def test_runs_of_the_chart_get_what_the_code_server_has() -> None:
    """They load the same definitions from the same settings."""
    launcher = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
    sources = container_of(SERVER)["envFrom"]
    given = [{"configMapRef": each} for each in launcher["envConfigMaps"]]
    given += [{"secretRef": each} for each in launcher["envSecrets"]]
    assert given == sources
    image = launcher["image"]
    assert f"{image['repository']}:{image['tag']}" == container_of(SERVER)["image"]
    [server] = VALUES["dagsterWebserver"]["workspace"]["servers"]
    services = {e["metadata"]["name"]: e["spec"] for e in OBJECTS if e["kind"] == "Service"}
    assert server["port"] == services[server["host"]]["ports"][0]["port"]
    command = container_of(SERVER)["command"]
    assert server["name"] == command[command.index("--location-name") + 1]


def test_the_config_map_knows_all_that_composes_code_server_does() -> None:
    """Without the webserver's address no alert told of a failed audit, and nothing said so."""
    settings = {name for name in environment_of("code-server") if name.startswith(ENV_PREFIX)}
    known = {name for name in settings if not SECRET.search(name)}
    assert known - set(CONFIG_MAP["data"]) == NOT_IN_THE_CLUSTER


def test_alerts_ask_the_webserver_that_the_chart_installs(tmp_path: Path) -> None:
    """Its helpers name it after the release."""
    text = (ROOT / "docs" / "deployment.md").read_text("utf-8")
    [release] = re.findall(r"install (\S+) dagster/dagster", text)
    settings = load_settings(tmp_path, environment=CONFIG_MAP["data"])
    port = VALUES["dagsterWebserver"]["service"]["port"]
    assert settings.dagster.webserver_url == f"http://{release}-webserver:{port}"


def test_every_setting_of_the_config_map_is_ours() -> None:
    """Another name would be read by nobody."""
    assert all(name.startswith(ENV_PREFIX) for name in CONFIG_MAP["data"])
