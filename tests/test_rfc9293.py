"""RFC 9293, read by a person and written down again: what each side's path must be. Not generated from the table.

Each case names the figure or section it comes from. Frame numbers are those that made a side enter the state; 0 is a frame
that the capture does not have.
"""

from __future__ import annotations

import pytest

from tests.paths import HANDSHAKE, names, of, path

OPEN = "CLOSED SYN-SENT ESTABLISHED"
ACCEPTED = "LISTEN SYN-RECEIVED ESTABLISHED"

CASES = {
    "figure 6, basic three-way handshake": (HANDSHAKE, OPEN, ACCEPTED),
    "figure 7, simultaneous open": (
        """
        0.000 C > S S <mss 1460>
        +.001 S > C S ack 0 <mss 1460>
        +.010 C > S S. seq 0 ack 1
        +.001 S > C S. seq 0 ack 1
        """,
        "CLOSED SYN-SENT SYN-RECEIVED ESTABLISHED",
        "CLOSED SYN-SENT SYN-RECEIVED ESTABLISHED",
    ),
    "figure 12, normal close": (
        HANDSHAKE
        + """
        +.1 C > S F.
        +.01 S > C .
        +.1 S > C F.
        +.01 C > S .
        """,
        OPEN + " FIN-WAIT-1 FIN-WAIT-2 TIME-WAIT",
        ACCEPTED + " CLOSE-WAIT LAST-ACK CLOSED",
    ),
    "3.6, the server closes first": (
        HANDSHAKE
        + """
        +.1 S > C F.
        +.01 C > S .
        +.1 C > S F.
        +.01 S > C .
        """,
        OPEN + " CLOSE-WAIT LAST-ACK CLOSED",
        ACCEPTED + " FIN-WAIT-1 FIN-WAIT-2 TIME-WAIT",
    ),
    "figure 5 note 2, ACK and FIN in one segment": (
        HANDSHAKE
        + """
        +.1 C > S F.
        +.01 S > C F.
        +.01 C > S .
        """,
        OPEN + " FIN-WAIT-1 FIN-WAIT-2 TIME-WAIT",
        ACCEPTED + " CLOSE-WAIT LAST-ACK CLOSED",
    ),
    "figure 13, simultaneous close": (
        HANDSHAKE
        + """
        +.1 C > S F. ack 1
        +.001 S > C F. ack 1
        +.01 C > S . ack 2
        +.001 S > C . ack 2
        """,
        OPEN + " FIN-WAIT-1 CLOSING TIME-WAIT",
        ACCEPTED + " FIN-WAIT-1 CLOSING TIME-WAIT",
    ),
    "figure 13, the other order of the ACKs": (
        HANDSHAKE
        + """
        +.1 C > S F. ack 1
        +.001 S > C F. ack 1
        +.01 S > C . ack 2
        +.001 C > S . ack 2
        """,
        OPEN + " FIN-WAIT-1 CLOSING TIME-WAIT",
        ACCEPTED + " FIN-WAIT-1 CLOSING TIME-WAIT",
    ),
    "3.10.7.1, nobody listens": (
        """
        0.000 C > S S
        +.010 S > C R. seq 0 ack 1
        """,
        "CLOSED SYN-SENT CLOSED",
        "CLOSED",
    ),
    "3.10.7.3, an RST without an acceptable ACK is dropped in SYN-SENT": (
        """
        0.000 C > S S
        +.010 S > C R. seq 0 ack 4000
        """,
        "CLOSED SYN-SENT",
        "",
    ),
    "3.10.7.4, RST in SYN-RECEIVED after a passive OPEN: back to LISTEN": (
        """
        0.000 C > S S
        +.010 S > C S.
        +.010 C > S R seq 1
        """,
        "CLOSED SYN-SENT CLOSED",
        "LISTEN SYN-RECEIVED LISTEN",
    ),
    "figure 8, recovery from an old duplicate SYN": (
        """
        0.000 C > S S
        +.010 S > C S. seq 0 ack =91 stray
        +.010 C > S R seq =91 stray
        +.010 C > S S seq 0
        +.010 S > C S. seq =400000 ack 1 stray
        +.010 C > S . seq 1 ack =400001
        """,
        OPEN,
        "LISTEN SYN-RECEIVED LISTEN SYN-RECEIVED ESTABLISHED",
    ),
    "3.10.4, FIN straight after the handshake ACK": (
        """
        0.000 C > S S
        +.010 S > C S.
        +.001 C > S F.
        +.010 S > C .
        """,
        OPEN + " FIN-WAIT-1 FIN-WAIT-2",
        ACCEPTED + " CLOSE-WAIT",
    ),
    "3.10.5, abort": (
        HANDSHAKE + "+.1 C > S R.",
        OPEN + " CLOSED",
        ACCEPTED + " CLOSED",
    ),
    "3.10.7.4, RST with a number outside the window changes nothing": (
        HANDSHAKE + "+.1 S > C R seq 900000000 stray",
        OPEN,
        ACCEPTED,
    ),
    "3.10.8, TIME-WAIT ends after 2 MSL": (
        HANDSHAKE
        + """
        +.1 C > S F.
        +.01 S > C F.
        +.01 C > S .
        +100 C2 > S2 S
        """,
        OPEN + " FIN-WAIT-1 FIN-WAIT-2 TIME-WAIT CLOSED",
        ACCEPTED + " CLOSE-WAIT LAST-ACK CLOSED",
    ),
    "3.10.7.4, a FIN in TIME-WAIT is acknowledged again": (
        HANDSHAKE
        + """
        +.1 C > S F.
        +.01 S > C F.
        +.01 C > S .
        +.2 S > C F. seq 1 ack 2
        +.01 C > S . ack 2
        """,
        OPEN + " FIN-WAIT-1 FIN-WAIT-2 TIME-WAIT",
        ACCEPTED + " CLOSE-WAIT LAST-ACK CLOSED",
    ),
    "observer: the last ACK never arrived": (
        HANDSHAKE
        + """
        +.1 C > S F.
        +.01 S > C F.
        +.01 C > S .
        +.2 S > C F. seq 1 ack 2
        """,
        OPEN + " FIN-WAIT-1 FIN-WAIT-2 TIME-WAIT",
        ACCEPTED + " CLOSE-WAIT LAST-ACK",
    ),
    "observer: the third segment never arrived": (
        HANDSHAKE + "+1 S > C S. seq 0 ack 1",
        OPEN,
        "LISTEN SYN-RECEIVED",
    ),
    "observer: a FIN that nobody acknowledges has not been received": (
        HANDSHAKE
        + """
        +.1 C > S F.
        +.2 C > S F. seq 1
        """,
        OPEN + " FIN-WAIT-1",
        ACCEPTED,
    ),
    "observer: data both ways from the middle": (
        """
        0.000 C > S P. 100:200(100) ack 50
        +.010 S > C P. 50:70(20) ack 200
        +.010 C > S . ack 70
        """,
        "ESTABLISHED",
        "ESTABLISHED",
    ),
    "observer: data one way from the middle proves no state": (
        """
        0.000 S > C . 100:200(100) ack 50
        +.010 C > S . seq 50 ack 200
        """,
        "",
        "",
    ),
    "observer: no SYN in the capture": (
        """
        0.000 S > C S. seq 0 ack 1
        +.010 C > S . seq 1 ack 1
        """,
        OPEN,
        ACCEPTED,
    ),
    "observer: no SYN-ACK in the capture": (
        """
        0.000 C > S S
        +.010 C > S . seq 1 ack 1
        """,
        OPEN,
        ACCEPTED,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_paths(case: str) -> None:
    text, client, server = CASES[case]
    conn = of(text)[0]
    assert (names(conn.client), names(conn.server)) == (client, server)


def test_frames_of_the_handshake_and_the_close() -> None:
    """A state is dated to the frame that arrived, as in figures 6 and 12."""
    conn = of(
        HANDSHAKE
        + """
        +.1 C > S F.
        +.01 S > C .
        +.1 S > C F.
        +.01 C > S .
        """
    )[0]
    assert path(conn.client) == [
        ("CLOSED", 0),
        ("SYN-SENT", 1),
        ("ESTABLISHED", 2),
        ("FIN-WAIT-1", 4),
        ("FIN-WAIT-2", 5),
        ("TIME-WAIT", 6),
    ]
    assert path(conn.server) == [
        ("LISTEN", 0),
        ("SYN-RECEIVED", 1),
        ("ESTABLISHED", 3),
        ("CLOSE-WAIT", 4),
        ("LAST-ACK", 6),
        ("CLOSED", 7),
    ]


def test_half_open_connection_is_reset() -> None:
    """Figure 9: one end crashed and opens anew; the other answers with its old numbers and is reset."""
    old, new = of(
        HANDSHAKE
        + """
        +.1 C > S P. (10)
        +.01 S > C .
        client2: 10.0.0.1:40000
        isn2: client 777000 server 1000000
        +60 C2 > S2 S
        +.01 S > C . seq 1 ack 11
        +.01 C > S R seq 11
        """
    )
    assert names(old.client) == OPEN + " CLOSED"
    assert names(old.server) == ACCEPTED + " CLOSED"
    assert names(new.client) == "CLOSED SYN-SENT"
