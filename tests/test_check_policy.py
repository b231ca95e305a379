"""The policy of ``tcpscope check``: where it is found, what is wrong with it, at which line and column."""

from __future__ import annotations

import datetime
import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpscope.check.kinds import VersionRange, duration, rate, share, tls_version, version_number
from tcpscope.check.locate import Places
from tcpscope.check.policy import load
from tcpscope.check.schema import policy_schema
from tcpscope.cli.main import run
from tcpscope.errors import PolicyError
from tests.captures import clean, unanswered
from tests.test_check import check, policy

Capsys = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in, with a capture."""
    monkeypatch.chdir(tmp_path)
    Path("unanswered.pcap").write_bytes(unanswered())
    return tmp_path


ERRORS = [
    # Keys
    ('selct = ["TS1"]', "1:1: unknown key 'selct'; did you mean 'select'?"),
    ("\n  xyzzy = 1", "2:3: unknown key 'xyzzy'; the keys here are select, ignore, "),
    ('[[expect]]\nhandshak = "complete"', "2:1: unknown key 'handshak'; did you mean 'handshake'?"),
    ('[[expect]]\n[expect.tls]\nversoin = "1.2"', "3:1: unknown key 'tls.versoin'; did you mean 'tls.version'?"),
    ('[[expect]]\ntls.versoin = "1.2"', "2:5: unknown key 'tls.versoin'; did you mean 'tls.version'?"),
    ('[[expect]]\ntls = "1.2"', "2:7: 'tls' is a table: tls.version, "),
    ("[[alow]]\n", "1:3: unknown key 'alow'; did you mean 'allow'?"),
    ('expect = "x"', "1:1: 'expect' is an array of tables: [[expect]]"),
    ("[expect]\nx = 1", "1:2: 'expect' is an array of tables: [[expect]]"),
    ("expect = [1]", "1:11: 1 is no table"),
    ('[[allow]]\nrule = "TS105"', "1:1: 'reason' is missing in this [[allow]]"),
    ('[[allow]]\nreason = "x"', "1:1: 'rule' is missing in this [[allow]]"),
    ('fail-on = "note"\n[[per-connection]]\nignore = ["TS1"]', "2:1: 'match' is missing in this [[per-connection]]"),
    # Values
    ("select = 4", "1:10: 'select': 4 is no list"),
    ('select = "TS1"', "1:10: 'select': 'TS1' is no list"),
    ('ignore = ["TS1", 7]', "1:18: 'ignore': 7 is no text"),
    ('ignore = [\n  "TS1",\n  "TS999",\n]', "3:3: 'ignore': no rule is called 'TS999'; did you mean TS"),
    ('select = ["zero-windw"]', "1:11: 'select': no rule is called 'zero-windw'; did you mean zero-window?"),
    ('fail-on = "warnings"', "1:11: 'fail-on': 'warnings' is no severity; did you mean 'warning'?"),
    ("fail-on = true", "1:11: 'fail-on': true is no severity; it is one of error, warning, note, never"),
    ('verify-checksums = "yes"', "1:20: 'verify-checksums': 'yes' is neither true nor false"),
    ('msl = "2 fortnights"', "1:7: 'msl': '2 fortnights' is no duration"),
    ("msl = -1", "1:7: 'msl': -1 is no duration"),
    ("msl = nan", "1:7: 'msl': nan is no duration"),
    ("msl = 1e300", "1:7: 'msl': it is too large for a duration"),
    ("msl = true", "1:7: 'msl': true is no duration"),
    (
        'severities = { TS1 = "bad" }',
        "1:22: 'severities': 'bad' is no severity; it is one of error, warning, note, off",
    ),
    (
        '[severities]\nzero-windo = "note"',
        "2:1: 'severities': no rule is called 'zero-windo'; did you mean zero-window?",
    ),
    ("severities = 1", "1:14: 'severities': 1 is no table"),
    ('[per-capture-ignores]\n"" = ["TS1"]', "2:1: 'per-capture-ignores': '' is no text"),
    ('[per-capture-ignores]\n"[z-a]*" = ["TS1"]', "2:1: 'per-capture-ignores': '[z-a]*' is no pattern: "),
    ('[per-capture-ignores]\n"a*" = ["TS1", "TS77"]', "2:16: 'per-capture-ignores': no rule is called 'TS77'"),
    ("[[expect]]\nmin-connections = 1.5", "2:19: 'min-connections': 1.5 is no count: a whole number from 0"),
    ("[[expect]]\nmax-retransmitted-share = 2", "2:27: 'max-retransmitted-share': 2 is no share from 0 to 1"),
    ('[[expect]]\nmin-throughput = "1 MB/h"', "2:18: 'min-throughput': '1 MB/h' is no rate"),
    ('[[expect]]\ntls.version = "4.0"', "2:15: 'tls.version': '4.0' is no version of TLS such as"),
    ("[[expect]]\nhandshake = []", "2:13: 'handshake': the list is empty"),
    ('[[expect]]\nteardown = ["orderly", "oderly"]', "2:24: 'teardown': 'oderly' is no verdict on a teardown; did you"),
    ("[[expect]]\nmax-findings = { TS1 = -1 }", "2:24: 'max-findings': -1 is no count"),
    ('[[allow]]\nrule = "TS1"\nreason = ""', "3:10: 'reason': '' is no text"),
    ('[[allow]]\nrule = "TS1"\nreason = "x"\nuntil = "soon"', "4:9: 'until': 'soon' is no date such as 2027-01-31"),
    ('[[allow]]\nrule = "TS1"\nreason = "x"\nuntil = 2027-01-31T00:00:00Z', "4:9: 'until': datetime.datetime(2027"),
    # Selectors: the column is the place within the text
    ('[[expect]]\nmatch = "port 443 and prot 80"', "2:23: 'match': 'prot' is not known; did you mean 'port'?"),
    ('[[expect]]\nmatch = "port https"', "2:15: 'match': 'https' is no number from 0 to 65535"),
    ('[[expect]]\nmatch = "port 70000"', "2:15: 'match': '70000' is no number"),
    ('[[expect]]\nmatch = "port 90-80"', "2:15: 'match': the range 90-80 ends before it begins"),
    (
        '[[expect]]\nmatch = "host example.org"',
        "2:15: 'match': 'example.org' is no IP address (names are not looked up)",
    ),
    ('[[expect]]\nmatch = "net 10.0.0.1/8"', "2:14: 'match': '10.0.0.1/8' is no network: has host bits set"),
    ('[[expect]]\nmatch = "(port 1 or port 2"', "2:27: 'match': the '(' at column 1 is not closed"),
    ('[[expect]]\nmatch = "port 1 port 2"', "2:17: 'match': 'port' is not expected here: 'and' or 'or' is missing"),
    ('[[expect]]\nmatch = "port 1)"', "2:16: 'match': ')' is not expected here: there is no '(' before it"),
    ('[[expect]]\nmatch = "not"', "2:13: 'match': something is missing at the end"),
    ('[[expect]]\nmatch = "client"', "2:16: 'match': 'host', 'net' or 'port' is missing after 'client'"),
    ('[[expect]]\nmatch = "sni"', "2:13: 'match': a name such as *.example.org is missing after 'sni'"),
    ('[[expect]]\nmatch = " "', "2:9: 'match': ' ' is no text"),
    ("[[expect]]\nmatch = '''\nport 443 and prot 80'''", "2:9: 'match': 'prot' is not known"),
    (f'[[expect]]\nmatch = "{"not " * 60}all"', "2:210: 'match': it is nested too deeply"),
    # TOML
    ("select = [", "1:"),
    ("a = 1\na = 2", "2:1: cannot overwrite a value"),
    ("\n\n= 3", "3:1: invalid statement"),
    ('a = "\\q"', "1:"),
    ("x = " + "[" * 5000 + "]" * 5000, " is nested too deeply"),
]


@pytest.mark.parametrize(("text", "message"), ERRORS, ids=[text[:40].strip().replace("\n", " ") for text, _ in ERRORS])
def test_what_is_wrong_and_where(text: str, message: str, capsys: Capsys) -> None:
    policy(text)
    assert run(["check", "missing.pcap"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith(f"tcpscope: tcpscope.toml:{message}".replace(": is", ": is")), line
    # The same below [tool.tcpscope] stands further down and further in, and is found all the same.


@pytest.mark.parametrize(("text", "message"), ERRORS[:1] + ERRORS[14:16], ids=["key", "value", "text"])
def test_the_same_in_pyproject(text: str, message: str) -> None:
    policy(f'[project]\nname = "x"\n\n[tool.tcpscope]\n{text}\n', "pyproject.toml")
    line, _, rest = message.partition(":")
    with pytest.raises(PolicyError) as error:
        load("pyproject.toml")
    assert str(error.value).startswith(f"pyproject.toml:{int(line) + 4}:{rest}")


def test_errors_of_tables_in_pyproject() -> None:
    policy("[tool.tcpscope]\n[[tool.tcpscope.expect]]\n\nhandshak = 1\n", "pyproject.toml")
    with pytest.raises(PolicyError, match=r"^pyproject\.toml:4:1: unknown key 'handshak'"):
        load("pyproject.toml")
    policy("[tool]\ntcpscope = 3\n", "pyproject.toml")
    with pytest.raises(PolicyError, match=r"^pyproject\.toml:2:"):
        load("pyproject.toml")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'ignore = ["TS1"]\n# \xff', ":2:3: is not UTF-8"),
        (b"#" * (5 << 20), ": is larger than 4 MiB"),
    ],
    ids=["encoding", "size"],
)
def test_files_that_are_no_policy(data: bytes, message: str, capsys: Capsys) -> None:
    Path("tcpscope.toml").write_bytes(data)
    assert run(["check", "unanswered.pcap"]) == 2
    assert capsys.readouterr().err.startswith(f"tcpscope: tcpscope.toml{message}")


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_policy_that_cannot_be_read(name: str, capsys: Capsys) -> None:
    assert run(["check", "unanswered.pcap", "--config", name]) == 2
    out, err = capsys.readouterr()
    assert (out, err.startswith(f"tcpscope: {name}: cannot be read: ")) == ("", True)


def test_an_error_in_any_policy_comes_before_the_first_capture(capsys: Capsys) -> None:
    Path("deep").mkdir()
    Path("deep/x.pcap").write_bytes(clean())
    policy("nonsense = 1", "deep/tcpscope.toml")
    assert run(["check", "unanswered.pcap", "deep/x.pcap", "-o", "json=out.json"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.startswith("tcpscope: deep/tcpscope.toml:1:1: ")) == ("", True)
    assert run(["check", "unanswered.pcap", "deep/x.pcap", "--isolated"]) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('keylog = ["nowhere.keys"]', "nowhere.keys"),
        ('ca-file = "nowhere.pem"', "nowhere.pem"),
        ('crl = ["nowhere.crl"]', "nowhere.crl"),
    ],
)
def test_files_that_a_policy_names_are_read_first(text: str, message: str, capsys: Capsys) -> None:
    policy(text)
    assert run(["check", "missing.pcap"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


# Where it is found


def test_the_nearest_policy_counts(capsys: Capsys) -> None:
    Path("a/b/c").mkdir(parents=True)
    for name in ("a/x.pcap", "a/b/x.pcap", "a/b/c/x.pcap"):
        Path(name).write_bytes(unanswered())
    policy('ignore = ["TS1"]')
    policy("[tool.other]\nx = 1\n", "a/pyproject.toml")  # says nothing about tcpscope
    policy('[tool.tcpscope]\nseverities = { TS1 = "note" }\n', "a/b/pyproject.toml")
    _, lines = check(capsys, ".")
    assert [line.partition(" The")[0] for line in lines if "TS105" in line and "by the" not in line] == [
        "a/b/x.pcap:1: TS105 syn-unanswered note:",
        "a/b/c/x.pcap:1: TS105 syn-unanswered note:",
    ]
    policy("", "a/b/tcpscope.toml")  # of the two in a directory it is this one
    _, lines = check(capsys, "a/b")
    assert [line for line in lines if "TS105 syn-unanswered warning" in line]


@pytest.mark.parametrize(
    ("options", "severity"),
    [
        ([], "note"),
        (["--isolated"], "warning"),
        (["--config", "other.toml"], "error"),
        (["--ignore", "TS105"], ""),
        (["--select", "TS2"], ""),
        (["--select", "TS2", "--extend-select", "syn-unanswered"], "note"),
    ],
)
def test_the_command_line_has_the_last_word(options: list[str], severity: str, capsys: Capsys) -> None:
    policy('severities = { TS105 = "note" }')
    policy('severities = { TS105 = "error" }', "other.toml")
    _, lines = check(capsys, "unanswered.pcap", *options)
    found = [line.split()[3].rstrip(":") for line in lines if line.startswith("unanswered.pcap:1: TS105")]
    assert found == ([severity] if severity else [])


def test_what_is_in_force_is_a_policy_that_says_the_same(capsys: Capsys) -> None:
    policy(FULL)
    assert run(["check", "--show-config"]) == 0
    shown = capsys.readouterr().out
    policy(shown, "shown.toml")
    assert run(["check", "--show-config", "--config", "shown.toml"]) == 0
    again = capsys.readouterr().out
    assert [line for line in again.splitlines() if not line.startswith("#")] == [
        line for line in shown.splitlines() if not line.startswith("#")
    ]


FULL = """
select = ["TS1", "TS2", "zero-window"]
ignore = ["TS401"]
extend-select = ["keep-alive"]
fail-on = "warning"
msl = "2 min"
verify-checksums = true
severities = { TS4 = "note", TS105 = "error", TS106 = "off" }
[per-capture-ignores]
"legacy/**" = ["TS6"]
"\\u00e4 \\"b\\".pcap" = ["TS1"]

[[per-connection]]
match = "client net 10.9.0.0/16 and not (port 80-90 or sni *.example.org)"
capture = "a*"
select = ["TS2"]
severities = { TS2 = "error" }

[[expect]]
name = "login over TLS"
match = "server port 443 or stream 3 or host [fe80::1]"
capture = ["a.pcap", "b/*.pcap"]
min-connections = 2
max-connections = 7
handshake = "complete"
teardown = ["orderly", "reset-after-fin"]
active-closer = "client"
time-wait = "held"
tls.version = ">= TLS 1.2"
tls.cipher-suite = "TLS_AES_*"
tls.verdict = "complete"
tls.alpn = ["h2", "http/1.1"]
tls.resumed = false
max-handshake-rtt = "200ms"
max-response-time = 1.5
max-retransmitted-share = "1%"
max-retransmissions = 0
min-throughput = "1 MB/s"
min-duration = "1us"
max-duration = "2 h"
diagnosis = "none"
no-findings = "TS2"
max-findings = { zero-window = 2 }
severity = "warning"
undecided = "pass"

[[allow]]
rule = ["TS202", "reset-after-fin"]
match = "port 1"
capture = "x"
reason = "a \\u001b[31m reason"
until = 2027-01-31
"""


def plain(value: Any) -> Any:
    """A document of TOML as one of JSON."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime.date) else value


def test_the_schema_takes_what_the_reader_takes() -> None:
    validator = jsonschema.Draft7Validator(policy_schema())
    validator.validate(plain(tomllib.loads(FULL)))
    policy(FULL)
    load("tcpscope.toml")


# An editor cannot know which rules there are, how a selector reads, what a unit means, or how large a number may be.
BEYOND_SCHEMA = (
    "no rule is called",
    "'match': ",
    "no duration",
    "too large",
    "no pattern",
    "no rate",
    "no share",
    "no version",
    "no text",
    "no date",
    "datetime",
)


@pytest.mark.parametrize(("text", "message"), ERRORS[:-5])
def test_the_schema_refuses_what_the_reader_refuses(text: str, message: str) -> None:
    if any(words in message for words in BEYOND_SCHEMA):
        return
    errors = list(jsonschema.Draft7Validator(policy_schema()).iter_errors(plain(tomllib.loads(text))))
    assert errors, message


# Values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("200ms", 200_000_000),
        ("1.5 s", 1_500_000_000),
        (2, 2_000_000_000),
        (0.25, 250_000_000),
        ("3us", 3000),
        ("7ns", 7),
        ("1 h", 3_600_000_000_000),
        ("2min", 120_000_000_000),
    ],
)
def test_durations(text: object, value: int) -> None:
    assert duration(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("10 Mbit/s", 1_250_000), ("1.5 MB/s", 1_500_000), (1000, 1000), ("1 KiB", 1024), ("1 kB/s", 1000), ("8bps", 1), ("1 MiB/s", 2**20)],
)  # fmt: skip
def test_rates(text: object, value: float) -> None:
    assert rate(text) == value


def test_shares() -> None:
    assert [share(value) for value in (0, 1, 0.01, "1%", "100%", "0.5")] == [0, 1, 0.01, 0.01, 1, 0.5]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        (">=1.2", "1.2 1.3"),
        ("1.3", "1.3"),
        ("=1.2", "1.2"),
        ("== TLS 1.1", "1.1"),
        ("<1.2", "SSL 2.0 SSL 3.0 1.0 1.1"),
        ("!=1.3", "SSL 2.0 SSL 3.0 1.0 1.1 1.2"),
        (">SSL 3.0", "1.0 1.1 1.2 1.3"),
        ("<= ssl 3.0", "SSL 2.0 SSL 3.0"),
    ],
)
def test_versions_of_tls(text: str, holds: str) -> None:
    wanted = tls_version(text)
    assert isinstance(wanted, VersionRange)
    names = ("SSL 2.0", "SSL 3.0", "TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3")
    found = " ".join(name.removeprefix("TLS ") for name in names if wanted.holds(version_number(name)))
    assert found == holds


# Places


BARE = st.text("ab-_19", min_size=1, max_size=4)
NAMES = st.one_of(BARE, st.text(max_size=6))
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**62), 2**62),
    st.floats(allow_nan=False),
    st.text(max_size=12),
    st.dates(),
    st.datetimes(timezones=st.just(datetime.UTC)),
)
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=12
)
SPACE = st.sampled_from(["", " ", "\t ", "  "])
BREAK = st.sampled_from(["", "\n", " # ] } \" ' = [[x]]\n", "\r\n", "\n\n\t"])


def name_text(draw: st.DrawFn, name: str) -> str:
    """A key as TOML may write it."""
    if name and all(sign.isascii() and (sign.isalnum() or sign in "-_") for sign in name) and draw(st.booleans()):
        return name
    if "'" not in name and name.isprintable() and draw(st.booleans()):
        return f"'{name}'"
    return quoted(name)


def quoted(text: str) -> str:
    """A basic string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def value_text(draw: st.DrawFn, value: Any, inline: bool = False) -> str:
    """A value as TOML may write it."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            if "'" not in value and value.isprintable() and draw(st.booleans()):
                return f"'{value}'"
            if value.isprintable() and '"' not in value and "\\" not in value and not inline and draw(st.booleans()):
                return f'"""\n{value}"""'
            return quoted(value)
        case datetime.datetime():
            return value.isoformat(draw(st.sampled_from(["T", " "])))
        case datetime.date():
            return value.isoformat()
        case list():
            items = [f"{draw(BREAK)}{value_text(draw, item)}{draw(BREAK)}" for item in value]
            end = draw(st.sampled_from(["", ","])) if items else ""
            return f"[{','.join(items)}{end}]"
        case dict():
            pairs = [
                f"{draw(SPACE)}{name_text(draw, key)}{draw(SPACE)}={draw(SPACE)}{value_text(draw, item, True)}"
                for key, item in value.items()
            ]
            return "{" + ",".join(pairs) + "}"
        case float():
            return repr(value)
    return str(value)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A valid document: pairs, then tables and arrays of tables."""
    lines = []
    content = draw(st.dictionaries(NAMES, DOCUMENTS, max_size=4))
    tables = []
    for key, value in content.items():
        if isinstance(value, dict) and draw(st.booleans()):
            tables.append((f"[{draw(SPACE)}{name_text(draw, key)}{draw(SPACE)}]", value))
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            tables += [(f"[[{name_text(draw, key)}]]", one) for one in value]
        else:
            lines.append(f"{draw(SPACE)}{name_text(draw, key)} = {value_text(draw, value)}{draw(SPACE)}")
    for head, value in tables:
        lines.append(head)
        lines += [f"{name_text(draw, key)}={value_text(draw, item)} # x" for key, item in value.items()]
    return "\n".join(lines) + draw(BREAK)


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], Any]]:
    """Every value of a document with the path to it."""
    inner = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [(path, value)] * bool(path) + [one for key, item in inner for one in paths(item, (*path, key))]


@given(documents())
def test_every_value_has_its_place(text: str) -> None:
    text = text.replace("\r\n", "\n")
    lines = text.split("\n")
    document = tomllib.loads(text)
    places = Places(text)
    for path, value in paths(document):
        if path not in places.values:  # an array of tables: each of them has a place
            assert path in places.keys
            assert isinstance(value, list)
            continue
        place = places.value(path)
        rest = "\n".join(lines[place.line - 1 :])[place.column - 1 :]
        if rest.startswith("["):
            assert isinstance(value, list | dict)
        elif rest.startswith("{"):
            assert isinstance(value, dict)
        elif isinstance(value, str):
            assert rest[0] in "\"'"
            assert not place.plain or rest[1 : 1 + len(value)] == value
        else:
            assert isinstance(value, bool | int | float | datetime.date)
            word = rest.split("\n", maxsplit=1)[0]
            assert any(equal(word[:length], value) for length in range(1, len(word) + 1))
        if isinstance(path[-1], str) and path in places.keys:
            key = places.key(path)
            assert lines[key.line - 1][key.column - 1] in f"[\"'{path[-1][:1]}"


def equal(text: str, value: object) -> bool:
    """Whether a piece of TOML is this value."""
    try:
        return bool(tomllib.loads(f"x = {text}")["x"] == value)
    except tomllib.TOMLDecodeError:
        return False


@given(st.text(st.sampled_from("ab.=[]{}\"'#\\,\n \t1-"), max_size=40))
def test_any_text_is_followed_to_its_end(text: str) -> None:
    Places(text)  # terminates, whatever it is
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    places = Places(text)
    for path, _ in paths(document):
        assert path in places.values or path in places.keys


@given(
    st.one_of(
        documents(), st.text(st.sampled_from("expect.=[]{}\"'#\\,\n \tlow1-"), max_size=60), st.binary(max_size=40)
    )
)
def test_any_policy_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str | bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"  # not where other tests look for a policy
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    line = 0
    try:
        load(str(path))
    except PolicyError as error:
        line = error.line
    assert 0 <= line <= path.read_bytes().count(b"\n") + 2
