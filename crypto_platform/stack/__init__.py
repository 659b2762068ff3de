"""Start, watch and stop the embedded servers of one data folder.

Reading order: part.py (what a server declares), kafka.py postgres.py mongo.py simulation.py
dagster.py (the parts), supervisor.py (starts, restarts and stops them), up.py (one `up` from the
lock to the last child), folder.py identity.py ports.py state.py (what the data folder holds),
processes.py (children, and how none survives), embedded.py (the servers for tests and benchmarks).

Not here: tables and collections (migrations/), what a person reads (cli/). Nothing here imports
Dagster, and nothing but cli/, tests and benchmarks imports this package.
"""
