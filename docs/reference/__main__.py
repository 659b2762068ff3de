"""`python -m docs.reference`: write all pages anew."""

from docs.reference import FOLDER, PAGES

for name, write in PAGES.items():
    (FOLDER / name).write_text(write(), "utf-8")
