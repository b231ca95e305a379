"""Data goes one way, and so do imports; ``--help`` loads nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tcpscope
from tests.test_install import hot_modules, setup_constant

PACKAGE = Path(str(tcpscope.__file__)).parent

# A module imports from its own layer and from those before it; those that share a number know nothing of each other.
LAYERS = {
    "errors": 0,
    "options": 0,
    "version": 0,
    "capture": 1,
    "wire": 2,
    "state": 3,
    "pipeline": 4,
    "crypto": 4,
    "rules": 5,
    "report": 6,
    "many": 7,
    "check": 8,
    "batch": 8,
    "": 9,  # tcpscope/__init__.py, the public API, and the modules of the top level that serve it
    "cli": 10,
    "__main__": 11,
}

# What a packet means does not depend on its file: of capture, wire knows only the record that it is handed.
HANDED_TO_WIRE = {"tcpscope.capture.frame", "tcpscope.capture.framing"}

# Too slow to load for commands that do not need them.
HEAVY = {
    "cryptography",
    "dask",
    "distributed",
    "fsspec",
    "jinja2",
    "lz4",
    "pandas",
    "plotly",
    "pyarrow",
    "vl_convert",
    "zstandard",
}

# About 400 and about 50, with room for the last line of a table
MODULE_LINES, FUNCTION_LINES = 450, 75

MODULES = sorted(PACKAGE.rglob("*.py"))
PLAIN = {Path(path) for path in setup_constant("PLAIN")}
COMPILED = [PACKAGE.parent / path for path in hot_modules() if path not in PLAIN]


def name_of(path: Path) -> str:
    """The module's dotted name."""
    parts = ["tcpscope", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer_of(module: str) -> str:
    """The layer of a dotted name; what is no layer of its own belongs to the top level."""
    part = module.split(".")[1] if "." in module else ""
    return part if part in LAYERS else ""


def imports_of(path: Path) -> Iterator[tuple[str, int]]:
    """Every tcpscope module that a file imports, at its top or within a function, with the line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides its layer"
            # ``from tcpscope.state import seq`` names a module, ``from tcpscope.state.seq import diff`` what is in one
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if module_exists(name) else str(node.module) for name in names]
        else:
            continue
        yield from ((name, node.lineno) for name in names if name.split(".")[0] == "tcpscope")


def module_exists(name: str) -> bool:
    """Whether a dotted name below tcpscope is a module or a package."""
    path = PACKAGE.joinpath(*name.split(".")[1:])
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    layer = layer_of(name_of(path))
    for imported, line in imports_of(path):
        other = layer_of(imported)
        place = f"{path.relative_to(PACKAGE)}:{line} imports {imported}"
        assert LAYERS[other] <= LAYERS[layer], f"{place}: from a layer further down the way"
        assert layer == other or LAYERS[layer] != LAYERS[other], f"{place}: layers side by side"
        if layer == "wire" and other == "capture":
            assert imported in HANDED_TO_WIRE, f"{place}: wire knows nothing of files"


def test_every_layer_is_there() -> None:
    found = {layer_of(name_of(path)) for path in MODULES}
    assert found >= {"capture", "wire", "state", "crypto", "rules", "report", "many", "check", "cli", ""}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_and_functions_can_be_read_at_one_sitting(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MODULE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.name != "__init__":  # a list of attributes, one a line
            assert int(node.end_lineno or 0) - node.lineno < FUNCTION_LINES, node.name


def constant_names(function: ast.AST) -> set[str]:
    """Local names that are bound once, and to a number."""
    bound: dict[str, list[ast.expr | None]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.AnnAssign | ast.AugAssign) and isinstance(node.target, ast.Name):
            bound.setdefault(node.target.id, []).append(node.value if isinstance(node, ast.AnnAssign) else None)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    bound.setdefault(target.id, []).append(node.value)
    return {name for name, values in bound.items() if len(values) == 1 and isinstance(values[0], ast.Constant)}


@pytest.mark.parametrize("path", COMPILED, ids=name_of)
def test_no_constant_is_shifted_by_a_variable(path: Path) -> None:
    # mypyc writes such a constant into its C code as an int of 32 bits: ``one << 40`` is 256 there, and 2**40 uncompiled.
    # A variable that is bound twice (``bit: i64 = 1``, then ``bit <<= kind``) is shifted as the i64 that it is.
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(function, ast.FunctionDef):
            continue
        constants = constant_names(function)
        for node in ast.walk(function):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.LShift):
                left = node.left
                fixed = isinstance(left, ast.Constant) or (
                    isinstance(left, ast.Name) and (left.id in constants or left.id.isupper())
                )
                assert not fixed or isinstance(node.right, ast.Constant), f"{path.name}:{node.lineno}"


def is_float(node: ast.expr) -> bool:
    """Whether an expression says that it is a float: a literal, ``float(x)``, or calculated from one."""
    if isinstance(node, ast.BinOp):
        return is_float(node.left) or is_float(node.right)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "float"
    return isinstance(node, ast.Constant) and isinstance(node.value, float)


@pytest.mark.parametrize("path", COMPILED, ids=name_of)
def test_no_integers_are_divided_to_a_float(path: Path) -> None:
    # mypyc makes both a float first, which rounds above 2**53; uncompiled, the quotient is the nearest to the true one.
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            assert is_float(node), f"{path.name}:{node.lineno}"


def run(script: str) -> str:
    """What a fresh interpreter prints that sees the same tcpscope."""
    start = f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r})\n"
    done = subprocess.run([sys.executable, "-c", start + script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_help_loads_nothing_heavy() -> None:
    script = f"""
import atexit
from tcpscope.cli.main import main
sys.argv = ["tcpscope", "--help"]
atexit.register(lambda: print("LOADED", *sorted({HEAVY!r} & set(sys.modules))))
main()
"""
    assert run(script).splitlines()[-1] == "LOADED"


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert run(f"import tcpscope\nprint(*sorted({HEAVY!r} & set(sys.modules)))").strip() == ""
