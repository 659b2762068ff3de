"""Dagster's view of the way: thin shells over delivery/, built from sources x FEEDS x STORES."""
