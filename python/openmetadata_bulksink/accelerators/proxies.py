"""For each request of upstream's client, `requests` looks through the whole environment for proxies, twice. The answer
is kept for as long as the environment is the same, to the byte.
"""

from __future__ import annotations

import os
import urllib.request
from typing import Any

from openmetadata_bulksink.accelerators import StepsAside, Undo, all_of, known, loaded, put

MODULE = "requests.utils"

#: `proxy_bypass_environment` is missing from the types that come with mypy.
_system: Any = urllib.request

#: `get_environ_proxies` and `should_bypass_proxies`, as text: requests 2.34.
_KNOWN = frozenset({"9016bc62b9ba0304"})


class _Proxies:
    """What the environment says about proxies."""

    def __init__(self) -> None:
        self._kept: tuple[list[tuple[Any, Any]], dict[str, str]] = ([], {})

    def get(self) -> dict[str, str]:
        """As `urllib.request.getproxies`: a new dictionary each time."""
        environment = getattr(os.environ, "_data", None)
        if environment is None:
            return dict(_system.getproxies_environment())
        now = list(environment.items())  # the order counts: of two spellings the later one holds
        seen, found = self._kept
        if not seen or now != seen:
            found = _system.getproxies_environment()
            self._kept = (now, found)
        return dict(found)

    def bypass(self, host: str) -> bool:
        """As `urllib.request.proxy_bypass`."""
        return bool(_system.proxy_bypass_environment(host, self.get()))


def install() -> Undo:
    """Keep the answer. Raises StepsAside."""
    utils = loaded(MODULE)
    what = "the way in which requests looks for proxies"
    known(_KNOWN, what, utils, "get_environ_proxies", "should_bypass_proxies")
    if utils.getproxies is not _system.getproxies_environment or (
        utils.proxy_bypass is not _system.proxy_bypass_environment
    ):
        raise StepsAside  # macOS and Windows ask the system, or somebody has put a function of their own there
    proxies = _Proxies()
    return all_of([put(utils, "getproxies", proxies.get), put(utils, "proxy_bypass", proxies.bypass)])
