"""The pytest plugin, run by pytest as a project would: the fixture, its assertions, captures as tests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import tcpscope
from tcpscope.testing import Capture, Connection
from tests.captures import SAMPLES, clean, many, unanswered
from tests.test_check_project import PROJECT

pytest_plugins = ["pytester"]

TOP = Path(str(tcpscope.__file__)).parent.parent
INSTALLED = any(one.name == "tcpscope" for one in entry_points(group="pytest11"))
NAMED = ("-p", "tcpscope.pytest_plugin")


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A directory with captures. Each pytest is a process of its own: one within this process drops modules that were imported.

    It loads no plugin that it is not told of: to start all that are installed takes three times as long.
    """
    monkeypatch.setenv("PYTHONPATH", str(TOP))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for name in ("tls13", "refused", "timeout-retransmit", "mid-connection"):
        (pytester.path / f"{name}.pcap").write_bytes((SAMPLES / f"{name}.pcap").read_bytes())
    (pytester.path / "clean.pcap").write_bytes(clean())
    (pytester.path / "unanswered.pcap").write_bytes(unanswered())
    (pytester.path / "many.pcap").write_bytes(many(12))
    (pytester.path / "text.txt").write_text("no capture", encoding="utf-8")
    return pytester


def pytest_run(project: pytest.Pytester, *arguments: str, body: str | list[str] = "", **outcomes: int) -> str:
    """Run pytest over tests with these bodies; the output."""
    if body:
        bodies = [body] if isinstance(body, str) else body
        texts = ["\n".join(f"    {line}" for line in one.strip().splitlines()) for one in bodies]
        project.makepyfile(
            "\n".join(f"def test_{place}(tcpscope_capture):\n{text}\n" for place, text in enumerate(texts))
        )
    told = not INSTALLED or "PYTEST_DISABLE_PLUGIN_AUTOLOAD" in os.environ
    result = project.runpytest_subprocess(*(NAMED if told else ()), "-p", "no:cacheprovider", *arguments)
    result.assert_outcomes(**outcomes)
    return "\n".join(result.outlines)


def failures(project: pytest.Pytester, *bodies: str) -> list[list[str]]:
    """The lines of the failures that tests with these bodies end in."""
    text = pytest_run(project, body=list(bodies), failed=len(bodies))
    assert "tcpscope/testing.py" not in text  # its frames are hidden
    parts = re.split(r"(?m)^_+ test_\d+ _+$", text.partition("= short test summary")[0])[1:]
    return [
        [line[1:].strip().removeprefix("AssertionError: ") for line in part.splitlines() if line.startswith("E  ")]
        for part in parts
    ]


# The fixture


GOOD = """
capture = tcpscope_capture("tls13.pcap")
connection = capture.connection(port=443)
assert connection.assert_handshake("complete").assert_teardown("orderly", "reset-after-fin").assert_no("TS1", "TS4") is connection
connection.assert_findings("TS679", "tls-truncation").assert_findings("TS6", only=True)
connection.assert_that(tls_version=">=1.2", max_handshake_rtt="200ms", tls_cipher_suite=["TLS_*"], max_findings={"TS679": 2})
connection.assert_that(teardown=("orderly", "aborted"), time_wait="held", undecided="pass")
assert capture.assert_no("TS1", "zero-window").assert_findings("TS679") is capture
assert capture.connection().report.tls.sni == "www.example.test"
assert [one.report.stream for one in capture.connections(sni="*.test", host="10.77.0.1")] == [0]
assert capture.connections("server port 80") == []
assert capture.connection("server port 80 or stream 0", port="400-500").findings
assert capture.report.capture.frames == 20 or capture.report.capture.frames > 10
assert "tls13.pcap" in repr(capture) and "10.77.0.2:443" in repr(connection)
assert len(tcpscope_capture("many.pcap").connections(port=80)) == 12
"""


def test_what_holds(project: pytest.Pytester) -> None:
    pytest_run(project, body=GOOD, passed=1)


@pytest.mark.parametrize("jobs", ["2"])
def test_under_xdist(jobs: str, project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("port", [443, 80, 443, 443])
        def test_it(tcpscope_capture, port):
            tcpscope_capture("tls13.pcap").connection(port=port)
        """
    )
    (project.path / "tcpscope.toml").write_text('[[expect]]\nmatch = "port 9"\n', encoding="utf-8")
    text = pytest_run(project, "-p", "xdist", "-n", jobs, "--tcpscope-collect", failed=2, passed=10)
    assert "FAILED tcpscope.toml::expectations" in text


ONE_OF = "expected one connection that matches"


BROKEN = [
    (
        'tcpscope_capture("refused.pcap").connection(port=81).assert_handshake("complete")',
        [
            "refused.pcap: connection 0, 10.77.0.1:51001 → 10.77.0.2:81: handshake refused, teardown aborted",
            "expected handshake complete, was refused",
            "TS104 connection-refused warning (frame 2): The server 10.77.0.2:81 refused",
            "2 0.010271    CLOSED │◀─ RST,ACK",
        ],
    ),
    (
        'tcpscope_capture("timeout-retransmit.pcap").connection().assert_no("TS4")',
        ["expected findings no findings of TS4, was TS404", "9 0.339580", "retransmission (timeout)"],
    ),
    (
        'tcpscope_capture("mid-connection.pcap").connection().assert_handshake("complete")',
        ["expected handshake complete, which the capture cannot tell: the capture begins later", "1 0.000000"],
    ),
    (
        'tcpscope_capture("clean.pcap").connection().assert_findings("TS105", "zero-window")',
        ["expected findings of TS105, zero-window", "there are no findings"],
    ),
    (
        'tcpscope_capture("tls13.pcap").connection().assert_findings("TS105")',
        ["expected findings of TS105", "TS679 tls-truncation", "14 0.042864"],
    ),
    (
        'tcpscope_capture("tls13.pcap").connection().assert_findings(only=True)',
        ["expected no other findings than", "TS679 tls-truncation note (frame 14)", "14 0.042864"],
    ),
    (
        'tcpscope_capture("tls13.pcap").connection().assert_that(tls_version="1.2", handshake="complete", teardown="aborted")',
        ["expected tls.version 1.2, was TLS 1.3", "expected teardown aborted, was orderly"],
    ),
    (
        'tcpscope_capture("tls13.pcap").connection(port=80)',
        [f"tls13.pcap: {ONE_OF} 'port 80', found none of", "connection 0, 10.77.0.1:52003 → 10.77.0.2:443 (www."],
    ),
    (
        'tcpscope_capture("many.pcap").connection("server port 80", host="10.1.0.1")',
        [f"many.pcap: {ONE_OF} '(server port 80) and host 10.1.0.1', found 12", "connection 7, ", "and 4 more"],
    ),
    (
        'tcpscope_capture("unanswered.pcap").assert_no("TS1")',
        ["expected findings no findings of TS1, was TS105 syn-unanswered", "3 3.000000"],
    ),
    ('tcpscope_capture("unanswered.pcap").assert_findings("TS2")', ["expected findings of TS2", "TS105 syn-una"]),
]


def test_what_does_not_hold(project: pytest.Pytester) -> None:
    found = failures(project, *(body for body, _ in BROKEN))
    for (body, says), lines in zip(BROKEN, found, strict=True):
        for text in says:
            assert any(text in line for line in lines), (body, text, lines)


WRONG = [
    ('tcpscope_capture("nowhere.pcap")', "FileNotFoundError: there is no capture nowhere.pcap in "),
    ('tcpscope_capture("text.txt")', "FormatError: "),
    ('tcpscope_capture("clean.pcap", msl=3)', "TypeError: "),
    (
        'tcpscope_capture("clean.pcap").connection("prot 80")',
        "SelectorError: 'prot' is not known; did you mean 'port'?",
    ),
    ('tcpscope_capture("clean.pcap").connections(port="http")', "SelectorError: 'http' is no number"),
    (
        'tcpscope_capture("clean.pcap").connection().assert_handshake("complet")',
        "ValueError: handshake: 'complet' is no ",
    ),
    ('tcpscope_capture("clean.pcap").connection().assert_handshake()', "ValueError: handshake: the list is empty"),
    (
        'tcpscope_capture("clean.pcap").connection().assert_that(tls_versoin="1.2")',
        "TypeError: 'tls_versoin' is nothing that can be expected; did you mean 'tls_version'?",
    ),
    ('tcpscope_capture("clean.pcap").connection().assert_no("TS99")', "no rule is called 'TS99'"),
    ('tcpscope_capture("clean.pcap").connection().assert_no(undecided="maybe")', "undecided is 'fail' or 'pass'"),
    ('tcpscope_capture("clean.pcap").assert_policy("nowhere.toml")', "PolicyError: nowhere.toml: cannot be read"),
]


def test_wrong_usage(project: pytest.Pytester) -> None:
    text = pytest_run(project, body=[body for body, _ in WRONG], failed=len(WRONG))
    for _, error in WRONG:
        assert error in text


def test_the_path_is_seen_from_the_test_and_from_the_root(project: pytest.Pytester) -> None:
    below = project.mkdir("deep")
    (below / "clean.pcap").write_bytes(unanswered())
    (below / "test_below.py").write_text(
        "def test_it(tcpscope_capture):\n"
        '    tcpscope_capture("clean.pcap").assert_findings("TS105")\n'
        '    assert not tcpscope_capture("tls13.pcap").report.capture.damage\n',
        encoding="utf-8",
    )
    pytest_run(project, "deep", passed=1)


def test_options(project: pytest.Pytester) -> None:
    body = """
    from tcpscope import Options
    path = "tls13.pcap"
    assert tcpscope_capture(path).connection().report.time_wait.required_ns == 60 * 10**9
    assert tcpscope_capture(path, msl_seconds=7).connection().report.time_wait.required_ns == 14 * 10**9
    assert tcpscope_capture(path, Options(msl_seconds=7, zeek=False)).connection().report.conn_state is None
    """
    pytest_run(project, body=re.sub("^    ", "", body.strip("\n"), flags=re.MULTILINE), passed=1)


def test_a_policy(project: pytest.Pytester) -> None:
    body = 'tcpscope_capture("unanswered.pcap").assert_policy()\n'
    pytest_run(project, body=body, passed=1)
    (project.path / "tcpscope.toml").write_text('fail-on = "warning"', encoding="utf-8")
    (lines,) = failures(project, body)
    assert lines[0] == "unanswered.pcap: connection 0, 10.0.0.1:40000 → 10.0.0.2:80"
    assert any(line.startswith("unanswered.pcap:1: TS105 syn-unanswered warning") for line in lines)
    assert any(line.startswith("3 3.000000") for line in lines)
    (project.path / "loose.toml").write_text('ignore = ["TS105"]', encoding="utf-8")
    pytest_run(project, "--tcpscope-policy", "loose.toml", body=body, passed=1)
    pytest_run(project, body='tcpscope_capture("unanswered.pcap").assert_policy("loose.toml")', passed=1)


# Captures as tests


def test_captures_are_tests_only_where_that_is_wanted(project: pytest.Pytester) -> None:
    pytest_run(project)
    pytest_run(project, "--tcpscope-collect", passed=7)
    project.makeini("[pytest]\ntcpscope_collect = true\n")
    pytest_run(project, passed=7)


def test_a_capture_that_fails(project: pytest.Pytester) -> None:
    (project.path / "tcpscope.toml").write_text(
        'fail-on = "warning"\n[[expect]]\nname = "telnet"\nmatch = "port 23"\n[[expect]]\nhandshake = "complete"\n'
        'undecided = "pass"\n',
        encoding="utf-8",
    )
    (project.path / "cut.pcap").write_bytes(clean()[:-1])
    (project.path / "text.pcap").write_text("no capture", encoding="utf-8")
    text = pytest_run(project, "--tcpscope-collect", failed=6, passed=4)
    failed = sorted(re.findall(r"^FAILED (\S+)", text, re.MULTILINE))
    names = ("cut", "refused", "text", "timeout-retransmit", "unanswered")
    assert failed == sorted([*(f"{name}.pcap::policy" for name in names), "tcpscope.toml::expectations"])
    assert "refused.pcap:1: EXPECT expected-handshake error: 'all': expected handshake complete, was refused" in text
    assert "2 0.010271    CLOSED │◀─ RST,ACK" in text
    assert "TS901 capture-damaged" in text
    assert "text.pcap: INPUT unreadable error" in text
    assert "'telnet': expected at least 1 connection that matches 'port 23', found none" in text
    assert "Traceback" not in text
    assert "runtest" not in text
    text = pytest_run(project, "--tcpscope-collect", "clean.pcap", "-k", "policy", passed=1, deselected=1)


def test_a_policy_that_cannot_be_used(project: pytest.Pytester) -> None:
    (project.path / "tcpscope.toml").write_text("nonsense = 1", encoding="utf-8")
    text = pytest_run(project, "--tcpscope-collect", failed=7)
    assert "tcpscope.toml:1:1: unknown key 'nonsense'" in text
    assert "Traceback" not in text
    (project.path / "good.toml").write_text("", encoding="utf-8")
    pytest_run(project, "--tcpscope-collect", "--tcpscope-policy", "good.toml", passed=7)


# What it costs


def test_nothing_is_loaded_before_it_is_wanted() -> None:
    script = "import tcpscope.pytest_plugin, sys; print(*sorted(m for m in sys.modules if m.startswith('tcpscope')))"
    environment = {**os.environ, "PYTHONPATH": str(TOP)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    loaded = set(done.stdout.split())
    assert not {
        name
        for name in loaded
        if name.startswith(("tcpscope.report", "tcpscope.rules", "tcpscope.check", "tcpscope.c"))
    }


def test_the_assertions_need_no_pytest(tmp_path: Path) -> None:
    path = tmp_path / "clean.pcap"
    path.write_bytes(clean())
    Capture(path).assert_no().connection(port=8080).assert_handshake("complete")
    with pytest.raises(AssertionError, match="expected handshake refused, was complete"):
        Capture(str(path)).connection().assert_handshake("refused")


# The document


PAGE = Path(__file__).parent.parent / "docs" / "pytest.md"
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
documented = pytest.mark.skipif(not TEXT, reason="the documents are not beside the tests")


@documented
def test_the_examples_pass(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TOP))
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    shutil.copytree(PROJECT / "captures", pytester.path / "captures")
    pytester.makepyfile(example)
    pytest_run(pytester, passed=example.count("def test_"))
    (ini,) = re.findall(r"```ini\n(.*?)```", TEXT, re.DOTALL)
    pytester.makeini(ini)
    pytest_run(pytester, "captures", passed=len(list(PROJECT.rglob("*.pcap"))))


@documented
def test_the_failure_is_as_shown(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TOP))
    shutil.copytree(PROJECT / "captures", pytester.path / "captures")
    ((body, wanted),) = re.findall(r"<!-- failure: (.*?) -->\n```text\n(.*?)```", TEXT, re.DOTALL)
    text = pytest_run(pytester, body=body, failed=1)
    shown = "\n".join(line[1:] for line in text.splitlines() if line.startswith("E  "))
    assert re.sub(r"^ +", "", wanted.strip(), flags=re.MULTILINE) == re.sub(
        r"^ +", "", shown.strip(), flags=re.MULTILINE
    )


@documented
def test_every_method_is_documented() -> None:
    for one in (Capture, Connection):
        for name in vars(one):
            assert name.startswith("_") or name in TEXT, name
