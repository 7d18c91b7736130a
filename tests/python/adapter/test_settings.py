"""Settings: every variable, what it refuses, and where the number of workers comes from."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from openmetadata_bulksink import settings


def config(**given: Any) -> Any:
    """A sink config as upstream's pydantic model gives it."""
    values = {
        "bulk_sink_batch_size": 100,
        "enable_async_pipeline": True,
        "async_pipeline_workers": 2,
        "override_metadata": False,
    }
    return SimpleNamespace(**{**values, **given}, model_fields_set=set(given))


def test_nothing_set_is_all_defaults() -> None:
    assert settings.tuning({"PATH": "/bin", "OM_OTHER": "1", "OM_BULKSINKING": "1"}) == settings.Tuning()


def test_every_variable_is_read(tmp_path: Path) -> None:
    letters = str(tmp_path / "lost.jsonl")
    found = settings.tuning(
        {
            "OM_BULKSINK": "1",
            "OM_BULKSINK_WORKERS": "8",
            "OM_BULKSINK_DELIVERY_TIMEOUT": "12.5",
            "OM_BULKSINK_BUDGET_MB": "16",
            "OM_BULKSINK_BATCH_BYTES": "1048576",
            "OM_BULKSINK_LINGER": "0.5",
            "OM_BULKSINK_STRICT_BARRIER": "1",
            "OM_BULKSINK_EMBED_LIFE_CYCLE": "true",
            "OM_BULKSINK_GZIP": "1",
            "OM_BULKSINK_DEAD_LETTERS": letters,
            "OM_BULKSINK_ACCELERATE": "version",
            "OM_BULKSINK_READ_AHEAD": "4",
        }
    )
    assert found == settings.Tuning(
        enabled=True,
        workers=8,
        delivery_timeout=12.5,
        budget_bytes=16 * 1024 * 1024,
        batch_bytes=1048576,
        linger=0.5,
        strict_barrier=True,
        embed_life_cycle=True,
        gzip=True,
        dead_letters=letters,
        accelerate=frozenset({"version"}),
        read_ahead=4,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OM_BULKSINK", "maybe"),
        ("OM_BULKSINK_WORKERS", "0"),
        ("OM_BULKSINK_WORKERS", "four"),
        ("OM_BULKSINK_DELIVERY_TIMEOUT", "-1"),
        ("OM_BULKSINK_DELIVERY_TIMEOUT", "nan"),
        ("OM_BULKSINK_BUDGET_MB", "0"),
        ("OM_BULKSINK_BATCH_BYTES", "12"),
        ("OM_BULKSINK_LINGER", "soon"),
        ("OM_BULKSINK_STRICT_BARRIER", "2"),
        ("OM_BULKSINK_EMBED_LIFE_CYCLE", "perhaps"),
        ("OM_BULKSINK_DEAD_LETTERS", "/no/such/directory/lost.jsonl"),
        ("OM_BULKSINK_DEAD_LETTERS", "/"),
        ("OM_BULKSINK_ACCELERATE", "version,warp"),
        ("OM_BULKSINK_READ_AHEAD", "-1"),
        ("OM_BULKSINK_READ_AHEAD", "65"),
    ],
)
def test_a_bad_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(settings.SettingError) as refused:
        settings.tuning({name: value})
    assert str(refused.value).startswith(name)


SECRET = "eyJhbGciOi.Top+Secret/value"


@pytest.mark.parametrize("name", [name for name in settings.VARIABLES if name != "OM_BULKSINK_DEAD_LETTERS"])
def test_a_secret_that_was_pasted_into_a_variable_is_not_shown(name: str) -> None:
    with pytest.raises(settings.SettingError) as refused:
        settings.tuning({name: SECRET})
    assert str(refused.value).startswith(name)
    assert not any(part in str(refused.value) for part in ("eyJ", "Top", "Secret/value"))


def test_of_a_directory_that_is_not_there_only_what_is_there_is_shown(tmp_path: Path) -> None:
    with pytest.raises(settings.SettingError) as refused:
        settings.tuning({"OM_BULKSINK_DEAD_LETTERS": f"{tmp_path}/{SECRET}/lost.jsonl"})
    assert f"a file below {str(tmp_path)!r}, in what is not a directory; create it first" in str(refused.value)
    assert "Secret" not in str(refused.value)


@pytest.mark.parametrize("name", [f"OM_BULKSINK_{SECRET}", "OM_BULKSINK_a1b2c3d4e5", f"OM_BULKSINK_{'A' * 40}"])
def test_a_secret_that_was_pasted_into_a_name_is_not_shown(name: str) -> None:
    (line,) = settings.unknown({name: "1"})
    assert line.startswith("A variable that begins with OM_BULKSINK_ is not a setting")
    assert name not in line


def test_an_unknown_variable_is_named_with_the_one_that_may_be_meant() -> None:
    """A warning and no error: the rest of the environment is not ours."""
    given = {"OM_BULKSINK_WORKER": "4", "OM_BULKSINK_LINGER": "1"}
    assert settings.tuning(given) == settings.Tuning(linger=1.0)
    (line,) = settings.unknown(given)
    assert line.startswith("OM_BULKSINK_WORKER is not a setting of openmetadata-bulksink and is not used;")
    assert line.endswith("; did you mean OM_BULKSINK_WORKERS?")


@pytest.mark.parametrize(
    "name",
    ["PORT", "PORT_8585_TCP", "PORT_8585_TCP_ADDR", "SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "COLOUR"],
)
def test_what_kubernetes_sets_for_a_service_is_like_no_setting(name: str) -> None:
    given = {f"OM_BULKSINK_{name}": "tcp://10.0.0.1:8585"}
    assert settings.tuning(given) == settings.Tuning()
    assert settings.unknown(given) == [f"OM_BULKSINK_{name} is not a setting of openmetadata-bulksink and is not used"]


def test_an_empty_value_is_not_set() -> None:
    assert settings.tuning({"OM_BULKSINK_WORKERS": " "}) == settings.Tuning()


@pytest.mark.parametrize(("value", "off"), [("0", True), ("false", True), ("OFF", True), ("1", False), ("what", False)])
def test_switch(value: str, off: bool) -> None:
    assert settings.switched_off({"OM_BULKSINK": value}) is off


def test_nothing_is_ahead_where_no_connection_is_granted() -> None:
    """None at all with 0; without a number the workflow may grant some."""
    everything = frozenset(settings.ACCELERATORS)
    assert settings.tuning({"OM_BULKSINK_READ_AHEAD": "0"}).accelerators == everything - {"read_ahead"}
    assert settings.tuning({"OM_BULKSINK_READ_AHEAD": "4"}).accelerators == everything
    assert settings.tuning({}).accelerators == everything
    none = settings.tuning({"OM_BULKSINK_READ_AHEAD": "4", "OM_BULKSINK_ACCELERATE": "0"})
    assert none.accelerators == frozenset()


def test_accelerators_can_be_all_none_or_named() -> None:
    assert settings.tuning({"OM_BULKSINK_ACCELERATE": "0"}).accelerate == frozenset()
    assert settings.tuning({"OM_BULKSINK_ACCELERATE": "1"}).accelerate == frozenset(settings.ACCELERATORS)
    assert settings.tuning({"OM_BULKSINK_ACCELERATE": "foreign_keys, version"}).accelerate == frozenset(
        {"version", "foreign_keys"}
    )


def test_workers_come_from_the_environment_then_the_yaml_then_the_default() -> None:
    nothing = settings.Tuning()
    assert settings.writing(config(), nothing).workers == 4
    assert settings.writing(config(async_pipeline_workers=7), nothing).workers == 7
    assert settings.writing(config(async_pipeline_workers=7), settings.Tuning(workers=3)).workers == 3
    assert settings.writing(config(), nothing, "1.11.14").workers == 2
    assert settings.writing(config(), nothing, "1.12.1").workers == 4
    assert settings.writing(config(async_pipeline_workers=7), nothing, "1.11.14").workers == 7


@pytest.mark.parametrize(
    ("wanted", "version", "said"),
    [
        (0, None, "4 workers (default; async_pipeline_workers of the workflow is 0)"),
        (
            -3,
            "1.11.14",
            "2 workers (default for a server of 1.11; async_pipeline_workers of the workflow is -3)",
        ),
        (500, None, "64 workers (the most; async_pipeline_workers of the workflow is 500)"),
        (64, None, "64 workers (async_pipeline_workers of the workflow)"),
    ],
)
def test_a_workflow_whose_workers_make_no_sense_runs_as_before_and_the_start_line_says_so(
    wanted: int, version: str | None, said: str
) -> None:
    how = settings.writing(config(async_pipeline_workers=wanted), settings.Tuning(), version)
    assert how.describe() == f"{said}, 100 records a request"


def test_the_variable_has_the_bound_of_the_key() -> None:
    most = {"OM_BULKSINK_WORKERS": str(settings.MOST_WORKERS)}
    assert settings.tuning(most).workers == settings.MOST_WORKERS
    with pytest.raises(settings.SettingError, match="OM_BULKSINK_WORKERS"):
        settings.tuning({"OM_BULKSINK_WORKERS": str(settings.MOST_WORKERS + 1)})


def test_synchronous_mode() -> None:
    nothing = settings.Tuning()
    assert not settings.writing(config(), nothing).synchronous
    assert settings.writing(config(bulk_sink_batch_size=1), nothing).synchronous
    assert settings.writing(config(bulk_sink_batch_size=0), nothing) == settings.writing(
        config(bulk_sink_batch_size=1), nothing
    )
    assert settings.writing(config(enable_async_pipeline=False), nothing).synchronous


def test_the_query_of_bulk_requests_is_that_of_the_upstream_version() -> None:
    before_2 = config()
    del before_2.override_metadata
    assert settings.writing(before_2, settings.Tuning()).bulk_query == "async=false"
    assert settings.writing(config(), settings.Tuning()).bulk_query == "async=false&overrideMetadata=false"
    overriding = settings.writing(config(override_metadata=True), settings.Tuning())
    assert overriding.bulk_query == "async=false&overrideMetadata=true"


def test_what_nobody_set_is_left_to_the_engine() -> None:
    how = settings.writing(config(), settings.Tuning())
    arguments = settings.engine_arguments(settings.Tuning(linger=0.0), how, {"base_url": "http://x/api/v1"})
    assert arguments == {
        "base_url": "http://x/api/v1",
        "bulk_query": "async=false&overrideMetadata=false",
        "batch_size": 100,
        "workers": 4,
        "synchronous": False,
        "embed_life_cycle": False,
        "gzip": False,
        "keep_source_hash": False,
        "linger": 0.0,
    }


def test_the_page_of_settings_lists_every_accelerator() -> None:
    page = Path(__file__).parents[3] / "docs" / "operations.md"
    (line,) = [line for line in page.read_text().splitlines() if line.startswith("| `OM_BULKSINK_ACCELERATE` ")]
    listed = line.partition("with commas between them: ")[2].partition(" (")[0]
    assert listed.split(", ") == [f"`{name}`" for name in settings.ACCELERATORS]
