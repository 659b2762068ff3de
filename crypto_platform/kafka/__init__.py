"""The way: Apache Kafka, the only home of confluent_kafka.

topics.py names and creates topics, producer.py publishes one poll as one transaction, cursors.py
reads how far sources were read, reader.py reads partitions, watermarks.py asks for their bounds.
"""
