"""THE PROMISE, without Dagster.

From source to Kafka (ingest), from Kafka to a store (load, replay), what to start when (planning),
and the proof (audit).
"""
