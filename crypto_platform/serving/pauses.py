"""Pauses: a source or a store is paused while its sensor in Dagster is switched off.

Here: which sensor is whose, and the switch itself, over GraphQL. Not here: the sensors (sensors/),
how those who have a Dagster instance find out, a running run above all (assets/switches.py).
"""

from collections.abc import Mapping
from typing import Any

from crypto_platform.errors import StackError
from crypto_platform.serving.dagster_api import REPOSITORY, ask_dagster, find_url
from crypto_platform.settings import Settings
from crypto_platform.sources import explain_sources
from crypto_platform.stores import STORES

_SOURCE_PREFIX = "poll_"
_STORE_SUFFIX = "_lag"

_LIST = """
query Sensors($repository: RepositorySelector!) {
  sensorsOrError(repositorySelector: $repository) {
    __typename
    ... on Sensors { results { name sensorState { id status } } }
    ... on PythonError { message }
    ... on RepositoryNotFoundError { message }
  }
}
"""
_START = """
mutation Start($sensor: SensorSelector!) {
  startSensor(sensorSelector: $sensor) {
    __typename
    ... on PythonError { message }
    ... on SensorNotFoundError { message }
    ... on UnauthorizedError { message }
  }
}
"""
_STOP = """
mutation Stop($id: String!) {
  stopSensor(id: $id) {
    __typename
    ... on PythonError { message }
    ... on UnauthorizedError { message }
  }
}
"""


def source_sensor(source: str) -> str:
    """poll_coingecko."""
    return f"{_SOURCE_PREFIX}{source}"


def load_sensor(store: str) -> str:
    """postgres_lag."""
    return f"{store}{_STORE_SUFFIX}"


def find_switched(sensor: str) -> str | None:
    """The source or store that a sensor's switch pauses; None where it is no such sensor."""
    if sensor.startswith(_SOURCE_PREFIX):
        return sensor.removeprefix(_SOURCE_PREFIX)
    store = sensor.removesuffix(_STORE_SUFFIX)
    return store if store != sensor and store in STORES else None


def list_switches(settings: Settings) -> Mapping[str, str]:
    """What can be paused, by name, and its sensor."""
    sources = [state.name for state in explain_sources(settings) if state.enabled]
    return {name: source_sensor(name) for name in sources} | {
        store: load_sensor(store) for store in STORES
    }


def pause(settings: Settings, sensor: str) -> bool:
    """Switch the sensor of a source or store off; False where it was off already.

    Runs notice within seconds and end well. What waits in Kafka stays there; what a paused source
    publishes meanwhile is not asked for.

    Args:
        sensor: One of list_switches.

    Raises:
        StackError: Dagster did not answer, or refused.
    """
    url = find_url(settings)
    sensor_id, status = _find_sensor(url, sensor)
    if status == "STOPPED":
        return False
    _expect(ask_dagster(url, _STOP, {"id": sensor_id})["stopSensor"])
    return True


def resume(settings: Settings, sensor: str) -> bool:
    """Switch the sensor on again; False where it was on already.

    Args:
        sensor: One of list_switches.

    Raises:
        StackError: Dagster did not answer, or refused.
    """
    url = find_url(settings)
    _, status = _find_sensor(url, sensor)
    if status == "RUNNING":
        return False
    selector = {**REPOSITORY, "sensorName": sensor}
    _expect(ask_dagster(url, _START, {"sensor": selector})["startSensor"])
    return True


def ask_paused(settings: Settings) -> frozenset[str]:
    """Sources and stores whose sensor is switched off.

    Raises:
        StackError: Dagster did not answer, or refused.
    """
    states = _list_states(find_url(settings))
    stopped = (sensor for sensor, state in states.items() if state["status"] == "STOPPED")
    found = (find_switched(sensor) for sensor in stopped)
    return frozenset(name for name in found if name is not None)


def _list_states(url: str) -> Mapping[str, Mapping[str, str]]:
    """Id and status of each sensor, by its name."""
    answer = _expect(ask_dagster(url, _LIST, {"repository": REPOSITORY})["sensorsOrError"])
    return {found["name"]: found["sensorState"] for found in answer["results"]}


def _find_sensor(url: str, sensor: str) -> tuple[str, str]:
    """Its id and status."""
    found = _list_states(url).get(sensor)
    if found is not None:
        return found["id"], found["status"]
    message = (
        f"Dagster does not know sensor {sensor}: its code server has other settings than this "
        "command; `crypto-platform down` and `up` bring them together"
    )
    raise StackError(message)


def _expect(answer: Any) -> Any:  # noqa: ANN401 - JSON of the query's shape
    if "message" in answer:
        message = f"Dagster refused: {answer['message']}"
        raise StackError(message)
    return answer
