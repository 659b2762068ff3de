"""The read API: what the platform knows, over HTTP, JSON in and out.

Reading order: app.py (where the parts meet), services.py (what requests share), market.py and
account.py (the endpoints), answers.py (how an answer looks), parameters.py (what may be asked),
problems.py (how a refusal looks), identity.py and tokens.py (who asks), gate.py and limits.py (how
much one may ask), cursors.py (how to go on), operations.py (health, metrics), schemas.py (what
OpenAPI says). Not here: which store answers (serving/failover.py), pages (serving/dashboard).
"""
