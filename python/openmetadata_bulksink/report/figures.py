"""What a report says, as values: `asdict` of `Figures` is the JSON form. All times are in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class About:
    """What ran. aside: accelerators that stepped aside, with their reasons. read_ahead: connections that are granted;
    None: nobody has said.
    """

    ours: str
    upstream: str
    server: str
    server_version: str
    workers: int
    batch_size: int
    synchronous: bool
    delivery_timeout: float = 300.0
    accelerators: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()
    read_ahead: int | None = None
    dead_letters: bool = False


@dataclass(frozen=True)
class Counts:
    """As `Stats`, with written records by kind. tags: records of tags. in_part: of the entities, tables without some of
    their foreign keys.
    """

    entities: int = 0
    life_cycles: int = 0
    tags: int = 0
    lost: int = 0
    in_part: int = 0
    warned: int = 0
    pending: int = 0
    requests: int = 0
    retries: int = 0
    most_in_flight: int = 0
    limit: int = 0

    @property
    def written(self) -> int:
        """Records that the server has."""
        return self.entities + self.life_cycles + self.tags


@dataclass(frozen=True)
class Spent:
    """Where the time of the thread went that extracts and hands over. The parts do not overlap; what is left of `wall`
    is `other`.

    database: stood still in statements of the source. computed: its own CPU time, serialising included. client: stood
    still in requests that upstream's client made. room, answer, fence, drain: blocked by the sink.
    """

    wall: float
    database: float = 0.0
    computed: float | None = None
    client: float = 0.0
    room: float = 0.0
    answer: float = 0.0
    fence: float = 0.0
    drain: float = 0.0

    @property
    def blocked(self) -> float:
        """What the sink held it up, the end aside."""
        return self.room + self.answer + self.fence

    @property
    def source(self) -> float:
        """Everything that is not the sink's doing."""
        return self.database + (self.computed or 0.0) + self.client + self.other

    @property
    def other(self) -> float:
        """Neither of these: waits for a processor or another thread, sleep, results that are fetched."""
        known = (self.database, self.computed or 0.0, self.client, self.blocked, self.drain)
        return max(0.0, self.wall - sum(known))


@dataclass(frozen=True)
class Statements:
    """Of all threads, for the source's database."""

    count: int = 0
    waited: float = 0.0


@dataclass(frozen=True)
class Line:
    """The run over time, in buckets of `width`. taken: records. in_flight: requests, on average. room ... drain,
    elsewhere: the share of the bucket in which a thread waited (all other threads together may be above 1).
    """

    width: float
    taken: list[float] = field(default_factory=list)
    in_flight: list[float] = field(default_factory=list)
    served: list[float] = field(default_factory=list)
    not_served: list[float] = field(default_factory=list)
    waits: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Lane:
    """The requests of one collection, or those that write its life cycles. p50, p95, longest: of the served ones."""

    collection: str
    life_cycles: bool
    requests: int
    rows: int
    not_served: int
    seconds: float
    p50: float
    p95: float
    longest: float

    @property
    def name(self) -> str:
        """For people."""
        return f"life cycles of {self.collection}" if self.life_cycles else self.collection

    @property
    def rows_a_request(self) -> float:
        """Records in a request, on average."""
        return self.rows / self.requests if self.requests else 0.0


@dataclass(frozen=True)
class Again:
    """Records that were sent again. cause: a name (`words.py` has the words)."""

    cause: str
    times: int
    records: int


@dataclass(frozen=True)
class Split:
    """Requests that were sent again in parts."""

    cause: str
    requests: int


#: The reason of what came when there were as many groups of failures as are kept apart.
OTHER_REASONS = "other reasons"


@dataclass(frozen=True)
class Failures:
    """Records that were lost, or could not be read, for reasons that are alike. reason: that of the first. names: the
    first of them.
    """

    reason: str
    count: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Schema:
    """What was between a schema's first record and the next schema's. blocked: how much of it the sink held up."""

    name: str
    seconds: float
    blocked: float
    records: int


#: How a run ends that nothing ended early.
IN_ORDER = "in order"


@dataclass(frozen=True)
class Figures:
    """Everything in a report. ending: `IN_ORDER`, or how else the run ended. processor: how long the thread waited for
    a processor; None where that is not known. fences: seconds by the route that waited, of all threads. failures: of
    the sink. unread: of the workflow's other steps.
    """

    about: About
    started: str
    ending: str
    counts: Counts
    spent: Spent
    statements: Statements
    line: Line
    processor: float | None = None
    fences: dict[str, float] = field(default_factory=dict)
    lanes: tuple[Lane, ...] = ()
    again: tuple[Again, ...] = ()
    splits: tuple[Split, ...] = ()
    stalls: tuple[tuple[float, float], ...] = ()
    failures: tuple[Failures, ...] = ()
    unread: tuple[Failures, ...] = ()
    schemas: tuple[Schema, ...] = ()
