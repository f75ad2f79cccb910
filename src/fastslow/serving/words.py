"""What a learner refuses, for those who ask over HTTP: it speaks of its arguments, which are options of the server."""

from __future__ import annotations

import re

_NAMES = ("max_examples", "per_class", "eviction", "novelty_threshold", "doubt_labels", "ink", "crop")
#: A text in quotes, which is somebody's and stays as it is; how an option is written on the command line, which is said
#: then; or an argument, with its value or without.
_WORDS = re.compile(
    r"""(?<!\w)(?P<quoted>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|(?P<aside>\ \(--[^)]*\))"""
    rf"""|\b(?:(?P<given>{"|".join(_NAMES)})=(?:True|'?(?P<value>\w+)'?)|(?P<name>max_examples|per_class)\b)"""
)
_CURE = "; options of fastslow serve belong to a state from its beginning on: other ones need another --state"


def in_options(text: str) -> str:
    """A message of the library with its arguments as options of `fastslow serve`.

    Args:
        text: such as "give ink='bright'".

    Returns:
        Such as "give --ink bright", and how to give another option; the same text where it speaks of none.
    """
    found = False

    def option(match: re.Match[str]) -> str:
        nonlocal found
        if match["quoted"]:
            return match["quoted"]
        found = True
        if match["aside"]:
            return ""
        name = f"--{(match['given'] or match['name']).replace('_', '-')}"
        return f"{name} {match['value']}" if match["value"] else name

    said = _WORDS.sub(option, text)
    return f"{said}{_CURE}" if found else text
