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


class Unanswered(Exception):
    """The server did not answer a question, or answered another one; the text says which. status: of its answer."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


def _get(client: Any, path: str, what: str) -> Any:
    """The server's answer, whatever it is. Raises Unanswered."""
    try:
        return client.get(path)
    except Exception as error:
        raise Unanswered(f"the server did not say {what}: {error}", getattr(error, "status_code", None)) from error


def _page(client: Any, path: str, what: str) -> dict[str, Any]:
    """A part of a list. Raises Unanswered."""
    answer = _get(client, path, what)
    # Upstream's client gives nothing, too, where the answer is an error that is not the API's own.
    if not isinstance(answer, dict) or not isinstance(answer.get("paging"), dict):
        raise Unanswered(f"the server did not say {what}: its answer is no list")
    return answer


def live_tables(client: Any, scope: str, fqn: str) -> int:
    """How many tables are alive in a scope: `database`, `databaseSchema`. Raises Unanswered."""
    what = f"how many tables are alive in {fqn}"
    page = _page(client, f"/tables?{scope}={quote(fqn, safe='')}&limit=0&include=non-deleted", what)
    total = page["paging"].get("total")
    if not isinstance(total, int):
        raise Unanswered(f"the server did not say {what}: its answer has no total")
    return total


def live_tables_of_service(client: Any, service: str) -> int:
    """How many tables are alive below all databases of a service. Raises Unanswered."""
    total, after = 0, ""
    while True:
        path = f"/databases?service={quote(service, safe='')}&limit=1000&include=non-deleted{after}"
        page = _page(client, path, f"which databases {service} has")
        try:
            names = [str(one["fullyQualifiedName"]) for one in page["data"]]
        except (KeyError, TypeError):
            raise Unanswered(f"the server did not say which databases {service} has: they have no names") from None
        total += sum(live_tables(client, "database", name) for name in names)
        if not page["paging"].get("after"):
            return total
        after = f"&after={quote(str(page['paging']['after']), safe='')}"


def going(client: Any, tops: Iterable[Stale]) -> int:
    """How many live tables would go with these. Raises Unanswered."""
    total = 0
    for stale in tops:
        if stale.collection == "tables":
            total += _alive(client, stale) is not None
        elif stale.collection == "databaseSchemas":
            total += live_tables(client, "databaseSchema", stale.fqn)
        elif stale.collection == "databases":
            total += live_tables(client, "database", stale.fqn)
    return total


def alive(client: Any, stale: Iterable[Stale]) -> int:
    """How many of these are alive, each by itself. Raises Unanswered."""
    return sum(_alive(client, one) is not None for one in stale)


def _alive(client: Any, stale: Stale) -> dict[str, Any] | None:
    """What the server has now; None where it has nothing, or has it deleted. Raises Unanswered."""
    what = f"whether {stale.fqn} is alive"
    path = f"/{stale.collection}/name/{quote(stale.fqn, safe='')}?include=all"
    try:
        now = _get(client, path, what)
    except Unanswered as unanswered:
        if unanswered.status == 404:
            return None
        raise
    if not isinstance(now, dict) or not now.get("id"):
        raise Unanswered(f"the server did not say {what}: its answer holds no entity")
    return None if now.get("deleted") else now


def delete(client: Any, tops: Iterable[Stale], so_far: Deleted | None = None) -> Deleted:
    """Soft, with what is below, as upstream does; only what is as it was when it was judged. so_far: is added to, so
    that it is known what was done where an interrupt ends it.
    """
    done = so_far or Deleted([], [], [])
    for stale in tops:
        try:
            _delete(client, stale, done)
        except Unanswered as unanswered:
            done.refused.append((stale.fqn, str(unanswered)))
    return done


def _delete(client: Any, stale: Stale, done: Deleted) -> None:
    """Raises Unanswered, also where it is still there."""
    now = _alive(client, stale)
    if now is None:
        return
    # Writing a parent again does not change it; a version that moved means that somebody wrote the entity itself.
    if now.get("id") != stale.id or float(now.get("version") or 0) != stale.version:
        done.changed.append(stale.fqn)
        return
    try:
        answer = client.delete(f"/{stale.collection}/{stale.id}?recursive=true&hardDelete=false")
    except Exception as error:
        raise Unanswered(str(error)) from error
    # Upstream's client gives nothing, too, for an error that is not the API's own.
    is_gone = isinstance(answer, dict) and answer.get("id") == stale.id
    if not is_gone and _alive(client, stale) is not None:
        raise Unanswered("the server did not say why, and it is still there")
    done.gone.append(stale.fqn)
