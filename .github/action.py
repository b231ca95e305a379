"""The steps of action.yml: ``install`` puts tcpscope into an environment of its own, ``check`` runs it for a workflow.

Everything comes from the environment, as GitHub describes it: https://docs.github.com/en/actions/reference/workflows-and-actions/variables
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

UNUSABLE = 2
MAX_PAGES = 30
BASELINE = ".tcpscope-base.json"
"""In the workspace while the check runs: paths in a baseline are those from its directory."""


def variable(name: str, default: str = "") -> str:
    """A variable of the environment."""
    return os.environ.get(name, default).strip()


def say(text: str) -> None:
    """A line for the log, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def annotate(level: str, text: str) -> None:
    """An annotation: ``notice`` or ``warning``."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    say(f"::{level} title=tcpscope::{text}")


# Installing


def environment() -> Path:
    """The virtual environment of the action."""
    return Path(variable("RUNNER_TEMP") or tempfile.gettempdir()) / "tcpscope-action"


def command() -> str:
    """The installed tcpscope, or the one that CHECK_COMMAND names."""
    scripts = environment() / ("Scripts" if os.name == "nt" else "bin")
    return variable("CHECK_COMMAND") or str(scripts / "tcpscope")


def install() -> int:
    """Install what lies beside this file's directory."""
    source = Path(__file__).resolve().parent.parent
    subprocess.run([sys.executable, "-m", "venv", str(environment())], check=True)
    python = environment() / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, f"{source}[compression]"], check=True)
    return subprocess.run([command(), "--version"], check=True).returncode


# Checking


def check() -> int:
    """Check the captures, tell the workflow, and give back the exit status."""
    paths = variable("CHECK_PATHS", ".").splitlines()
    arguments = ["check", "--no-progress", *shlex.split(variable("CHECK_ARGUMENTS"))]
    event = read_event()
    with tempfile.TemporaryDirectory() as directory, known_of_base(event, arguments, paths, directory) as known:
        outputs = {"json": f"{directory}/result.json", "markdown": f"{directory}/comment.md"}
        outputs |= {name: path for name in ("sarif", "junit") if (path := variable(f"CHECK_{name.upper()}"))}
        written = [f"--output={name}={path}" for name, path in outputs.items()]
        line = [command(), *arguments, *known, "--format", "github", *written, "--", *paths]
        status = subprocess.run(line, check=False).returncode
        try:
            summary = json.loads(Path(outputs["json"]).read_bytes())["summary"]
            text = Path(outputs["markdown"]).read_text(encoding="utf-8")
        except (OSError, ValueError, KeyError):  # the policy cannot be used: the log says why
            summary, text = {}, "### 💥 tcpscope check\n\nCould not check: the log of the workflow says why.\n"
            status = status or UNUSABLE
    found = sum(summary.get(level, 0) for level in ("error", "warning", "note"))
    tell("GITHUB_OUTPUT", f"status={status}\nproblems={found}\n")
    tell("GITHUB_OUTPUT", f"known={summary.get('known', 0)}\ngone={summary.get('gone', 0)}\n")
    tell("GITHUB_STEP_SUMMARY", text)
    number = event.get("pull_request", {}).get("number")
    if number and variable("CHECK_COMMENT", "true") == "true" and variable("CHECK_TOKEN"):
        comment(int(number), text, worth=bool(found or status or summary.get("gone")))
    return status


def tell(name: str, text: str) -> None:
    """Add to one of the files by which a step talks to its workflow."""
    if variable(name):
        with Path(variable(name)).open("a", encoding="utf-8") as file:
            file.write(text)


def read_event() -> dict[str, Any]:
    """What made the workflow run."""
    try:
        event = json.loads(Path(variable("GITHUB_EVENT_PATH")).read_bytes())
    except (OSError, ValueError):
        return {}
    return event if isinstance(event, dict) else {}


# The base


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git in the workspace, which may belong to another user."""
    line = ["git", "-c", "safe.directory=*", *arguments]
    return subprocess.run(line, check=False, capture_output=True, text=True, errors="replace")


def base_commit(event: dict[str, Any]) -> str:
    """The commit to compare with, or ""."""
    wanted = variable("CHECK_BASE") or variable("GITHUB_BASE_REF") or str(event.get("before", ""))
    if not wanted or wanted == "none" or not wanted.strip("0"):
        return ""
    if not re.fullmatch("[0-9a-f]{40}", wanted) or git("cat-file", "-e", f"{wanted}^{{commit}}").returncode:
        fetched = git("fetch", "--no-tags", "--depth=1", "origin", wanted)
        if fetched.returncode:
            annotate("warning", f"{wanted} cannot be fetched, so every problem counts as new: {fetched.stderr.strip()}")
            return ""
        wanted = "FETCH_HEAD"
    return git("rev-parse", f"{wanted}^{{commit}}").stdout.strip()


@contextmanager
def known_of_base(
    event: dict[str, Any], arguments: Sequence[str], paths: Sequence[str], directory: str
) -> Iterator[list[str]]:
    """Check the base, with its own captures and policy, and give the options that make its problems known ones."""
    base = base_commit(event)
    tree = Path(directory, "base")
    if not base or git("worktree", "add", "--detach", "--force", str(tree), base).returncode:
        yield []
        return
    try:
        line = [command(), *arguments, "--fail-on=never", f"--write-baseline={BASELINE}", "--", *paths]
        done = subprocess.run(line, check=False, cwd=tree, capture_output=True, text=True, errors="replace")
        if (tree / BASELINE).exists():
            Path(BASELINE).write_bytes((tree / BASELINE).read_bytes())
            say(f"Compared with {base}: its problems are known")
            yield [f"--baseline={BASELINE}"]
        else:
            annotate("warning", f"{base} cannot be checked, so every problem counts as new: {done.stderr.strip()}")
            yield []
    finally:
        Path(BASELINE).unlink(missing_ok=True)
        git("worktree", "remove", "--force", str(tree))


# The comment


def comment(number: int, text: str, *, worth: bool) -> None:
    """Keep the one comment up to date. It is made when there first is something to say."""
    job = re.sub(r"[^\w ./]", "_", f"{variable('GITHUB_WORKFLOW')}/{variable('GITHUB_JOB')}")
    marker = f"<!-- tcpscope check: {job} -->"
    issues = f"/repos/{variable('GITHUB_REPOSITORY')}/issues"
    body = {"body": f"{marker}\n{text}"}
    try:
        for page in range(1, MAX_PAGES + 1):
            comments = request("GET", f"{issues}/{number}/comments?per_page=100&page={page}")
            for one in comments:
                if str(one.get("body", "")).startswith(marker):
                    request("PATCH", f"{issues}/comments/{one['id']}", body)
                    return
            if len(comments) < 100:
                break
        if worth:
            request("POST", f"{issues}/{number}/comments", body)
    except (OSError, ValueError, KeyError, AttributeError) as error:  # a pull request from a fork may not write
        annotate("warning", f"The comment cannot be written: {error}")


def request(method: str, path: str, body: dict[str, str] | None = None) -> Any:
    """One call of GitHub's REST interface."""
    made = urllib.request.Request(
        variable("GITHUB_API_URL", "https://api.github.com") + path,
        None if body is None else json.dumps(body).encode(),
        {
            "Authorization": f"Bearer {variable('CHECK_TOKEN')}",
            "Accept": "application/vnd.github+json",
            "Content-Type": "application/json",
            "User-Agent": "tcpscope-action",
        },
        method=method,
    )
    with urllib.request.urlopen(made, timeout=30) as answer:
        return json.loads(answer.read())


def main() -> int:
    """Run the step that the command line names."""
    steps = {"install": install, "check": check}
    return steps[sys.argv[1]]()


if __name__ == "__main__":
    sys.exit(main())
