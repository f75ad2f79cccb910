"""Names that become folders: what one may be called, on every system that its folder may be copied to."""

from __future__ import annotations

import re

from fastslow.errors import InputError, shown

#: Characters of the longest name, so that files beside it with longer names can be made too.
MAX_NAME = 100
#: What Windows keeps for devices, whatever the ending.
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def refuse_bad_name(name: str) -> None:
    """Refuses a name that would leave the folder it is meant for, or that no folder can have somewhere.

    Raises:
        ValueError: if it is empty, ".", "..", too long, reserved, or holds a separator or a character that cannot be.
    """
    if not name.strip():
        raise InputError(f"got name={shown(name)}; give at least one letter or digit, or leave the option out")
    if len(name) > MAX_NAME or len(name.encode(errors="replace")) > 2 * MAX_NAME:
        raise InputError(f"got a name of {len(name)} characters, {shown(name)}; give at most {MAX_NAME}")
    wrong = re.search(r'[/\\:*?"<>|\x00-\x1f\x7f\ud800-\udfff]', name)
    if wrong is not None:
        raise InputError(f"got name={shown(name)}, with {wrong[0]!r}; give one folder's name, without separators")
    if _DEVICES.fullmatch(name) or name != name.strip() or name.endswith("."):
        raise InputError(f"got name={shown(name)}, which cannot be a folder everywhere; give another name")
