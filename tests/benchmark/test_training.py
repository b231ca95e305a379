"""What a compiler that learns from a run gets to see."""

from __future__ import annotations

import pytest

from tests.benchmark import training
from tests.captures import SAMPLES


def test_every_recording_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "ROUNDS", 1)
    recordings = list(SAMPLES.glob("*.pcap*"))
    assert recordings
    assert training.main(SAMPLES) == len(recordings)
