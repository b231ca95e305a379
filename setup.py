"""Compiles the hot modules with mypyc; everything else about the package is in pyproject.toml.

The modules are ordinary Python and run as they are where no C compiler works or where TCPSCOPE_COMPILE=0 is set:
slower, with the same results.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

HOT = ("tcpscope/capture", "tcpscope/wire", "tcpscope/state")

# Modules of other layers that see every connection.
ALSO_HOT = (
    "tcpscope/pipeline.py",
    "tcpscope/rules/base.py",
    "tcpscope/rules/diagnosis.py",
    "tcpscope/rules/diagnosis_ends.py",
    "tcpscope/rules/judge.py",
    "tcpscope/rules/measures.py",
    "tcpscope/rules/quiet.py",
    "tcpscope/rules/symptoms.py",
    "tcpscope/rules/verdicts.py",
    "tcpscope/rules/words.py",
    "tcpscope/report/build.py",
    "tcpscope/report/community_id.py",
    "tcpscope/report/json_connection.py",
    "tcpscope/report/json_report.py",
    "tcpscope/report/quantities.py",
    "tcpscope/report/session.py",
)

# Modules of the hot layers that stay plain Python, each with its reason.
PLAIN = {
    "tcpscope/capture/decompress.py": "waits for the libraries that decompress",
    "tcpscope/capture/join.py": "once a file",
    "tcpscope/capture/remote.py": "waits for the network",
    "tcpscope/capture/source.py": "waits for files and pipes, and takes any object that reads",
    "tcpscope/wire/cipher_names.py": "a table: nothing in it runs",
    "tcpscope/wire/ciphers.py": "for rules and reports: looks names up, once a connection",
    "tcpscope/wire/fingerprint.py": "for reports: hashing, once a connection",
    "tcpscope/wire/strength.py": "for reports: looks names up, once a connection",
    "tcpscope/wire/tls_parameters.py": "tables: nothing in it runs",
}

DESCRIBING = {"egg_info", "dist_info", "sdist"}  # commands that need no extension module


def hot_modules() -> list[str]:
    """The source files to compile, relative to this file, in a stable order."""
    paths = [path for layer in HOT for path in sorted(Path(layer).rglob("*.py")) if path.name != "__init__.py"]
    return [path.as_posix() for path in paths if path.as_posix() not in PLAIN] + list(ALSO_HOT)


def extensions() -> list[Extension]:
    """The extension modules to build: none where they are not wanted."""
    if os.environ.get("TCPSCOPE_COMPILE") == "0" or DESCRIBING & set(sys.argv):
        return []
    from mypyc.build import mypycify  # noqa: PLC0415 - a build requirement, absent where nothing is compiled

    # The project's own mypy run is the strict one; here the modules need only their types, and no third-party stubs.
    flags = ["--config-file=", "--follow-imports=silent", "--ignore-missing-imports"]
    modules = mypycify([*flags, *hot_modules()], opt_level="3", debug_level="0", group_name="tcpscope")
    modules.append(Extension("tcpscope._arenas", ["tcpscope/_arenas.c"]))
    for module in modules:
        module.optional = True
        if os.name == "posix":
            # The functions call each other directly, and may be inlined: nothing outside replaces one of them.
            hidden = ["-fvisibility=hidden", "-fno-semantic-interposition"]
            module.extra_compile_args = [*module.extra_compile_args, *hidden]  # mypycify gives all modules one list
    return modules


class build_ext_all_or_none(build_ext):  # noqa: N801 - distutils names commands so
    """Leaves no half of the extensions behind: they call each other and do not work without the rest."""

    def build_extensions(self) -> None:
        """Build as usual, then remove what was built if anything is missing."""
        if os.environ.get("TCPSCOPE_PROFILE") == "1":
            self._learn()
        super().build_extensions()
        built = [Path(self.get_ext_fullpath(extension.name)) for extension in self.extensions]
        if not all(path.exists() for path in built):
            for path in built:
                path.unlink(missing_ok=True)
            self.warn("the C extensions could not be built: tcpscope will run uncompiled")

    def _learn(self) -> None:
        """Build once to see what runs how often, so that GCC arranges the code for that when it builds again."""
        (core,) = (extension for extension in self.extensions if extension.name == "tcpscope__mypyc")
        compiling, linking = core.extra_compile_args, core.extra_link_args
        seen = Path(self.build_temp, "profile").resolve()
        core.extra_compile_args = [*compiling, f"-fprofile-generate={seen}"]
        core.extra_link_args = [*linking, "-fprofile-generate"]
        super().build_extensions()
        built = Path(self.get_ext_fullpath(core.name)).resolve()
        subprocess.run(
            [sys.executable, "tests/benchmark/training.py", "sample_pcaps"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(built.parent), os.environ.get("PYTHONPATH", "")])},
            check=True,
        )
        if not any(seen.rglob("*.gcda")):
            raise CompileError(f"nothing was learned in {seen}: TCPSCOPE_PROFILE=1 needs GCC")
        built.unlink()
        # What did not run is compiled as it would be without all this, not for size.
        core.extra_compile_args = [*compiling, f"-fprofile-use={seen}", "-fprofile-partial-training"]
        core.extra_link_args = linking


setup(ext_modules=extensions(), cmdclass={"build_ext": build_ext_all_or_none})
