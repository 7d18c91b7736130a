"""The wheel keeps what its tag promises: glibc 2.17, the stable ABI of CPython 3.10, nothing else of the system."""

from __future__ import annotations

import base64
import contextlib
import csv
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

from tests.prepared import prepared
from tools import machine

OLDEST_GLIBC = (2, 17)
#: What every Linux with glibc has.
SYSTEM = {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "ld-linux-x86-64.so.2"}
SERIES = ("3.10", "3.11", "3.12", "3.13")
PROGRAMS = Path(sys.executable).parent


def interpreters() -> list[machine.Interpreter]:
    """Each CPython that the wheel is for and that this machine has; the one that runs this is one of them."""
    found = []
    for series in SERIES:
        with contextlib.suppress(machine.Missing):
            found.append(machine.python(series))
    assert found
    return found


def files_of(wheel: str) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def native_module(wheel: str) -> ELFFile:
    (name,) = (name for name in files_of(wheel) if name.endswith(".so"))
    assert name == "openmetadata_bulksink/_native.abi3.so"
    return ELFFile(io.BytesIO(files_of(wheel)[name]))


def wanted_of_glibc(wheel: str) -> set[tuple[int, ...]]:
    """The versions of glibc's symbols that a wheel's native module asks for."""
    (section,) = (one for one in native_module(wheel).iter_sections() if isinstance(one, GNUVerNeedSection))
    names = {version.name for _, versions in section.iter_versions() for version in versions}
    return {tuple(map(int, name.removeprefix("GLIBC_").split("."))) for name in names if name.startswith("GLIBC_")}


def said_by_auditwheel(wheel: str) -> dict[str, object]:
    command = [PROGRAMS / "auditwheel", "show", "--json", wheel]
    said: dict[str, object] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return said


def test_the_tag() -> None:
    wheel = Path(prepared("PORTABLE_WHEEL"))
    name, version, python, abi, platforms = wheel.stem.split("-")
    assert (name, version) == ("openmetadata_bulksink", prepared("STATED_VERSION"))
    assert (python, abi) == ("cp310", "abi3")
    assert set(platforms.split(".")) == {"manylinux_2_17_x86_64", "manylinux2014_x86_64"}


def test_no_symbol_is_younger_than_the_tag() -> None:
    found = wanted_of_glibc(prepared("PORTABLE_WHEEL"))
    assert found
    assert max(found) <= OLDEST_GLIBC


def test_a_wheel_of_this_machines_glibc_is_found_out() -> None:
    wheel = prepared("ORDINARY_WHEEL")
    assert max(wanted_of_glibc(wheel)) > OLDEST_GLIBC
    assert said_by_auditwheel(wheel)["overall_tag"] != "manylinux_2_17_x86_64"


def test_auditwheel_agrees() -> None:
    said = said_by_auditwheel(prepared("PORTABLE_WHEEL"))
    assert said["overall_tag"] == "manylinux_2_17_x86_64"
    assert said["external_libs"] == {}


def test_it_asks_for_libraries_of_the_system_only() -> None:
    dynamic = native_module(prepared("PORTABLE_WHEEL")).get_section_by_name(".dynamic")
    needed = {tag.needed for tag in dynamic.iter_tags() if tag.entry.d_tag == "DT_NEEDED"}
    assert "libc.so.6" in needed
    assert needed <= SYSTEM


def test_it_keeps_to_the_stable_abi() -> None:
    command = [PROGRAMS / "abi3audit", "--strict", "--report", prepared("PORTABLE_WHEEL")]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    (audited,) = (one for spec in report["specs"].values() for one in spec["wheel"])
    result = audited["result"]
    assert (result["is_abi3"], result["baseline"], result["non_abi3_symbols"]) == (True, "3.10", [])


def test_the_record_names_each_file_with_its_hash() -> None:
    files = files_of(prepared("PORTABLE_WHEEL"))
    (record,) = (name for name in files if name.endswith(".dist-info/RECORD"))
    rows = {row[0]: row[1] for row in csv.reader(io.StringIO(files[record].decode()))}
    assert rows.keys() == files.keys()
    for name, digest in rows.items():
        if name != record:
            wanted = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).rstrip(b"=").decode()
            assert digest == f"sha256={wanted}", name


def test_metadata_licences_and_bill_of_materials() -> None:
    files = files_of(prepared("PORTABLE_WHEEL"))
    (folder,) = {name.partition("/")[0] for name in files if ".dist-info/" in name}
    metadata = Parser().parsestr(files[f"{folder}/METADATA"].decode())
    assert metadata["Version"] == prepared("STATED_VERSION")
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata.get_all("Requires-Dist") is None
    assert b"Apache License" in files[f"{folder}/licenses/LICENSE"]
    assert b"\n## tokio " in files[f"{folder}/licenses/THIRD-PARTY-LICENSES"]
    (bill,) = (name for name in files if name.startswith(f"{folder}/sboms/"))
    components = json.loads(files[bill])["components"]
    assert [one["name"] for one in components if not (one.get("licenses") and one.get("hashes"))] == []
    crates = {(component["name"], component["version"]) for component in components}
    assert {"tokio", "reqwest", "rustls", "pyo3"} <= {name for name, _ in crates}
    locked = re.findall(r'name = "(.+)"\nversion = "(.+)"', (machine.REPOSITORY / "Cargo.lock").read_text())
    assert crates <= set(locked)


def test_the_sdist_holds_what_a_build_needs_and_nothing_that_was_built() -> None:
    with tarfile.open(prepared("PORTABLE_SDIST")) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert {"Cargo.toml", "Cargo.lock", "pyproject.toml", "LICENSE", "src/lib.rs"} <= set(names)
    assert "python/openmetadata-bulksink-init.pth" in names
    built = (".so", ".pyc", ".whl")
    assert [name for name in names if name.endswith(built) or name.startswith(("target/", "dist/"))] == []


@pytest.mark.parametrize("interpreter", interpreters(), ids=lambda found: found.series)
def test_it_installs_and_writes(interpreter: machine.Interpreter, tmp_path: Path) -> None:
    uv, environment = prepared("UV"), tmp_path / "venv"
    for words in (
        ["venv", "--python", interpreter.executable, environment],
        ["pip", "install", "--no-index", "--python", environment, prepared("PORTABLE_WHEEL")],
    ):
        subprocess.run([uv, *words, "--quiet", "--offline"], check=True)
    smoke = Path(__file__).with_name("smoke.py")
    ran = subprocess.run([environment / "bin" / "python", smoke], capture_output=True, text=True, timeout=60)
    assert (ran.stdout, ran.stderr) == (f"openmetadata-bulksink {prepared('STATED_VERSION')} wrote 100 tables\n", "")
