"""When: sensors ask Kafka and the stores and let delivery/planning.py decide."""
