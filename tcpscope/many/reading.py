"""Reads one capture into a session, without a terminal to care for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tcpscope.capture.join import misfit
from tcpscope.capture.source import open_source
from tcpscope.errors import SourceError
from tcpscope.report.session import Session


def read_capture(path: str, session: Session, seen: Callable[[bytes], object] | None = None) -> None:
    """Feed a whole capture and finish the session. ``seen`` is called with each chunk before it is fed, and may raise.

    :raises SourceError: it cannot be opened. Damage in the middle is in the session's facts.
    """
    _read_file(path, session, seen)
    session.finish()


def read_series(paths: Sequence[str], session: Session, seen: Callable[[bytes], object] | None = None) -> None:
    """The same with the files of one capture in their order. One that cannot be opened, or is no piece of it, counts as damage."""
    for index, path in enumerate(paths):
        wrong = misfit(path, session.pipeline.latest) if index else ""
        if not wrong:
            try:
                _read_file(path, session, seen)
                continue
            except SourceError as error:
                wrong = str(error)
        session.begin_file(path)
        session.end_file(path, "", wrong)
    session.finish()


def _read_file(path: str, session: Session, seen: Callable[[bytes], object] | None) -> None:
    with open_source(path) as source:
        session.begin_file(source.name)
        stopped, offset = "", -1
        try:
            while data := source.read():
                if seen is not None:
                    seen(data)
                if not session.feed(data):
                    break
        except SourceError as error:
            stopped, offset = f"{error} at byte {source.position}", source.position
        session.end_file(
            source.name, source.compression, stopped or source.damage, offset if stopped else source.damage_offset
        )
