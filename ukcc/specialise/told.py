"""What runs of an image will need that its code does not show: from its settings, in few words."""

from collections.abc import Callable, Mapping
from typing import Any

# Each word, and the key of a uk.toml and its values that say it. An image's own settings count, and
# those of the uk.toml beside it.
_SAID_BY: Mapping[str, tuple[tuple[str, Callable[[Any], bool]], ...]] = {
    "smp": (("smp", lambda value: value > 1),),
    "disk": (("disk", bool),),
    "volume": (("volume", bool),),
    "network": (
        *((key, bool) for key in ("publish", "ip", "dns", "dns-search", "add-host")),
        ("net", lambda words: any(word != "none" for word in words)),
    ),
    "user": (("user", lambda value: value not in ("root", "0")),),
    "vsock": (("vsock", lambda value: value is not None),),
    "q35": (("machine", lambda value: value == "q35"),),
}

# Commands that run before the program: init starts them, and they may be scripts.
_STEPS = "steps"

WORDS = (*_SAID_BY, _STEPS)


def told_by(settings: Mapping[str, Any], steps: int, sources: Mapping[str, str]) -> dict[str, str]:
    """The words that settings say, each with who says it.

    settings: by key of uk.toml; steps: how many commands run before the program as another user;
    sources: key -> the place that said it.
    """
    found = {}
    for word, places in _SAID_BY.items():
        for key, says in places:
            if key in settings and says(settings[key]):
                found[word] = f"{key} in {sources.get(key, 'the settings')}"
                break
    if steps:
        found[_STEPS] = f"init in {sources.get('init', 'the settings')}"
        found.setdefault("user", found[_STEPS])
    return found
