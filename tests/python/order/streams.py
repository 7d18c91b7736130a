"""Streams of records and reads, made from a seed: what a source might yield and ask for, in an order it might choose.

A stream is a list of steps, plain data that can be printed. Leaving steps out gives another stream, so that one which
has shown something can be shortened. Parents come
first. What a stream never holds, because the outcome is a matter of timing with upstream's sink too:

- a change of a query or a data model while its first record may be pending: the first one wins (`Kind.first_wins`);
- the deletion of an entity that has a life cycle, or of what such an entity names: upstream writes life cycles when the
  sink is closed;
- a record, or a life cycle, behind one of the same entity that names what never comes: ours keeps their order and waits
  for the end of the run, where upstream's loses the first and goes on;
- the deletion of a table or of what is above it while something else names it, and foreign keys to deleted tables: what
  a source deletes is not in it any more, so that nothing in it can name it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.python.order.kinds import FAMILIES, KINDS, Body
from tests.python.order.upstream_classes import Classes

#: Names that a source may bring, unusual ones included. Encoded by upstream's own models where they must be.
NAMES = (
    *(f"t{number}" for number in range(6)),
    "orders",
    "Orders",
    "two words",
    "a.b",
    "with/slash",
    "x::y",
    "p>q",
    'quo"ted',
    "ünï–code",
    "100%&+?#",
    "long" * 40,
)
PLAIN_NAMES = ("alpha", "beta", "two words", "gamma.delta", "ünï")
USER_NAMES = ("ann", "Bob", "carl.c", "DORA")


@dataclass(frozen=True)
class Step:
    """One thing that happens: `act` says what (see `Side`), to which entity, with what."""

    act: str
    kind: str = ""
    fqn: str = ""
    body: Body = field(default_factory=dict)

    def __str__(self) -> str:
        words = [self.act, self.kind, self.fqn, repr(self.body) if self.body else ""]
        return " ".join(word for word in words if word)


class Stream:
    """Makes one stream; also the dice that bodies are thrown with (`kinds.Dice`)."""

    def __init__(self, seed: int, classes: Classes, *, length: int = 24, only_creates: bool = False) -> None:
        self.rng = Random(seed)
        self.steps: list[Step] = []
        self._classes = classes
        self._only_creates = only_creates
        self._alive: dict[str, dict[str, Body]] = {}
        self._dead: list[tuple[str, str]] = []
        self._lived: set[str] = set()
        self._spoilt: set[tuple[str, str]] = set()
        families = self.rng.sample(sorted(FAMILIES), k=self.rng.choice((1, 1, 2, 3)))
        if self.rng.random() < 0.4:
            families.append("governance")
        self._mix = [kind for family in families for kind in FAMILIES[family] if classes.has(kind)]
        if only_creates:
            # What upstream writes singly is refused at once where something that it names is still to come.
            self._mix = [kind for kind in self._mix if not classes.is_single(kind) or kind == "domain"] or ["topic"]
        acts = [act for act in _ACTS if act.when is None or classes.has(act.when)]
        if only_creates:
            acts = [act for act in acts if act.make in (Stream._create, Stream._update, Stream._repeat)]
        weights = [act.weight for act in acts]
        while len(self.steps) < length:
            (act,) = self.rng.choices(acts, weights)
            act.make(self)

    # --- what bodies ask ---

    def some(self, kind: str) -> str | None:
        made = self._alive.get(kind)
        return self.rng.choice(list(made)) if made else None

    # --- records of their own ---

    def _create(self) -> None:
        self._make(self.rng.choice(self._mix))

    def _make(self, name: str) -> str:
        """A new entity, or one that happens to be there already."""
        kind = KINDS[name]
        body: Body = {}
        above: str | None = None
        for at, (parent_kind, parent_field) in enumerate(kind.parents):
            last = at + 1 == len(kind.parents)
            if above is None and (last or (self._alive.get(parent_kind) and self.rng.random() < 0.5)):
                above = self.some(parent_kind) or self._make(parent_kind)
                if parent_field:
                    body[parent_field] = _plain(above) if parent_field in kind.by_name else above
            elif above is not None:
                root = self._classes.split(above)[0]
                body[parent_field] = _plain(root) if parent_field in kind.by_name else root
        if kind.first_wins and name == "query":
            body["query"] = f"select {self.rng.randrange(6)} -- ünï"
        else:
            body["name"] = self._name_for(name)
        body.update(self._details(name, body))
        if name == "testCase":
            body["entityLink"] = f"<#E::table::{above}>"
        fqn = self._classes.fqn(name, body, above)
        if (name, fqn) in self._spoilt:
            return fqn
        if kind.first_wins and fqn in self._alive.get(name, {}):
            body = self._alive[name][fqn]
        self._record("direct" if self.rng.random() < 0.04 and not self._only_creates else "create", name, fqn, body)
        return fqn

    def _details(self, kind: str, body: Body) -> Body:
        """Fields beside names and parents. Nobody else has a user's address: the server would refuse it."""
        details = KINDS[kind].body(self)
        if kind == "user":
            details["email"] = f"{body['name'].lower()}.{details['email']}"
        return details

    def _name_for(self, kind: str) -> str:
        if kind == "user":
            return self.rng.choice(USER_NAMES)
        if not KINDS[kind].parents or "Service" in kind:
            return self.rng.choice(PLAIN_NAMES)
        return self.rng.choice(NAMES)

    def _record(self, act: str, kind: str, fqn: str, body: Body) -> None:
        if self._only_creates:
            # An id has to be read before it can be named; what is still to come has none.
            body = {name: value for name, value in body.items() if "$reference" not in repr(value)}
        for key in body.get("tableConstraints", ()):
            if self._classes.above(key["referredColumns"][0]) not in self._alive.get("table", {}):
                body = {name: value for name, value in body.items() if name != "tableConstraints"}
        self._alive.setdefault(kind, {})[fqn] = body
        self.steps.append(Step(act, kind, fqn, body))

    def _update(self) -> None:
        kind, fqn = self._any(to_write=True)
        old = self._alive[kind][fqn]
        if KINDS[kind].first_wins and self._only_creates:
            return
        kept = {key: value for key, value in old.items() if not _is_detail(kind, key)}
        act = "read_and_create" if KINDS[kind].first_wins else "create"
        self._record(act, kind, fqn, {**self._details(kind, old), **kept})

    def _repeat(self) -> None:
        kind, fqn = self._any(to_write=True)
        self._record("create", kind, fqn, self._alive[kind][fqn])

    def _orphan(self) -> None:
        """A record that names something that is not there and never will be."""
        kind, fqn = self._any(to_write=True)
        if "tags" not in KINDS[kind].fields or KINDS[kind].first_wins or fqn in self._lived:
            return
        missing = [{"tagFQN": "Nowhere.Tag", "source": "Classification", "labelType": "Manual", "state": "Confirmed"}]
        self._spoilt.add((kind, fqn))
        self.steps.append(Step("create", kind, fqn, {**self._alive[kind][fqn], "tags": missing}))

    def _any(self, *, to_write: bool = False) -> tuple[str, str]:
        pairs = [(kind, fqn) for kind, made in self._alive.items() for fqn in made if "Service" not in kind]
        if to_write:
            pairs = [pair for pair in pairs if pair not in self._spoilt]
        while not pairs:
            kind = self.rng.choice(self._mix)
            pair = kind, self._make(kind)
            pairs = [pair] if pair not in self._spoilt else []
        return self.rng.choice(pairs)

    def _of(self, kind: str) -> str:
        return self.some(kind) or self._make(kind)

    # --- reads ---

    def _read(self) -> None:
        if self._dead and self.rng.random() < 0.15:
            self._read_one(*self.rng.choice(self._dead))
        elif self.rng.random() < 0.1:
            kind, fqn = self._any()
            self._read_one(kind, f"{fqn}.not_there")
        else:
            self._read_one(*self._any())

    def _read_one(self, kind: str, fqn: str) -> None:
        wanted = KINDS[kind].fields
        fields = sorted(self.rng.sample(wanted, k=self.rng.randrange(len(wanted) + 1)))
        self.steps.append(Step("get", kind, fqn, {"fields": fields} if fields else {}))

    def _read_id(self) -> None:
        """By id, behind a Barrier: without one, a read by id sees what it sees."""
        kind, fqn = self._any()
        self._read_one(kind, fqn)
        if self._classes.has("barrier"):
            if self.rng.random() < 0.5:
                self._update()
            self.steps.append(Step("get_id", kind, fqn))

    def _list(self) -> None:
        kind, fqn = self._any()
        scope = KINDS[kind].scope
        parameters: Body = {}
        if scope and self.rng.random() < 0.7:
            above = self._classes.above(fqn, KINDS[kind].infix)
            root = self._classes.split(fqn)[0]
            parameters = {scope: _plain(root) if scope == "service" else above}
        if self.rng.random() < 0.3:
            parameters["include"] = self.rng.choice(("all", "deleted", "non-deleted"))
        self.steps.append(Step("list", kind, body={"params": parameters, "limit": self.rng.choice((2, 100))}))

    # --- the rest of what a source yields ---

    def _barrier(self) -> None:
        self.steps.append(Step("barrier"))

    def _life_cycle(self) -> None:
        fqn = self._of("table")
        body = repr(self._alive["table"].get(fqn))
        if ("table", fqn) in self._spoilt or any(gone in body for _, gone in self._dead):
            return
        self._lived.add(fqn)
        self.steps.append(Step("life_cycle", "table", fqn, {"created": {"timestamp": self.rng.randrange(1, 99)}}))

    def _patch(self) -> None:
        kind, fqn = self._any(to_write=True)
        if self.rng.random() < 0.6:
            self._read_one(kind, fqn)
        if self.rng.random() < 0.3 and not KINDS[kind].first_wins:
            self._record("create", kind, fqn, {**self._alive[kind][fqn], "displayName": "Before the patch"})
        change = {self.rng.choice(("description", "displayName")): self.rng.choice(("patched", "patched again"))}
        self.steps.append(Step("patch", kind, fqn, change))

    def _delete(self) -> None:
        kind, fqn = self._any()
        if kind == "query" or kind in FAMILIES["people"] or self._has_lived(fqn):
            return
        if kind in FAMILIES["databases"] and self._is_named_elsewhere(fqn):
            return
        self.steps.append(Step("delete", kind, fqn))
        for other, made in self._alive.items():
            for one in [one for one in made if self._classes.is_within(one, fqn)]:
                del made[one]
                self._dead.append((other, one))

    def _has_lived(self, fqn: str) -> bool:
        bodies = self._alive.get("table", {})
        return any(self._classes.is_within(one, fqn) or fqn in repr(bodies.get(one)) for one in self._lived)

    def _is_named_elsewhere(self, fqn: str) -> bool:
        others = ((one, body) for made in self._alive.values() for one, body in made.items())
        return any(fqn in repr(body) for one, body in others if not self._classes.is_within(one, fqn))

    def _tag(self) -> None:
        """What sources yield for each label: a classification and a tag, again and again, seldom changed."""
        group, name = self.rng.choice(("Group", "Other")), self.rng.choice(("one", "two", "dot.ted"))
        tag = {"classification": group, "name": name, "description": self._seldom("made singly")}
        above = f"{group}.one"
        if name == "two" and above in self._alive.get("tag", {}) and self.rng.random() < 0.3:
            tag["parent"] = above
        elif self.rng.random() < 0.05:
            tag["parent"] = f"{group}.nowhere"
        fqn = f"{tag.get('parent', group)}.{self._classes.quote(name)}"
        if "nowhere" not in fqn:
            self._alive.setdefault("tag", {})[fqn] = tag
        body = {"for": self.some("table") or group, "tag": tag}
        body["group"] = {"name": group, "description": self._seldom("of the source")}
        self.steps += [Step("tag", "tag", fqn, body)] * self.rng.choice((1, 1, 2, 3))

    def _seldom(self, text: str) -> str:
        return f"{text}, changed" if self.rng.random() < 0.1 else text

    def _profile(self) -> None:
        name = self.rng.choice(USER_NAMES)
        teams = [self.rng.choice(("red", "blue"))] if self.rng.random() < 0.6 else []
        self.steps.append(Step("user_profile", "user", name.lower(), {"name": name, "teams": teams}))

    def _lineage(self) -> None:
        ends = [self._lineage_end(), self._lineage_end()]
        if ends[0] == ends[1]:
            return
        way = self.rng.choice(("lineage", "lineage_by_name", "lineage_override"))
        if not self._classes.has(way):
            way = "lineage"
        self.steps.append(
            Step(way, body={"from": ends[0], "to": ends[1], "sql": self.rng.choice((None, "insert into t select 1"))})
        )

    def _lineage_end(self) -> list[str]:
        kinds = [
            kind
            for kind in ("table", "topic", "dashboard", "dashboardDataModel", "pipeline", "mlmodel")
            if self.some(kind)
        ]
        kind = self.rng.choice(kinds or ["table"])
        return [kind, self._of(kind)]

    def _topic_sample(self) -> None:
        self.steps.append(Step("topic_sample", "topic", self._of("topic"), {"messages": [self._word()]}))

    def _index_sample(self) -> None:
        self.steps.append(Step("index_sample", "searchIndex", self._of("searchIndex"), {"messages": [self._word()]}))

    def _table_sample(self) -> None:
        self.steps.append(Step("table_sample", "table", self._of("table"), {"rows": [[self._word()]]}))

    def _table_profile(self) -> None:
        self.steps.append(Step("table_profile", "table", self._of("table"), {"rows": self.rng.randrange(100)}))

    def _usage(self) -> None:
        kind = self.rng.choice(("dashboard", "pipeline"))
        if not self._classes.has(f"{kind}_usage"):
            return
        self.steps.append(Step(f"{kind}_usage", kind, self._of(kind), {"count": self.rng.randrange(100)}))

    def _pipeline_status(self) -> None:
        self.steps.append(Step("pipeline_status", "pipeline", self._of("pipeline"), {"timestamp": 1_700_000_000_000}))

    def _data_model(self) -> None:
        self.steps.append(Step("data_model", "table", self._of("table"), {"sql": f"select {self._word()}"}))

    def _test_result(self) -> None:
        self.steps.append(Step("test_result", "testCase", self._of("testCase"), {"timestamp": 1_700_000_000_000}))

    def _custom_property(self) -> None:
        self.steps.append(Step("custom_property", "table", body={"name": self.rng.choice(("colour", "shape"))}))

    def _stale(self) -> None:
        """What upstream's sources do when they are through with a scope: a Barrier, then the deletion of the unseen."""
        kind = self.rng.choice(("table", "databaseSchema", "storedProcedure"))
        fqn = self._of(kind)
        scope = self._classes.above(fqn)
        below = [one for one in self._alive[kind] if self._classes.above(one) == scope]
        kept = [one for one in below if self._has_lived(one) or self._is_named_elsewhere(one)]
        seen = [one for one in below if one in kept or self.rng.random() < 0.7]
        parameter = "database" if kind == "databaseSchema" else "databaseSchema"
        self.steps.append(Step("delete_stale", kind, scope, {"parameter": parameter, "seen": seen}))
        gone = [one for one in below if one not in seen]
        for made_kind, made in self._alive.items():
            for one in [one for one in made if any(self._classes.is_within(one, top) for top in gone)]:
                del made[one]
                self._dead.append((made_kind, one))

    def _word(self) -> str:
        return self.rng.choice(("alpha", "beta", "gamma"))


def _is_detail(kind: str, key: str) -> bool:
    """Whether a field may change between two records of one entity: all but name and parents."""
    identity = {"name", "query", "entityLink", "testDefinition", "classification", "glossary", "service"}
    return key not in identity | {name for _, name in KINDS[kind].parents}


def _plain(fqn: str) -> str:
    return fqn[1:-1] if fqn.startswith('"') and fqn.endswith('"') else fqn


@dataclass(frozen=True)
class _Act:
    make: Callable[[Stream], Any]
    weight: float
    when: str | None = None


_ACTS = (
    _Act(Stream._create, 30),
    _Act(Stream._update, 16),
    _Act(Stream._repeat, 6),
    _Act(Stream._orphan, 2),
    _Act(Stream._read, 14),
    _Act(Stream._read_id, 2),
    _Act(Stream._list, 7),
    _Act(Stream._barrier, 4, "barrier"),
    _Act(Stream._life_cycle, 4),
    _Act(Stream._patch, 5),
    _Act(Stream._delete, 3),
    _Act(Stream._stale, 2, "delete_stale"),
    _Act(Stream._tag, 5),
    _Act(Stream._profile, 1),
    _Act(Stream._lineage, 4),
    _Act(Stream._topic_sample, 1),
    _Act(Stream._index_sample, 1),
    _Act(Stream._table_sample, 1),
    _Act(Stream._table_profile, 1),
    _Act(Stream._usage, 1),
    _Act(Stream._pipeline_status, 1),
    _Act(Stream._data_model, 1),
    _Act(Stream._test_result, 1),
    _Act(Stream._custom_property, 0.5),
)


def child_first(stream: Stream, rng: Random) -> list[Step]:
    """The records of a stream shuffled, what upstream writes singly in front, records of one entity still in their own
    order.
    """
    first = [step for step in stream.steps if stream._classes.is_single(step.kind)]
    rest = [step for step in stream.steps if not stream._classes.is_single(step.kind)]
    order = sorted(range(len(rest)), key=lambda _: rng.random())
    places: dict[tuple[str, str], list[int]] = {}
    for at in order:
        places.setdefault((rest[at].kind, rest[at].fqn), []).append(at)
    for mine in places.values():
        mine.sort()
    shuffled = [places[rest[at].kind, rest[at].fqn].pop(0) for at in order]
    return first + [rest[at] for at in shuffled]
