"""Where the trouble of a connection sits, in one sentence with its numbers, and what to look at next (contract: diagnosis).

:mod:`tcpscope.rules.symptoms` decides, this module says it. Confidence is high where the capture proves it, medium where one
other explanation is left, low where the evidence is silence: that proves nothing about who is silent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from tcpscope.rules import diagnosis_data, diagnosis_ends, symptoms
from tcpscope.rules.base import SIDE_NAMES, bounded
from tcpscope.rules.diagnosis_words import Said
from tcpscope.rules.words import listed, opening, plural

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection

NOWHERE: Final = "none"

# Where each symptom puts the trouble; {} is the side that it is about.
PLACES: Final[dict[int, str]] = {
    symptoms.NONE: NOWHERE,
    symptoms.REFUSED: "server-application",
    symptoms.REJECTED: "network",
    symptoms.OVERFLOW: "server-application",
    symptoms.FLOOD: "server-host",
    symptoms.UNANSWERED: "network",
    symptoms.HALF_OPEN: "cannot-tell",
    symptoms.OLD_DUPLICATE: "network",
    symptoms.OPENING_RESET: "{}-application",
    symptoms.TOO_EARLY: "capture",
    symptoms.ONE_SIDED: "capture",
    symptoms.PATH_MTU: "network",
    symptoms.FORGED_RESET: "network",
    symptoms.RESTARTED: "{}-host",
    symptoms.TIME_WAIT_BROKEN: "{}-host",
    symptoms.VANISHED: "network",
    symptoms.SLOW_ANSWER: "{}-application",
    symptoms.SLOW_READER: "{}-host",
    symptoms.SMALL_WINDOW: "{}-host",
    symptoms.LOSS: "network",
    symptoms.LATE_ACKS: "network",
    symptoms.TLS_CORRUPT: "network",
    symptoms.TLS_REFUSED: "{}-application",
    symptoms.BROKEN_OFF: "{}-application",
    symptoms.LEFT_OPEN: "{}-application",
    symptoms.REORDERED: "network",
    symptoms.JITTER: "network",
    symptoms.BYTES_MISSING: "capture",
    symptoms.CUT_OFF: "capture",
}

WORDS: Final[dict[int, Callable[[Connection, int], Said]]] = {
    symptoms.NONE: diagnosis_ends.nothing,
    symptoms.REFUSED: diagnosis_ends.refused,
    symptoms.REJECTED: diagnosis_ends.rejected,
    symptoms.OVERFLOW: diagnosis_ends.overflow,
    symptoms.FLOOD: diagnosis_ends.flood,
    symptoms.UNANSWERED: diagnosis_ends.unanswered,
    symptoms.HALF_OPEN: diagnosis_ends.half_open,
    symptoms.OLD_DUPLICATE: diagnosis_ends.old_duplicate,
    symptoms.OPENING_RESET: diagnosis_ends.opening_reset,
    symptoms.TOO_EARLY: diagnosis_ends.ends_too_early,
    symptoms.ONE_SIDED: diagnosis_data.one_sided,
    symptoms.PATH_MTU: diagnosis_data.path_mtu,
    symptoms.FORGED_RESET: diagnosis_ends.forged_reset,
    symptoms.RESTARTED: diagnosis_ends.restarted,
    symptoms.TIME_WAIT_BROKEN: diagnosis_ends.time_wait_broken,
    symptoms.VANISHED: diagnosis_data.vanished,
    symptoms.SLOW_ANSWER: diagnosis_data.slow_answer,
    symptoms.SLOW_READER: diagnosis_data.slow_reader,
    symptoms.SMALL_WINDOW: diagnosis_data.small_window,
    symptoms.LOSS: diagnosis_data.loss,
    symptoms.LATE_ACKS: diagnosis_data.late_acks,
    symptoms.TLS_CORRUPT: diagnosis_ends.tls_corrupt,
    symptoms.TLS_REFUSED: diagnosis_ends.tls_refused,
    symptoms.BROKEN_OFF: diagnosis_ends.broken_off,
    symptoms.LEFT_OPEN: diagnosis_ends.left_open,
    symptoms.REORDERED: diagnosis_data.reordered,
    symptoms.JITTER: diagnosis_data.jitter,
    symptoms.BYTES_MISSING: diagnosis_data.bytes_missing,
    symptoms.CUT_OFF: diagnosis_data.cut_off,
}

UNDECIDED: Final = frozenset((symptoms.TOO_EARLY, symptoms.CUT_OFF))
"""The capture ends too soon for this connection: of a capture with others it says nothing."""

OTHERS: Final = 3
"""Further symptoms that the diagnosis of a capture mentions."""


class Diagnosis(NamedTuple):
    """What the contract calls so. ``kind`` is the symptom's name, ``frames`` the evidence to look at."""

    kind: str
    where: str
    confidence: str
    summary: str
    next_step: str
    frames: tuple[int, ...]


def diagnose(conn: Connection, msl_ns: int) -> Diagnosis:
    """The diagnosis of a finished connection. ``msl_ns``: maximum segment lifetime."""
    return describe(conn, symptoms.symptom(conn, msl_ns))


def describe(conn: Connection, symptom: int) -> Diagnosis:
    """What a symptom (see :func:`tcpscope.rules.symptoms.symptom`) of a connection means."""
    code, side = divmod(symptom, 2)
    said = WORDS[code](conn, side)
    return Diagnosis(
        symptoms.NAMES[code],
        PLACES[code].format(SIDE_NAMES[side]),
        said.confidence,
        opening(said.summary),
        said.next_step,
        bounded(said.frames),
    )


class Tally:
    """The symptoms of all connections of a capture, with the first example of each."""

    def __init__(self) -> None:
        self.clean = 0
        self._counts: dict[int, int] = {}
        self._examples: dict[int, tuple[int, Diagnosis]] = {}

    def first(self, conn: Connection, symptom: int) -> None:
        """The first connection that has a symptom."""
        self._examples[symptom // 2] = conn.stream, describe(conn, symptom)

    def diagnosis(self, counts: Sequence[int]) -> Diagnosis | None:
        """What ails the capture: what most of its connections have that are not clean. None without connections.

        ``counts``: how many connections have each symptom, by its code.
        """
        self.clean = counts[symptoms.NONE]
        self._counts = {code: count for code, count in enumerate(counts) if count and code != symptoms.NONE}
        total = sum(counts)
        codes = sorted(self._counts, key=lambda code: (code in UNDECIDED, -self._counts[code], code))
        if not total:
            return None
        if not codes or (self.clean and codes[0] in UNDECIDED):
            return self._clean(total)
        stream, example = self._examples[codes[0]]
        if total == 1:
            return example
        summary = (
            f"{self._counts[codes[0]]:,} of {plural(total, 'connection')}: {_label(codes[0])}. Connection {stream}: "
        )
        summary += example.summary
        if others := [f"{_label(code)} ({self._counts[code]:,})" for code in codes[1 : 1 + OTHERS]]:
            summary += f". Also seen: {listed(others)}"
        return example._replace(summary=summary)

    def _clean(self, total: int) -> Diagnosis:
        judged = (
            f"in {plural(self.clean, 'connection')}"
            if self.clean == total
            else f"in {self.clean:,} of {total:,} connections"
        )
        text = f"Nothing points to trouble {judged}"
        if self.clean < total:
            text += "; the capture is too short for the others"
        return Diagnosis(
            symptoms.NAMES[symptoms.NONE],
            NOWHERE,
            "high" if self.clean == total else "medium",
            text,
            "Look elsewhere: at name resolution, at other connections, at the programs",
            (),
        )


def _label(code: int) -> str:
    """The symptom's name as words."""
    return symptoms.NAMES[code].replace("-", " ")
