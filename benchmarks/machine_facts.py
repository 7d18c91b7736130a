"""The machine that measured, as far as it matters to who reads the figures. No names of hosts, users or paths."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe() -> dict[str, str]:
    """Processor, cores, memory, system; and how busy it was just now."""
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}, {_distribution()}",
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def sentence(facts: dict[str, str]) -> str:
    """The same for a document."""
    return (
        f"{facts['cores']} cores of {facts['processor']}, {facts['memory']} of memory, {facts['system']}; "
        f"load average before the first run {facts['load before']}"
    )


def _processor() -> str:
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            return " ".join(line.split(":", 1)[1].split())
    return platform.processor() or platform.machine()


def _memory() -> str:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal"):
            return f"{int(line.split()[1]) / 1024 / 1024:.0f} GiB"
    return "unknown size"


def _distribution() -> str:
    for line in _lines("/etc/os-release"):
        if line.startswith("PRETTY_NAME="):
            return line.split("=", 1)[1].strip().strip('"')
    return "unknown distribution"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
