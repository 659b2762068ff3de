"""A crypto data platform in which every record arrives in each store exactly once.

Read it in the data's own order: feeds (what flows), sources (where from), kafka (the way), stores
(where to), delivery (the promise), then assets, sensors and definitions (Dagster's view of it all),
stack (the servers on this machine) and cli. docs/architecture.md draws the picture.
"""
