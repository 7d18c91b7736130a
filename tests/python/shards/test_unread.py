"""What the source cannot read is no sign that it was dropped, and what was made again stays."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from openmetadata_bulksink.log import log as ours
from openmetadata_bulksink.masking import Mask
from openmetadata_bulksink.shard import deletion
from openmetadata_bulksink.shard.again import Again
from openmetadata_bulksink.shard.names import stored_fqn
from openmetadata_bulksink.shard.results import Gap, PartResult, Stale
from openmetadata_bulksink.shard.unread import Unread

SECRET = "pa55-w0rd/geheim"

log = logging.getLogger("metadata.Ingestion")


class Source:
    """Walks as upstream's sources do: it logs what it cannot open or list, and goes on."""

    def __init__(self, opens: Callable[[str], None], lists: Callable[[str], list[str]]) -> None:
        self._opens, self._lists = opens, lists
        self._place = SimpleNamespace(database="earlier", database_schema="earlier")
        self.context = SimpleNamespace(get=lambda: self._place)

    def set_inspector(self, database_name: str) -> None:
        """As if nothing was connected yet."""

    def get_database_names(self) -> Iterator[str]:
        for name in ("first", "h.r", "last"):
            try:
                self.set_inspector(database_name=name)
                self._opens(name)
                yield name
            except ConnectionError as error:
                log.warning("Error trying to connect to database %s: %s", name, error)

    def get_database_schema_names(self) -> Iterator[str]:
        yield "a"
        self._opens("schemas")
        yield "b"

    def query_table_names_and_types(self, schema_name: str) -> list[str]:
        return self._lists(schema_name)

    def get_tables_name_and_type(self) -> Iterator[str]:
        try:
            names = self.query_table_names_and_types(self._place.database_schema)
        except ConnectionError as error:
            log.warning("Fetching table list failed: %s", error)
            names = []
        for name in names:
            self._opens(name)
            yield name

    def walk(self) -> list[str]:
        """FQNs of what it meets."""
        met = []
        for database in self.get_database_names():
            self._place.database = database
            for schema in self.get_database_schema_names():
                self._place.database_schema = schema
                met += [f"{database}.{schema}.{name}" for name in self.get_tables_name_and_type()]
        return met


def nothing(_: str) -> None:
    """Opens whatever it is."""


@pytest.fixture(autouse=True)
def _upstream_is_heard(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    # A test that configured logging may have silenced it.
    monkeypatch.setattr(log, "disabled", False)
    monkeypatch.setattr(log, "propagate", True)
    caplog.set_level(logging.WARNING, logger=log.name)


def one_table(_: str) -> list[str]:
    return ["t"]


def refusing(refused: str, error: type[Exception] = ConnectionError) -> Callable[[str], list[str]]:
    def answer(name: str) -> list[str]:
        if name == refused:
            raise error(f"access denied for {SECRET}\nand more")
        return ["t"]

    return answer


@pytest.mark.parametrize(
    ("source", "unread"),
    [
        (Source(nothing, one_table), set()),
        (Source(refusing("h.r"), one_table), {'my.svc"."h.r"'}),
        (Source(refusing("last"), one_table), {'my.svc".last'}),
        (Source(nothing, refusing("b")), {'my.svc".first.b', 'my.svc"."h.r".b', 'my.svc".last.b'}),
    ],
)
def test_what_upstream_only_logs_is_known_by_its_name_with_the_reason(source: Source, unread: set[str]) -> None:
    plain = source.walk()
    watch = Unread(source, "my.svc", Mask([SECRET]))
    assert source.walk() == plain, "nothing that upstream meets is changed"
    assert set(watch.found) == {f'"{fqn}' for fqn in unread}
    for why in watch.found.values():
        assert why.endswith("access denied for ***")


@pytest.mark.parametrize(
    ("refused", "unread"), [("h.r", "svc"), ("schemas", "svc.first"), ("t", "svc.first.a")], ids=str
)
def test_a_list_that_breaks_off_is_unread_as_a_whole_and_raises_as_before(refused: str, unread: str) -> None:
    source = Source(refusing(refused, ValueError), one_table)
    watch = Unread(source, "svc", Mask())
    with pytest.raises(ValueError, match="access denied"):
        source.walk()
    assert list(watch.found) == [unread]


def test_a_database_that_is_opened_after_a_warning_is_read() -> None:
    def opens(name: str) -> None:
        log.warning("%s has an old version", name)

    watch = Unread(source := Source(opens, one_table), "svc", Mask())
    assert len(source.walk()) == 6
    assert watch.found == {}


class Blind(Source):
    """Upstream's own lists of tables and views, over statements that are refused."""

    status = SimpleNamespace(filter=lambda *_: None)
    source_config = SimpleNamespace(
        includeTables=True, includeViews=True, useFqnForFiltering=False, tableFilterPattern=None
    )

    def query_view_names_and_types(self, schema_name: str) -> list[str]:
        return self.query_table_names_and_types(schema_name)

    def get_tables_name_and_type(self) -> Iterator[Any]:
        from metadata.ingestion.source.database.common_db_source import CommonDbSourceService

        yield from CommonDbSourceService.get_tables_name_and_type(self)


@pytest.mark.upstream
def test_upstream_asks_for_tables_as_this_expects() -> None:
    from metadata.ingestion.source.database.common_db_source import CommonDbSourceService

    source = Blind(nothing, refusing("earlier"))
    watch = Unread(source, "svc", Mask([SECRET]))
    assert list(source.get_tables_name_and_type()) == [], "upstream goes on without a failure"
    assert watch.found == {"svc.earlier.earlier": "access denied for ***"}
    for name in ("set_inspector", "get_database_names", "get_database_schema_names", "get_stored_procedures"):
        assert callable(getattr(CommonDbSourceService, name))


@pytest.mark.upstream
def test_names_are_those_of_the_server() -> None:
    assert stored_fqn("my.svc", "h.r", 'a"b', "c::d>e") == (
        '"my.svc"."h.r".a__reserved__quote__b.c__reserved__colon__d__reserved__arrow__e'
    )


class Lenient(Source):
    """Keeps to itself what it cannot list of a schema, as upstream's code for some databases does."""

    def __init__(self, broken: str, logger: logging.Logger = log, thread: bool = False) -> None:
        super().__init__(nothing, one_table)
        self._broken, self._logger, self._thread = broken, logger, thread

    def query_table_names_and_types(self, schema_name: str) -> list[str]:
        if self._broken == "tables":
            self._warn(f"Error listing tables for {schema_name}")
        return ["t"]

    def get_stored_procedures(self) -> Iterator[Any]:
        yield SimpleNamespace(name="p")
        if self._broken == "storedProcedures":
            self._warn("Error fetching stored procedures: denied for %s", SECRET)
            return
        yield SimpleNamespace(name="q")

    def _warn(self, *message: str) -> None:
        if self._thread:
            other = threading.Thread(target=self._logger.error, args=message)
            other.start()
            other.join()
        else:
            self._logger.error(*message)


class NoSwitches:
    """Options of a source that has none."""

    model_fields: ClassVar[dict[str, Any]] = {}


def place(source: Source) -> None:
    source.context.get().database, source.context.get().database_schema = "db", "s"


@pytest.mark.parametrize(
    ("broken", "gap"),
    [
        ("tables", Gap("svc.db.s", "Error listing tables for s", "tables")),
        ("storedProcedures", Gap("svc.db.s", "Error fetching stored procedures: denied for ***", "storedProcedures")),
        ("", None),
    ],
)
def test_a_list_that_keeps_its_error_to_itself_is_in_doubt_alone(broken: str, gap: Gap | None) -> None:
    source = Lenient(broken)
    place(source)
    watch = Unread(source, "svc", Mask([SECRET]))
    log.error("before the list")
    assert list(source.get_tables_name_and_type()) == ["t"]
    procedures = source.get_stored_procedures()
    assert next(procedures).name == "p"
    log.error("of what is done with a procedure")
    assert len(list(procedures)) == (0 if broken == "storedProcedures" else 1)
    assert watch.gaps() == ((gap,) if gap else ())


@pytest.mark.parametrize(
    "source", [Lenient("tables", ours), Lenient("tables", log, thread=True)], ids=["ours", "other"]
)
def test_what_we_log_or_another_thread_does_is_not_of_the_list(source: Lenient) -> None:
    place(source)
    watch = Unread(source, "svc", Mask())
    assert list(source.get_tables_name_and_type()) == ["t"]
    assert watch.gaps() == ()


def test_a_schema_that_could_not_be_listed_is_named_once() -> None:
    watch = Unread(source := Source(nothing, refusing("b")), "svc", Mask([SECRET]))
    source.walk()
    assert [gap.fqn for gap in watch.gaps()] == ["svc.first.b", 'svc."h.r".b', "svc.last.b"]


def test_what_close_lists_again_is_heard_too() -> None:
    source = Lenient("storedProcedures")
    place(source)
    source.source_config = NoSwitches()
    gone = Stale("storedProcedures", "svc.db.s.q", "id", 0.1, True)
    watch = Unread(source, "svc", Mask([SECRET]))
    again = Again(source, "svc", [gone], {})
    assert list(source.get_stored_procedures()) == []
    now = PartResult(("db",), "well", unread=watch.gaps())
    left, spared = deletion.confirmed([gone], again.sightings, now)
    assert not left
    assert "denied for ***" in spared[0].why
