"""`make fuzz`: libFuzzer makes up input from outside, and the checks of tests/hostile say what must hold for it.

Without a nightly Rust: its flags are asked of the installed one, and the sanitizers, which only a nightly has, are left
out; the checks, overflow checks and time limits of one input remain.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tools import cache, machine, steps

_CARGO_FUZZ = "0.13.2"
_BUILT = machine.REPOSITORY / "target" / "fuzz"
_CHECKS = machine.REPOSITORY / "tests" / "hostile"
#: The line that the planted panic says (src/panics.rs).
_PLANTED = "planted"
#: An input may be so long (bytes), take so long (seconds) and so much (MB).
_BOUNDS = ("-max_len=65536", "-timeout=10", "-rss_limit_mb=1024")


def targets() -> list[str]:
    """Each has a corpus under tests/hostile and a file under fuzz/fuzz_targets."""
    return sorted(path.stem for path in (machine.REPOSITORY / "fuzz" / "fuzz_targets").glob("*.rs"))


def run(seconds: int | None, *, planted: bool) -> int:
    """Searches for so many seconds in each target; returns 1 where one found something. With `planted` a panic is there
    to be found, and 1 means that a target did not find it.
    """
    # What is found ends the search: the longer time is for a machine that is busy.
    seconds = seconds or (300 if planted else 60)
    environment = {"RUSTC_BOOTSTRAP": "1", "PATH": f"{_cargo_fuzz()}{os.pathsep}{os.environ['PATH']}"}
    options = ["--sanitizer", "none", "--target-dir", _BUILT, *(("--features", "planted") if planted else ())]
    title = "building the targets (six minutes the first time)"
    steps.run(title, [machine.cargo(), "fuzz", "build", *options], cwd=machine.REPOSITORY, environment=environment)
    wrong = []
    for target in targets():
        print(f"- {target}: {seconds} s at the most", flush=True)
        found = _search(target, seconds, planted)
        if planted and not (found and _PLANTED in found.splitlines()):
            print(found or "nothing was found")
            wrong.append(f"{target} did not find the planted panic")
        elif not planted and found is not None:
            print(found)
            wrong.append(f"{target} found something")
    well = "each found the planted panic" if planted else "no finding"
    print(f"fuzz: {'; '.join(wrong) or well}")
    return 1 if wrong else 0


def _search(target: str, seconds: int, planted: bool) -> str | None:
    """What libFuzzer said of a finding; None without one."""
    kept = _BUILT / ("planted" if planted else "kept") / target
    # A planted panic is to be found from the committed corpus alone.
    if planted:
        shutil.rmtree(kept, ignore_errors=True)
    for folder in ("corpus", "findings"):
        (kept / folder).mkdir(parents=True, exist_ok=True)
    (program,) = _BUILT.glob(f"*/release/{target}")
    command: steps.Command = [
        *(program, kept / "corpus", _CHECKS / "corpus" / target),
        *(f"-max_total_time={seconds}", f"-artifact_prefix={kept / 'findings'}/", *_BOUNDS),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    lines = ran.stderr.splitlines()
    if ran.returncode == 0:
        print("  " + next((line for line in reversed(lines) if line.startswith("Done ")), "done"), flush=True)
        return None
    return "\n".join(line for line in lines[-60:] if not line.startswith(("#", "WARNING")))


def _cargo_fuzz() -> Path:
    """The folder with the program `cargo-fuzz`."""
    version = subprocess.run([machine.cargo(), "--version"], capture_output=True, text=True, check=True).stdout
    key = cache.fingerprint(_CARGO_FUZZ, version)

    def fill(path: Path) -> None:
        install: steps.Command = [
            machine.cargo(),
            "install",
            "cargo-fuzz",
            "--version",
            _CARGO_FUZZ,
            "--locked",
            "--root",
            path,
        ]
        steps.run("installing cargo-fuzz (two minutes)", install, environment={"CARGO_TARGET_DIR": str(path / "built")})
        shutil.rmtree(path / "built")

    return cache.directory("programs", "cargo-fuzz", key, fill) / "bin"
