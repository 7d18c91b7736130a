"""Resolves the pinned requirements anew; run by hand, the result is committed."""

from __future__ import annotations

from tools import environments, steps

_QUIET = ("--quiet", "--no-annotate", "--no-header", "--no-emit-index-url", "--upgrade")


def resolve() -> int:
    """Writes build.txt and one upstream-VERSION.txt for each version."""
    here = environments.REQUIREMENTS
    compile_: steps.Command = [environments.uv(), "pip", "compile", *_QUIET]
    oldest = ["--python-version", "3.10", "--universal"]
    steps.run("resolving build.txt", [*compile_, *oldest, here / "build.in", "--output-file", here / "build.txt"])
    for version in environments.UPSTREAM_VERSIONS:
        wanted = here / f"upstream-{version}.in"
        wanted.write_text(f"openmetadata-ingestion[postgres,redshift]=={version}\n")
        inputs = [wanted, here / "upstream.in"]
        if version.startswith(("1.11.", "1.12.")):
            inputs.append(here / "upstream-1.x.in")
        try:
            steps.run(
                f"resolving upstream-{version}.txt",
                [
                    *compile_,
                    *("--python-version", environments.UPSTREAM_PYTHON),
                    *("--constraints", here / "upstream-constraints.txt"),
                    *("--overrides", here / "upstream-overrides.txt"),
                    *inputs,
                    *("--output-file", here / f"upstream-{version}.txt"),
                ],
            )
        finally:
            wanted.unlink()
    return 0
