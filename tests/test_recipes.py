"""The recipes for CI systems run: the hooks of pre-commit, the action for GitHub, and every snippet of docs/ci.md."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

import tcpscope
from tests.captures import clean, unanswered

ROOT = Path(__file__).parent.parent
PACKAGE = Path(str(tcpscope.__file__)).parent
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
HOOKS = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))}
README = (ROOT / "README.md").read_text(encoding="utf-8")
MANUAL = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
MANUAL += "\n" + README.partition("\n## In CI\n")[2].partition("\n## ")[0]

pytestmark = pytest.mark.skipif(
    os.name != "posix" or not shutil.which("git") or not shutil.which("bash"), reason="needs git and bash"
)


def snippets(language: str) -> list[str]:
    """The code blocks of the manual in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", MANUAL, re.DOTALL | re.MULTILINE)


def snippet(start: str) -> Any:
    """The YAML block that begins so."""
    return yaml.safe_load(next(text for text in snippets("yaml") if text.lstrip().startswith(start)))


class Project:
    """A git repository with a bare one as its ``origin``, and an environment in which ``tcpscope`` is a command."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "project"
        self.path.mkdir()
        commands = directory / "bin"
        commands.mkdir()
        self.command = commands / "tcpscope"
        self.command.write_text(f'#!/bin/sh\nPYTHONPATH="{PACKAGE.parent}" exec "{sys.executable}" -m tcpscope "$@"\n')
        self.command.chmod(0o755)
        self.environment = {
            "PATH": f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(directory),
            "GIT_CONFIG_NOSYSTEM": "1",
            "NO_PROXY": "*",
            "PYTHONIOENCODING": "utf-8",
            **{f"GIT_{who}_{what}": "x@example.test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        self.run("git", "init", "--quiet", "--initial-branch=main")
        self.run("git", "init", "--quiet", "--bare", str(directory / "origin"))
        self.run("git", "remote", "add", "origin", str(directory / "origin"))

    def run(self, *line: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it, which is to succeed."""
        done = self.attempt(*line, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def attempt(self, *line: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it."""
        return subprocess.run(
            line,
            cwd=self.path,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )

    def write(self, **captures: bytes) -> None:
        """Write captures."""
        (self.path / "captures").mkdir(exist_ok=True)
        for name, content in captures.items():
            (self.path / "captures" / f"{name}.pcap").write_bytes(content)

    def commit(self, *, push: bool = False) -> str:
        """Commit everything; its number."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message=x")
        if push:
            self.run("git", "push", "--quiet", "origin", "HEAD:main")
        return self.run("git", "rev-parse", "HEAD").stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """One whose main branch has a capture with a problem."""
    made = Project(tmp_path)
    made.write(old=unanswered(), good=clean())
    (made.path / "tcpscope.toml").write_text('fail-on = "warning"\n', encoding="utf-8")
    made.commit(push=True)
    return made


# pre-commit


@pytest.mark.parametrize("name", ["a.pcap", "x/y.pcapng", "UP.PCAP", "z.pcap.gz", "s.snoop", "d.pcapng.zst"])
def test_a_hook_is_for_captures(name: str) -> None:
    assert all(re.search(hook["files"], name) for hook in HOOKS.values())


@pytest.mark.parametrize(("name", "all_captures"), [("tcpscope.toml", True), ("a.pcap.txt", False), ("pcap", False)])
def test_a_hook_is_for_nothing_else(name: str, all_captures: bool) -> None:
    assert not re.search(HOOKS["tcpscope-check"]["files"], name)
    assert bool(re.search(HOOKS["tcpscope-check-all"]["files"], name)) == all_captures


def test_the_entries_of_the_hooks_run(project: Project) -> None:
    entry = HOOKS["tcpscope-check"]["entry"].split()
    assert project.attempt(*entry, "captures/good.pcap").returncode == 0
    done = project.attempt(*entry, "captures/good.pcap", "captures/old.pcap")
    assert done.returncode == 1
    assert "captures/old.pcap:1: TS105" in done.stdout
    assert project.attempt(*HOOKS["tcpscope-check-all"]["entry"].split()).returncode == 1
    assert project.attempt(*entry, "--fail-on", "error", "captures/old.pcap").returncode == 0


def test_the_configuration_of_pre_commit_names_a_hook(project: Project) -> None:
    hook = snippet("repos:")["repos"][0]["hooks"][0]
    line = [*HOOKS[hook["id"]]["entry"].split(), *hook["args"], "captures/old.pcap"]
    assert project.attempt(*line).returncode == 1


# GitHub


class Comments(BaseHTTPRequestHandler):
    """As much of GitHub's REST interface as comments need."""

    kept: dict[int, str]
    calls: list[str]
    refuse = False

    def answer(self) -> None:
        """Any request."""
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length) or b"{}")
        type(self).calls.append(f"{self.command} {self.path} {self.headers['Authorization']}")
        if self.refuse:
            self.send_error(403)
            return
        result: object = body
        if self.command == "GET":
            result = [{"id": number, "body": text} for number, text in self.kept.items()]
        elif self.command == "PATCH":
            self.kept[int(self.path.rpartition("/")[2])] = body["body"]
        else:
            self.kept[len(self.kept) + 1] = body["body"]
        answer = json.dumps(result).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PATCH = answer  # noqa: N815

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def github() -> Iterator[HTTPServer]:
    """A server with one comment of somebody else."""
    Comments.kept, Comments.calls, Comments.refuse = {1: "Nice work"}, [], False
    server = HTTPServer(("127.0.0.1", 0), Comments)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def act(
    project: Project, github: HTTPServer, event: dict[str, Any], **inputs: str
) -> tuple[int, str, dict[str, str], str]:
    """Run the step as a runner would: its exit status, its log, its outputs, and the summary."""
    values = {name: str(one.get("default", "")) for name, one in ACTION["inputs"].items()}
    values |= {"token": "secret", "paths": "captures"} | inputs
    step = next(step for step in ACTION["runs"]["steps"] if step.get("id") == "check")
    environment = {
        name: re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda found: values[found[1]], value)
        for name, value in step["env"].items()
    }
    assert not any("${{" in value for value in environment.values())
    files = {name: project.path.parent / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_EVENT_PATH")}
    for path in files.values():
        path.write_text("")
    files["GITHUB_EVENT_PATH"].write_text(json.dumps(event))
    done = project.attempt(
        "bash",
        "--noprofile",
        "--norc",
        "-eo",
        "pipefail",
        "-c",
        step["run"],
        **environment,
        **{name: str(path) for name, path in files.items()},
        CHECK_COMMAND=str(project.command),
        GITHUB_ACTION_PATH=str(ROOT),
        GITHUB_API_URL=f"http://127.0.0.1:{github.server_port}",
        GITHUB_REPOSITORY="o/r",
        GITHUB_WORKFLOW="captures -->",
        GITHUB_JOB="check",
        GITHUB_BASE_REF="main" if "pull_request" in event else "",
    )
    outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
    assert project.run("git", "worktree", "list").stdout.count("\n") == 1
    assert not (project.path / ".tcpscope-base.json").exists()
    return done.returncode, done.stdout + done.stderr, outputs, files["GITHUB_STEP_SUMMARY"].read_text(encoding="utf-8")


PULL_REQUEST = {"pull_request": {"number": 7}}


def test_what_the_base_has_does_not_fail(project: Project, github: HTTPServer) -> None:
    project.write(new=clean())
    project.commit()
    status, log, outputs, summary = act(project, github, PULL_REQUEST)
    assert (status, outputs) == (0, {"status": "0", "problems": "0", "known": "1", "gone": "0"})
    assert "::error" not in log
    assert summary.startswith("### ✅ tcpscope check")
    assert Comments.kept == {1: "Nice work"}


def test_what_is_new_fails_and_is_told_in_one_comment(project: Project, github: HTTPServer) -> None:
    project.write(new=unanswered())
    project.commit()
    status, log, outputs, summary = act(project, github, PULL_REQUEST, sarif="report.sarif", junit="report.xml")
    assert (status, outputs) == (1, {"status": "1", "problems": "1", "known": "1", "gone": "0"})
    assert "::warning file=captures/new.pcap,line=" in log
    assert "old.pcap" not in log
    assert "**TS105** syn-unanswered" in summary
    assert json.loads((project.path / "report.sarif").read_bytes())["runs"][0]["results"]
    assert "<failure" in (project.path / "report.xml").read_text(encoding="utf-8")
    assert Comments.kept[2] == f"<!-- tcpscope check: captures ___/check -->\n{summary}"
    assert all(call.endswith(" Bearer secret") for call in Comments.calls)

    project.write(new=clean(), old=clean())
    project.commit()
    assert act(project, github, PULL_REQUEST)[0] == 0
    assert len(Comments.kept) == 2
    assert "### ✅ tcpscope check" in Comments.kept[2]
    assert "gone: TS105" in Comments.kept[2]
    assert Comments.calls[-1].startswith("PATCH /repos/o/r/issues/comments/2 ")


def test_nothing_is_known_without_a_base(project: Project, github: HTTPServer) -> None:
    assert act(project, github, PULL_REQUEST, base="none")[0] == 1
    assert act(project, github, {"before": "0" * 40})[0] == 1
    assert act(project, github, PULL_REQUEST)[0] == 0
    status, log, *_ = act(project, github, PULL_REQUEST, base="no-such-branch")
    assert status == 1
    assert "::warning title=tcpscope::no-such-branch cannot be fetched" in log


def test_a_push_is_compared_with_the_commit_before_it(project: Project, github: HTTPServer) -> None:
    before = project.run("git", "rev-parse", "HEAD").stdout.strip()
    project.write(new=unanswered())
    project.commit()
    status, _, outputs, _ = act(project, github, {"before": before})
    assert (status, outputs["problems"], outputs["known"]) == (1, "1", "1")
    assert Comments.calls == []


def test_a_base_that_cannot_be_checked_is_told(project: Project, github: HTTPServer) -> None:
    (project.path / "tcpscope.toml").write_text("nonsense = 1\n", encoding="utf-8")
    project.commit(push=True)
    (project.path / "tcpscope.toml").unlink()
    project.commit()
    status, log, *_ = act(project, github, PULL_REQUEST, arguments="--fail-on 'warning'")
    assert status == 1
    assert "cannot be checked, so every problem counts as new: tcpscope: " in log


def test_a_policy_that_cannot_be_used_gives_status_2(project: Project, github: HTTPServer) -> None:
    (project.path / "tcpscope.toml").write_text("nonsense = 1\n", encoding="utf-8")
    project.commit()
    status, log, outputs, summary = act(project, github, PULL_REQUEST)
    assert (status, outputs["status"]) == (2, "2")
    assert "unknown key 'nonsense'" in log
    assert summary.startswith("### 💥")
    assert Comments.kept[2].endswith(summary)


def test_a_comment_that_may_not_be_written_is_no_failure(project: Project, github: HTTPServer) -> None:
    Comments.refuse = True
    status, log, *_ = act(project, github, PULL_REQUEST, base="none", arguments="--fail-on error")
    assert status == 0
    assert "::warning title=tcpscope::The comment cannot be written: HTTP Error 403" in log
    Comments.calls.clear()
    act(project, github, PULL_REQUEST, base="none", comment="false")
    act(project, github, PULL_REQUEST, base="none", token="")
    assert Comments.calls == []


def test_the_action_and_its_script_agree() -> None:
    script = (ROOT / ".github" / "action.py").read_text(encoding="utf-8")
    steps = ACTION["runs"]["steps"]
    given = {name for step in steps for name in step.get("env", {}) if name.startswith("CHECK_")}
    assert given | {"CHECK_COMMAND", "CHECK_"} == set(re.findall("CHECK_[A-Z]*", script)) | {
        "CHECK_SARIF",
        "CHECK_JUNIT",
    }
    used = set(re.findall(r"inputs\.([a-z-]+)", (ROOT / "action.yml").read_text(encoding="utf-8")))
    assert used == set(ACTION["inputs"])
    written = set(re.findall(r'(?:"|\\n)(\w+)=\{', "".join(re.findall(r'tell\("GITHUB_OUTPUT".*', script))))
    assert written == set(ACTION["outputs"])
    for step in steps:
        assert "${{" not in step.get("run", ""), "an input would become a part of the script"


def test_the_workflow_of_the_manual_gives_inputs_that_there_are() -> None:
    workflow = snippet("name: captures")
    steps = workflow["jobs"]["captures"]["steps"]
    action = next(step for step in steps if "tcpscope" in step["uses"])
    assert set(action["with"]) <= set(ACTION["inputs"])
    assert snippet("- if: always()")[0]["with"]["sarif_file"] == action["with"]["sarif"]
    assert workflow["permissions"]["pull-requests"] == "write"


# GitLab, and the command line


def test_the_job_for_gitlab_runs(project: Project) -> None:
    job = snippet("captures:")["captures"]
    script = "\n".join(job["script"])
    reports = job["artifacts"]["reports"]
    project.write(new=clean())
    assert (
        project.attempt("bash", "-eo", "pipefail", "-c", script, CI_MERGE_REQUEST_TARGET_BRANCH_NAME="main").returncode
        == 0
    )
    assert json.loads((project.path / reports["codequality"]).read_bytes()) == []
    project.run("git", "worktree", "remove", "--force", "base")
    project.write(new=unanswered())
    done = project.attempt("bash", "-eo", "pipefail", "-c", script, CI_MERGE_REQUEST_TARGET_BRANCH_NAME="main")
    assert done.returncode == 1, done.stderr
    issues = json.loads((project.path / reports["codequality"]).read_bytes())
    assert [issue["location"]["path"] for issue in issues] == ["captures/new.pcap"]
    assert "<failure" in (project.path / reports["junit"]).read_text(encoding="utf-8")


def test_the_lines_for_a_shell_run(project: Project) -> None:
    """None of them is wrong usage; that there are problems, and differences, is another matter."""
    for name in ("old", "new"):
        shutil.copy(project.path / "captures" / "old.pcap", project.path / f"{name}.pcap")
    for line in "".join(snippets("sh")).splitlines():
        done = project.attempt("bash", "-c", line)
        assert done.returncode in {0, 1}, f"{line}: {done.stderr}"
        assert done.stderr == "", line
    assert project.attempt("tcpscope", "check", "captures").returncode == 1
    assert project.attempt("tcpscope", "check", "captures", "--baseline", "captures/known.json").returncode == 0
    with (project.path / "tcpscope.toml").open("a", encoding="utf-8") as file:
        file.write('baseline = "captures/known.json"\n')
    assert project.attempt("tcpscope", "check", "captures").returncode == 0


def test_every_snippet_says_what_there_is(project: Project) -> None:
    for text in snippets("toml"):
        (project.path / "tcpscope.toml").write_text(text, encoding="utf-8")
        assert project.attempt("tcpscope", "check", "--show-config").stderr == ""
    assert snippets("yaml")
    for text in snippets("yaml"):
        for mapping in mappings(yaml.safe_load(text)):
            if "OWNER/tcpscope@" in str(mapping.get("uses")):
                assert set(mapping.get("with", {})) <= set(ACTION["inputs"])
            if "OWNER/tcpscope" in str(mapping.get("repo")):
                assert {hook["id"] for hook in mapping["hooks"]} <= set(HOOKS)


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    """All mappings in a document."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from mappings(inner)
