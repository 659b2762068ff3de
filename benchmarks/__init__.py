"""Benchmarks: `python -m benchmarks [NAME]`. They print figures and ratios."""
