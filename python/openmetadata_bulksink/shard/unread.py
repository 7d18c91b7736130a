"""What a source could not read, of which upstream says no more than a line in its log.

Upstream goes on after a database that it cannot open, and after a schema whose tables it cannot list. Nothing below
them is met then, so all of it looks dropped. Some connectors keep the error to themselves inside of a list (stored
procedures of Snowflake, BigQuery, SAP HANA; tables of BigQuery) or pass over one row: each warning that upstream's code
has in such a list, from 1.11 to 2.0, says that something is missing from it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from openmetadata_bulksink.log import log
from openmetadata_bulksink.masking import Mask
from openmetadata_bulksink.shard.names import stored_fqn
from openmetadata_bulksink.shard.results import Gap

#: Upstream's loggers are below this one.
_LOGGER = "metadata"

_LONGEST = 300

_SILENT = "upstream does not say why"

_END = object()

#: Upstream's lists of a schema, and the collection of what is in them.
LISTS = {"get_tables_name_and_type": "tables", "get_stored_procedures": "storedProcedures"}

#: Where upstream's context has the schema that is being read.
_OF_SCHEMA = ("database", "database_schema")


class Unread:
    """Stands before the lists of one source, this object alone, and changes none of them.

    found: why something could not be listed, by the FQN of the service, database or schema. partly: why a list may
    lack something, by its collection and the FQN of its schema.
    """

    def __init__(self, source: Any, service: str, mask: Mask) -> None:
        self.found: dict[str, str] = {}
        self.partly: dict[tuple[str, str], str] = {}
        self._source, self._service, self._mask = source, service, mask
        #: Databases that are being opened, and the last that was logged meanwhile; None: none is.
        self._opening: dict[str, str] | None = None
        self._stand_before("get_database_names", self._databases)
        self._stand_before("set_inspector", self._open)
        self._stand_before("get_database_schema_names", partial(self._listed, ("database",)))
        for name, collection in LISTS.items():
            self._stand_before(name, partial(self._overheard, collection))
        for name in ("query_table_names_and_types", "query_view_names_and_types"):
            self._stand_before(name, self._asked)

    def gaps(self) -> tuple[Gap, ...]:
        """All of it, once each."""
        whole = [Gap(fqn, why) for fqn, why in self.found.items()]
        partly = [Gap(fqn, why, kind) for (kind, fqn), why in self.partly.items() if fqn not in self.found]
        return (*whole, *partly)

    def _stand_before(self, name: str, instead: Callable[..., Any]) -> None:
        if not hasattr(self._source, name):
            return

        def original(*arguments: Any, **named: Any) -> Any:
            # Looked up at each call: accelerators change the class later.
            return getattr(type(self._source), name)(self._source, *arguments, **named)

        setattr(self._source, name, lambda *arguments, **named: instead(original, *arguments, **named))

    def _databases(self, original: Callable[[], Any]) -> Iterator[Any]:
        produced = self._listed((), original)
        while True:
            self._opening = {}
            with _last_of_the_log(self._heard):
                database = next(produced, _END)
            for name, why in self._opening.items():
                if name != str(database):
                    self._note(why, name)
            self._opening = None
            if database is _END:
                return
            yield database

    def _open(self, original: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        database = named.get("database_name", arguments[0] if arguments else None)
        if self._opening is not None and database is not None:
            self._opening[str(database)] = _SILENT
        return original(*arguments, **named)

    def _heard(self, text: str) -> None:
        if self._opening:
            self._opening[next(reversed(self._opening))] = text

    def _listed(self, place: Sequence[str], original: Callable[[], Any]) -> Iterator[Any]:
        """A list that upstream takes one by one; what it raises is a failure of the run, and its rest is not met.
        place: see `_read_now`.
        """
        try:
            yield from original() or ()
        except Exception as error:
            self._note(str(error), *self._read_now(place))
            raise

    def _overheard(self, collection: str, original: Callable[[], Any]) -> Iterator[Any]:
        """What a schema holds of a collection; a warning meanwhile is of the list, if it is of the same thread."""
        listed = self._listed(_OF_SCHEMA, original)
        here = threading.get_ident()

        def heard(text: str) -> None:
            if threading.get_ident() == here:
                schema = stored_fqn(self._service, *self._read_now(_OF_SCHEMA))
                self.partly.setdefault((collection, schema), self._first_line(text))

        while True:
            with _last_of_the_log(heard):
                one = next(listed, _END)
            if one is _END:
                return
            yield one

    def _asked(self, original: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """A list that upstream takes at once; what it raises is a warning."""
        try:
            return original(*arguments, **named)
        except Exception as error:
            self._note(str(error), *self._read_now(_OF_SCHEMA))
            raise

    def _read_now(self, place: Sequence[str]) -> list[str]:
        """Names in upstream's context, which holds an earlier schema while schemas are listed."""
        context = self._source.context.get()
        return [str(getattr(context, name)) for name in place]

    def _note(self, why: str, *names: str) -> None:
        self.found[stored_fqn(self._service, *names)] = self._first_line(why)

    def _first_line(self, text: str) -> str:
        lines = self._mask(text).strip().splitlines()
        return lines[0][:_LONGEST] if lines else _SILENT


class _Ear(logging.Handler):
    def __init__(self, heard: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == log.name:  # ours is below upstream's
            return
        with contextlib.suppress(Exception):  # a message that does not fit its arguments is another one's fault
            self._heard(record.getMessage())


@contextlib.contextmanager
def _last_of_the_log(heard: Callable[[str], None]) -> Iterator[None]:
    """Tells of each warning of upstream's, on the thread that it comes from."""
    ear, logger = _Ear(heard), logging.getLogger(_LOGGER)
    logger.addHandler(ear)
    try:
        yield
    finally:
        logger.removeHandler(ear)
