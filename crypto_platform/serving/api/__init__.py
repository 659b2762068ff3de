"""The read API: what the platform knows, over HTTP, JSON in and out.

Reading order: app.py (where the parts meet), services.py (what requests share), market.py,
figures.py, account.py, reports.py and live.py (the endpoints), answers.py (how an answer looks),
parameters.py (what may be asked), problems.py (how a refusal looks), identity.py, log_in.py and
tokens.py (who asks), gate.py and limits.py (how much one may ask), paging.py and cursors.py (how to
go on), journal.py and streams.py (what is new), operations.py (health, metrics), documents.py and
schemas.py (what OpenAPI says), reference.py (the page /docs). Not here: which store answers
(serving/failover.py), pages (serving/dashboard).
"""
