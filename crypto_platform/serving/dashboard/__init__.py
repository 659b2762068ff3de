"""The dashboard: server-rendered pages in the API's process, live by its own streams.

Reading order: pages.py (which page answers what), overview.py (what a page joins), session.py
(logging in and out), frame.py (what is round every page), render.py (templates, static files, what
a browser may load), templates/, static/ (one style sheet, small modules without a build step;
vendor/ holds two libraries as they were published).
"""
