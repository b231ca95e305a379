"""The pytest plugin: captures in tests, and captures as tests. Imports nothing of tcpscope until that is wanted.

``tcpscope_capture`` is a fixture that reads a capture; with ``--tcpscope-collect`` (or ``tcpscope_collect = true`` in pytest's
configuration) every ``*.pcap`` and ``*.pcapng`` is a test that passes if the policy does. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pytest

if TYPE_CHECKING:
    from tcpscope.check.outcome import CheckResult
    from tcpscope.check.policy import Finder
    from tcpscope.options import Options
    from tcpscope.testing import Capture

SUFFIXES: Final = (".pcap", ".pcapng")

Load: TypeAlias = "Callable[..., Capture]"

_FINDER: Final[pytest.StashKey[Finder]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the command line and the configuration."""
    group = parser.getgroup("tcpscope", "packet captures (tcpscope)")
    group.addoption(
        "--tcpscope-policy", metavar="FILE", help="hold captures against this policy, and look for no other"
    )
    group.addoption("--tcpscope-collect", action="store_true", help="every *.pcap and *.pcapng is a test of the policy")
    parser.addini("tcpscope_collect", "every *.pcap and *.pcapng is a test of the policy", type="bool", default=False)


@pytest.fixture
def tcpscope_capture(request: pytest.FixtureRequest) -> Load:
    """Reads a capture: ``tcpscope_capture("login.pcap")``.

    The path is seen from the test's directory or from pytest's root directory. Further keywords are those of
    :class:`tcpscope.Options`. What comes back is a :class:`tcpscope.testing.Capture`.
    """
    from tcpscope.options import Options  # noqa: PLC0415
    from tcpscope.testing import Capture  # noqa: PLC0415

    config = request.config
    directories = (request.path.parent, config.rootpath)

    def load(path: str | os.PathLike[str], options: Options | None = None, **changes: Any) -> Capture:
        places = [directory / path for directory in directories]
        place = next((place for place in places if place.is_file()), None)
        if place is None:
            looked = " or ".join(dict.fromkeys(str(directory) for directory in directories))
            raise FileNotFoundError(f"there is no capture {os.fspath(path)} in {looked}")
        chosen = Options(**{**(options or Options())._asdict(), **changes})
        return Capture(place, chosen, _policy(config))

    return load


def _policy(config: pytest.Config) -> str | None:
    given = config.getoption("--tcpscope-policy")
    return None if given is None else str(config.invocation_params.dir / given)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Captures, where they are wanted as tests."""
    if not file_path.name.lower().endswith(SUFFIXES):
        return None
    config = parent.config
    if not (config.getoption("--tcpscope-collect") or config.getini("tcpscope_collect")):
        return None
    return CaptureFile.from_parent(parent, path=file_path)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """A further test for each policy that expects something of all captures together."""
    captures = [item for item in items if isinstance(item, CaptureItem)]
    if not captures or config.getoption("lf", default=False):  # with --last-failed they are not all here
        return
    from tcpscope.errors import TcpscopeError  # noqa: PLC0415

    together: dict[str, list[Path]] = {}
    for item in captures:
        try:
            policy = _finder(config).of(str(item.path))
        except TcpscopeError:
            continue  # said by the item itself
        if policy.expectations:
            together.setdefault(policy.path, []).append(item.path)
    for path, members in together.items():
        file = PolicyFile.from_parent(session, path=Path(path).absolute())
        file.captures = members
        items.extend(file.collect())


def _finder(config: pytest.Config) -> Finder:
    if _FINDER not in config.stash:
        from tcpscope.check.policy import Finder  # noqa: PLC0415

        config.stash[_FINDER] = Finder(_policy(config))
    return config.stash[_FINDER]


def _check(config: pytest.Config, paths: Iterable[Path], ladders: bool) -> CheckResult:
    from tcpscope.check.run import prepare, run  # noqa: PLC0415
    from tcpscope.many.inputs import Input  # noqa: PLC0415

    here = Path.cwd()
    shown = [os.path.relpath(path) if path.is_relative_to(here) else str(path) for path in paths]
    return run(prepare([Input(path) for path in shown], _finder(config), ladders), jobs=1)


class CheckError(Exception):
    """A capture fails the check; the message is the report."""


class CaptureFile(pytest.File):
    """A capture."""

    def collect(self) -> Iterator[pytest.Item]:
        """One test."""
        yield CaptureItem.from_parent(self, name="policy")


class PolicyFile(pytest.File):
    """A policy, and the captures that are checked by it."""

    captures: list[Path]

    def collect(self) -> Iterator[pytest.Item]:
        """One test."""
        yield PolicyItem.from_parent(self, name="expectations")


class _Item(pytest.Item):
    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The report, without a traceback."""
        from tcpscope.errors import TcpscopeError  # noqa: PLC0415

        if isinstance(excinfo.value, CheckError | TcpscopeError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """How it is called in reports."""
        return self.path, None, f"{self.path.name}: {self.name}"


class CaptureItem(_Item):
    """One capture is held against its policy."""

    def runtest(self) -> None:
        """Fails with the report of the check."""
        from tcpscope.check.formats import as_full  # noqa: PLC0415

        result = _check(self.config, [self.path], ladders=True)
        if result.captures[0].failed:
            # What is expected of all captures together is a test of its own.
            raise CheckError(as_full.render(replace(result, problems=(), expectations=(), allows=())))


class PolicyItem(_Item):
    """What a policy expects of all captures together."""

    def runtest(self) -> None:
        """Fails with the expectations that do not hold."""
        from tcpscope.check.formats.as_text import PLAIN, problem_line  # noqa: PLC0415

        parent = self.parent
        assert isinstance(parent, PolicyFile)
        result = _check(self.config, parent.captures, ladders=False)
        if any(problem.fails for problem in result.problems):
            raise CheckError("\n".join(problem_line(problem, PLAIN) for problem in result.problems))
