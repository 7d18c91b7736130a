"""What `close` asks of the server, and what it deletes there, through upstream's client."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import quote

from openmetadata_bulksink.shard.results import Stale


class Deleted(NamedTuple):
    """changed: FQNs of what was no longer as it was judged. refused: (FQN, reason)."""

    gone: list[str]
    changed: list[str]
    refused: list[tuple[str, str]]


def live_tables(client: Any, scope: str, fqn: str) -> int:
    """How many tables are alive in a scope: `database`, `databaseSchema`."""
    answer = client.get(f"/tables?{scope}={quote(fqn, safe='')}&limit=0&include=non-deleted")
    return int(answer["paging"]["total"])


def live_tables_of_service(client: Any, service: str) -> int:
    """How many tables are alive below all databases of a service."""
    total, after = 0, ""
    while True:
        page = client.get(f"/databases?service={quote(service, safe='')}&limit=1000&include=non-deleted{after}")
        total += sum(live_tables(client, "database", one["fullyQualifiedName"]) for one in page["data"])
        if not page["paging"].get("after"):
            return total
        after = f"&after={quote(page['paging']['after'], safe='')}"


def going(client: Any, tops: Iterable[Stale]) -> int:
    """How many live tables would go with these."""
    total = 0
    for stale in tops:
        if stale.collection == "tables":
            total += _alive(client, stale) is not None
        elif stale.collection == "databaseSchemas":
            total += live_tables(client, "databaseSchema", stale.fqn)
        elif stale.collection == "databases":
            total += live_tables(client, "database", stale.fqn)
    return total


def _alive(client: Any, stale: Stale) -> dict[str, Any] | None:
    """What the server has now; None where it has nothing, or has it deleted. Raises what upstream's client does, and
    ValueError for an answer that says neither.
    """
    try:
        now = client.get(f"/{stale.collection}/name/{quote(stale.fqn, safe='')}?include=all")
    except Exception as error:
        if getattr(error, "status_code", None) == 404:
            return None
        raise
    if not isinstance(now, dict) or not now.get("id"):
        raise ValueError("the server's answer for it holds no entity")
    return None if now.get("deleted") else now


def delete(client: Any, tops: Iterable[Stale]) -> Deleted:
    """Soft, with what is below, as upstream does; only what is as it was when it was judged."""
    done = Deleted([], [], [])
    for stale in tops:
        try:
            now = _alive(client, stale)
        except Exception as error:  # noqa: BLE001 - upstream's client raises what the server says
            done.refused.append((stale.fqn, str(error)))
            continue
        if now is None:
            continue
        # Writing a parent again does not change it; a version that moved means that somebody wrote the entity itself.
        if now.get("id") != stale.id or float(now.get("version") or 0) != stale.version:
            done.changed.append(stale.fqn)
            continue
        try:
            client.delete(f"/{stale.collection}/{stale.id}?recursive=true&hardDelete=false")
        except Exception as error:  # noqa: BLE001 - as above
            done.refused.append((stale.fqn, str(error)))
        else:
            done.gone.append(stale.fqn)
    return done
