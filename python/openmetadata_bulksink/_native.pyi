"""The native module: a bulk sink for the OpenMetadata REST API, usable without OpenMetadata's framework.

One `BulkSink` belongs to one server. It accepts records, orders them (parents first, one writer per entity), sends
them in
batches over a few workers, retries what may succeed, and gives exactly one `Outcome` for each record.

Units: seconds are floats, sizes are bytes. FQNs may be quoted or not (`svc."a.b".c`); they are compared in canonical
form, in
which a part is quoted only where it must be.

Threads: every method may be called from any thread. Methods that block release the GIL and notice a signal within 100
ms; an
interrupted call leaves the sink usable. After a fork the child's sink starts empty: records pending in the parent
stay the
parent's.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import Any, Final, Literal, final

__all__ = [
    "BulkSink",
    "BulkSinkError",
    "ConfigurationError",
    "DrainTimeout",
    "Outcome",
    "Stats",
    "TransportError",
    "__version__",
    "canonical_fqn",
    "hash_text",
    "quote_name",
]

__version__: Final[str]

class BulkSinkError(Exception):
    """Base of every error that this module raises by itself."""

class ConfigurationError(BulkSinkError, ValueError):
    """A setting cannot be used; the text names the argument and says what to change."""

class TransportError(BulkSinkError):
    """The server could not be asked (`BulkSink.server_version`); the text says what happened and what to check."""

class DrainTimeout(BulkSinkError, TimeoutError):
    """A wait ended by its own `timeout`; everything that was pending still is."""

@final
class Outcome:
    """How one record ended. Exactly one per submitted record."""

    @property
    def status(self) -> Literal["written", "failed", "warned"]:
        """`warned`: the server has it already in another form (a duplicate query)."""
    @property
    def kind(self) -> Literal["create", "life_cycle"]: ...
    @property
    def collection(self) -> str: ...
    @property
    def fqn(self) -> str:
        """The FQN as it was submitted."""
    @property
    def reason(self) -> str | None:
        """What happened and what to do, in words; None where the record was written as it is. A table that was written
        without some of its foreign keys names them here. Never holds a token.
        """
    @property
    def attempts(self) -> int:
        """Requests that carried the record. 0: it was never sent."""
    @property
    def sequence(self) -> int:
        """The number that `submit` returned."""
    @property
    def label(self) -> str | None:
        """The label that it was submitted with."""

@final
class Stats:
    """A snapshot; all counts are since the sink was made.

    `submitted == written + failed + warned + pending` holds in every snapshot.
    """

    @property
    def submitted(self) -> int: ...
    @property
    def written(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def warned(self) -> int: ...
    @property
    def pending(self) -> int: ...
    @property
    def pending_bytes(self) -> int: ...
    @property
    def parked(self) -> int:
        """Pending records that wait for something that the server does not have yet."""
    @property
    def requests(self) -> int:
        """HTTP requests sent, retries included."""
    @property
    def retries(self) -> int: ...
    @property
    def rows(self) -> int:
        """Create rows sent, retries included."""
    @property
    def in_flight(self) -> int: ...
    @property
    def max_in_flight(self) -> int: ...
    @property
    def limit(self) -> int:
        """Requests that may be in flight now; below `workers` after overload."""
    @property
    def blocked_seconds(self) -> float:
        """Seconds that `submit` waited for room."""
    @property
    def stalled_seconds(self) -> float:
        """Seconds since the last success while faults keep everything from being written; 0.0 if writing goes on."""
    def as_dict(self) -> dict[str, int | float]: ...

@final
class BulkSink:
    """Writes create requests and life cycle records to one OpenMetadata server, in bulk and concurrently.

    No thread and no socket exists before the first submit. Use as a context manager, or call `close`.
    """

    def __new__(
        cls,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        token: str | Callable[[], str] | None = None,
        bulk_query: str = "async=false",
        ca_certificates: bytes | None = None,
        verify: bool = True,
        client_certificate: bytes | None = None,
        proxy: str | None = None,
        connect_timeout: float = 10.0,
        read_timeout: float = 300.0,
        batch_size: int = 100,
        batch_bytes: int = 4_194_304,
        workers: int = 4,
        linger: float = 2.0,
        delivery_timeout: float = 300.0,
        budget_bytes: int = 67_108_864,
        synchronous: bool = False,
        embed_life_cycle: bool = False,
        keep_source_hash: bool = False,
        gzip: bool = False,
        dead_letters: str | PathLike[str] | None = None,
        on_notice: Callable[[str], object] | None = None,
    ) -> BulkSink:
        """
        base_url: up to and with the version, as in "http://localhost:8585/api/v1".
        headers: sent with every request. An `Authorization` here wins over `token`.
        token: the bearer token, or a callable that returns one; the callable runs on the calling thread at the first
            submit, and
            on one thread of the sink after an answer of 401.
        bulk_query: the query string of bulk PUTs, without "?".
        ca_certificates: PEM; the only trusted roots if given, else the system's. verify: False accepts any certificate.
        client_certificate: PEM of the certificate and its key. proxy: URL with scheme http or https; None means direct.
        batch_size, batch_bytes: a batch is sealed at so many records or bytes.
        workers: requests in flight at the most, 1 to 64.
        linger: seconds that a record may wait for its batch to fill while a worker is idle.
        delivery_timeout: seconds from a record's first attempt within which another attempt may start.
        budget_bytes: bytes of pending bodies beyond which `submit` blocks.
        synchronous: one request at a time, and `submit` returns when what it sealed is final (batch_size 1: each
            record).
        embed_life_cycle: put life cycles into create rows that were not sent yet, instead of a PATCH. The row's
            `sourceHash` is made anew from both, since servers from 2.0 on skip rows whose hash they know;
            keep_source_hash leaves it.
        gzip: compress bulk requests as long as the server takes them so; one that it refuses goes again uncompressed.
        dead_letters: a file to which one JSON line is appended for each lost record.
        on_notice: called with a line of text when writing stalls and when it goes on, on a thread that is inside a
            call. An exception of it is reported and ignored; KeyboardInterrupt and SystemExit end that call.

        Raises ConfigurationError (it names the argument) and TypeError.
        """
    def submit(
        self,
        collection: str,
        fqn: str,
        body: bytes | str,
        parent: str | None = None,
        needs: Sequence[str] | None = None,
        *,
        first_wins: bool = False,
        once: bool = False,
        first: tuple[str, str, bytes | str] | None = None,
        label: str | None = None,
    ) -> int:
        """Take one create request; blocks only while the budget is full. Returns the record's sequence number (1, 2,
        ...).

        collection: the path below the base URL ("tables", "dashboard/datamodels"). body: the create request as a JSON
            object.
        parent: FQN of the entity that must exist first. needs: other FQNs that must exist first. Both order this
            record behind
        pending records of that name; entities that the server has already need not be known here.
        first_wins: while an earlier record of this FQN is pending, this one is not sent and shares that one's outcome.
        once: where the server took the same body last, byte for byte, and nothing else of this FQN since, the record is
            written and not sent (see `forget_written`).
        first: collection, FQN and body of a record that must be written before this one, such as the classification of
            a tag. It is a record of its own, with the number before and the same `once` and `label`. Where it fails,
            this one fails too and is not sent.
        label: any text; it comes back with the outcome.
        After `close` the record fails, with an outcome that says so. Raises TypeError and ValueError for unusable
        arguments.
        """
    def submit_life_cycle(self, collection: str, fqn: str, life_cycle: bytes | str) -> int:
        """Take one life cycle (a JSON object with `created`, `updated`, `accessed`) for an entity, pending or not."""
    def wait(
        self,
        *,
        fqn: str | None = None,
        subtree: bool = False,
        collection: str | None = None,
        under: str | None = None,
        except_fqns: Iterable[str] | None = None,
        up_to: int | None = None,
        timeout: float | None = None,
    ) -> float:
        """Wait until a scope is settled: each record in it has its outcome, or is parked. Returns the seconds waited.

        fqn: all records of that FQN (with `subtree`, also those below it). collection: all records of a collection,
            with `under`
        only those below that FQN, without those in `except_fqns`. up_to: narrows any of these to sequence numbers up
        to it.
        No scope: everything submitted so far. What the scope needs is sent at once; nothing else is hurried.
        Raises DrainTimeout, and ValueError where the scope contradicts itself.
        """
    def drain(self, timeout: float | None = None) -> float:
        """The final drain: wait until nothing is pending, parked and life cycle records included. Returns the seconds
        waited.

        Without `timeout` it still ends: a record is given up `delivery_timeout` after its first attempt. Raises
        DrainTimeout.
        """
    def close(self, timeout: float | None = None) -> None:
        """Drain, fail what is left by name, end all threads and connections. Idempotent; outcomes can still be
        taken.
        """
    def take_outcomes(self) -> list[Outcome]:
        """The outcomes since the last call, in the order in which they came."""
    def pending_body(self, collection: str, fqn: str) -> bytes | None:
        """The last pending create request of that FQN; None where none is pending."""
    def pending_depth(self, collection: str, fqn: str) -> int | None:
        """Length of the longest chain of pending records of the same collection that the last pending record of that
        FQN waits
        for, through `needs`: 0 if it waits for none. None where no record of that FQN is pending.
        """
    def forget_written(self) -> None:
        """Somebody else may have changed or deleted what was written: records with `once` are sent again."""
    def cut_chains(self) -> None:
        """The server has none of the tables that are pending. From now on a table that would wait for four others, one
        after the other, for its foreign keys, is written without those keys at once, and whole when they are there.
        """
    def mark(self) -> int:
        """The sequence number of the last record submitted; 0 before the first."""
    def stats(self) -> Stats: ...
    def figures(self) -> dict[str, Any]:
        """What the run looked like since the sink was made. Times are in seconds from then on.

        seconds: now. width: of one bucket of the lists `taken` (records), `in_flight` (seconds of requests), `served`,
        `not_served` (requests), and of each list in `waits`; at most 256 buckets, which grow with the run.
        waits, waited: seconds that the thread that made the sink waited until now, over time and in all, for `room` in
            the budget, an `answer` (synchronous), a `fence`, the `drain`; `elsewhere`: that all other threads waited.
        lanes: one dictionary for each collection and its life cycles: `collection`, `life_cycles`, `requests`, `rows`,
            `not_served`, and of the served requests `seconds` together, `p50`, `p95`, `longest`.
        again: (name of a cause, times, records) for what was sent again. splits: (name of a cause, requests).
        stalls: the longest times without one served request, as (from, to).
        """
    def server_version(self, timeout: float = 10.0) -> str:
        """GET /system/version with the sink's own TLS and proxy settings. Raises TransportError."""
    def submit_async(
        self,
        collection: str,
        fqn: str,
        body: bytes | str,
        parent: str | None = None,
        needs: Sequence[str] | None = None,
        *,
        first_wins: bool = False,
        once: bool = False,
        first: tuple[str, str, bytes | str] | None = None,
        label: str | None = None,
    ) -> Awaitable[int]:
        """`submit` for asyncio: waits for room without blocking the event loop. The record is submitted by the call
        itself where there is room, whether or not the result is awaited: the order of the calls counts.
        """
    def drain_async(self, timeout: float | None = None) -> Awaitable[float]: ...
    def close_async(self, timeout: float | None = None) -> Awaitable[None]: ...
    def __enter__(self) -> BulkSink: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Closes the sink, also where the block raised."""
    def __repr__(self) -> str:
        """Settings and counts; never a header or a token."""

def canonical_fqn(fqn: str) -> str:
    """The canonical form: each part quoted only where it holds a dot. Raises ValueError for unbalanced quotes."""

def hash_text(request: object, *, sorts_aliases: bool) -> str | None:
    """The JSON text that upstream's source hash of a create request is made of, from the request's dump. None where
    the dump holds something that is not known here: upstream's own functions have the answer then.
    """

def quote_name(name: str) -> str:
    """One name as a part of an FQN. Raises ValueError where the name holds a double quote or a line feed."""
