"""The same machine over PostgreSQL and MongoDB: few examples, for each step is a transaction."""

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.stateful.machine import Delivery
from tests.store_harness import StoreFactory

FEW = settings(
    max_examples=6,
    stateful_step_count=20,
    suppress_health_check=list(HealthCheck),
)


def test_each_record_is_stored_once_whatever_the_order_of_claims_and_commits(
    store_factory: StoreFactory,
) -> None:
    """All examples share one database: each has a topic and currency of its own."""
    stores = [store_factory.open(), store_factory.open()]
    run_state_machine_as_test(lambda: Delivery(lambda: stores), settings=FEW)
