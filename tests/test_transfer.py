"""What is remembered of data under way: bounded, whatever a sender does."""

from __future__ import annotations

from tcpscope.state.holes import MAX_HOLES
from tests.paths import HANDSHAKE, of


def test_a_hole_that_is_filled_in_pieces_becomes_no_more_holes_than_are_kept() -> None:
    """Single bytes in the middle of what is missing split it again and again. Found by the fuzz target "state"."""
    pieces = [f"+.001 C > S P. {1000 + 10 * n}:{1001 + 10 * n}(1) ack 1" for n in range(300)]
    (conn,) = of(HANDSHAKE + "+.01 C > S P. 900001:900101(100) ack 1\n" + "\n".join(pieces))
    transfer = conn.client.transfer
    assert transfer is not None
    assert transfer.trouble.holes is not None
    assert len(transfer.trouble.holes) == MAX_HOLES
    assert transfer.unique_bytes == 100 + MAX_HOLES
    missing = sum(int(hole.right - hole.left) for hole in transfer.trouble.holes)
    assert missing + transfer.trouble.hole_bytes_lost == 900_000 - MAX_HOLES


def test_a_hole_that_is_filled_from_both_ends_stays_one() -> None:
    (conn,) = of(
        HANDSHAKE
        + """
        +.01 C > S P. 1001:1101(100) ack 1
        +.01 C > S P. 1:101(100) ack 1
        +.01 C > S P. 901:1001(100) ack 1
        +.01 C > S P. 101:201(100) ack 1
        """
    )
    transfer = conn.client.transfer
    assert transfer is not None
    assert transfer.trouble.holes is not None
    base = conn.client.base
    assert [(hole.left - base, hole.right - base) for hole in transfer.trouble.holes] == [(200, 900)]
    assert (transfer.unique_bytes, transfer.trouble.hole_bytes_lost) == (400, 0)
