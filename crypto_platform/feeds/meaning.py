"""What fields mean, as the docstrings of their structs say it: one text for code, UI and API.

Here: reading an Attributes section. Not here: who shows it (assets/descriptions.py, serving/api).
"""

import inspect
import re
from collections.abc import Mapping

_ATTRIBUTES = re.compile(r" {4}(\w+(?:, \w+)*): (.*)")
"""A line of a docstring's section: names, and what they mean."""


def explain_fields(struct: type) -> Mapping[str, str]:
    """What fields mean: what the docstrings of a struct and its bases say under Attributes."""
    said: dict[str, str] = {}
    for kind in reversed(struct.__mro__):
        _, _, rest = inspect.cleandoc(kind.__doc__ or "").partition("\nAttributes:\n")
        names: list[str] = []
        for line in rest.partition("\n\n")[0].splitlines():
            if found := _ATTRIBUTES.fullmatch(line):
                names = found[1].split(", ")
                said.update(dict.fromkeys(names, found[2]))
            else:
                said.update({name: f"{said[name]} {line.strip()}" for name in names})
    return said
