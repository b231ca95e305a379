"""What is installed is what the project says: version, command, data files, dependencies, compiled modules."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib import import_module, metadata
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import tcpscope
from tcpscope.version import __version__, compiled, version_line

ROOT = Path(__file__).parent.parent
PACKAGE = Path(str(tcpscope.__file__)).parent
SETTINGS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT: dict[str, Any] = SETTINGS["project"]
WHEELS: dict[str, Any] = SETTINGS["tool"]["cibuildwheel"]
EXTRAS = [requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra]


def setup_constant(name: str) -> Any:
    """A literal of setup.py, which cannot be imported: that would build the package."""
    for node in ast.parse((ROOT / "setup.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    raise AssertionError(f"setup.py has no {name}")


def hot_modules() -> list[Path]:
    """Source files of the hot layers and other modules to compile, relative to the directory that holds the package."""
    top = PACKAGE.parent
    paths = [path for layer in setup_constant("HOT") for path in sorted((top / layer).rglob("*.py"))]
    more = [top / path for path in setup_constant("ALSO_HOT")]
    return [path.relative_to(top) for path in [*paths, *more] if path.name != "__init__.py"]


def test_plain_modules_exist_and_have_a_reason() -> None:
    plain = setup_constant("PLAIN")
    assert {Path(path) for path in plain} <= set(hot_modules())
    assert all(plain.values())


def test_all_hot_modules_run_compiled_or_none() -> None:
    plain = {Path(path) for path in setup_constant("PLAIN")}
    for path in hot_modules():
        spec = find_spec(".".join(path.with_suffix("").parts))
        assert spec is not None
        is_extension = str(spec.origin).endswith(tuple(EXTENSION_SUFFIXES))
        assert is_extension == (compiled() and path not in plain), path


def test_version_is_the_same_everywhere() -> None:
    assert version_line() == f"tcpscope {__version__} ({'compiled' if compiled() else 'uncompiled'})"
    try:
        installed = metadata.version("tcpscope")
    except metadata.PackageNotFoundError:
        pytest.skip("runs from the source tree, nothing is installed")
    assert installed == __version__


def test_the_command_says_its_version() -> None:
    module, _, function = PROJECT["scripts"]["tcpscope"].partition(":")
    assert callable(getattr(import_module(module), function))
    command = [sys.executable, "-m", "tcpscope", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PACKAGE.parent)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, version_line(), "")


def test_data_files_are_beside_the_code() -> None:
    assert (PACKAGE / "py.typed").exists()
    assert list((PACKAGE / "report").glob("*.json"))
    assert {path.suffix for path in (PACKAGE / "report/html").iterdir()} >= {".css", ".html", ".js"}


DISTRIBUTIONS = {"vl_convert": "vl-convert-python"}
"""Modules that come in a package of another name."""


def third_party_imports(path: Path) -> set[str]:
    """Top-level names of the packages that a file imports from elsewhere."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module).split(".")[0])
    names = {DISTRIBUTIONS.get(name, name) for name in names}
    return names - sys.stdlib_module_names - {"tcpscope"}


def test_what_is_imported_is_declared() -> None:
    declared = {canonicalize_name(Requirement(text).name) for text in [*PROJECT["dependencies"], *EXTRAS]}
    for path in sorted(PACKAGE.rglob("*.py")):
        imported = {canonicalize_name(name) for name in third_party_imports(path)}
        assert imported <= declared, path


def test_core_dependencies_are_used() -> None:
    imported = {canonicalize_name(name) for path in PACKAGE.rglob("*.py") for name in third_party_imports(path)}
    for text in PROJECT["dependencies"]:
        assert canonicalize_name(Requirement(text).name) in imported


def test_pinned_versions_are_within_the_ranges() -> None:
    lines = (ROOT / "tests" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    pinned = {canonicalize_name(name): version for name, version in pins.items()}
    for text in [*PROJECT["dependencies"], *EXTRAS]:
        requirement = Requirement(text)
        if requirement.name != "tcpscope":
            assert pinned[canonicalize_name(requirement.name)] in requirement.specifier, text


def test_there_are_wheels_for_each_python_that_is_named() -> None:
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert WHEELS["build"] == [f"cp{version.replace('.', '')}-*" for version in named]
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert [f"3.{minor}" for minor in range(int(named[-1][2:]) + 1) if f"3.{minor}" in allowed] == named


def test_wheels_are_tested_with_what_is_there() -> None:
    assert WHEELS["test-environment"]["TCPSCOPE_EXPECT"] == "compiled"
    given = [ROOT / path for path in WHEELS["test-sources"]]
    assert PACKAGE not in given
    assert ROOT not in given
    for word in " ".join(WHEELS["test-command"]).split():
        if "/" in word:
            assert (ROOT / word).exists(), word
            assert any((ROOT / word).is_relative_to(path) for path in given), word
    assert set(WHEELS["test-requires"]) <= set(PROJECT["optional-dependencies"]["test"])
