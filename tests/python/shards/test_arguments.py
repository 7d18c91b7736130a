"""What is said to people whose command line cannot be used."""

from __future__ import annotations

import pytest

from openmetadata_bulksink import cli

PLAN = ["shard", "plan", "-c", "x.yaml", "-n"]
ALL = ["shard", "all", "-c", "x.yaml"]
RUN = ["shard", "run", "-c", "x.yaml", "--plan", "plan.json", "--shard"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*PLAN, "abc"], "-n/--shards: must be a whole number from 1 to 10000, not 'abc'"),
        ([*PLAN, "0"], "-n/--shards: must be a whole number from 1 to 10000, not '0'"),
        ([*PLAN, "1e3"], "must be a whole number from 1 to 10000, not '1e3'"),
        ([*ALL, "--processes", "two"], "--processes: must be a whole number from 1 to 10000, not 'two'"),
        ([*ALL, "--max-deleted", "many"], "--max-deleted: must be a number from 0 to 100, not 'many'"),
        ([*ALL, "--max-deleted", "nan"], "--max-deleted: must be a number from 0 to 100, not 'nan'"),
        ([*RUN, "first"], "--shard: must be a whole number from 0 to 10000, not 'first'"),
        ([*RUN, "-1"], "--shard: must be a whole number from 0 to 10000, not '-1'"),
    ],
)
def test_a_number_that_is_none_is_named_with_what_it_must_be(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli._parser().parse_args(words)
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert "_value" not in printed
    assert "invalid" not in printed
