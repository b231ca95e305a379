"""Every fault that the TLS tracker can record: one literal table, read by the rule layer and held against the RFC texts by a test.

A fault is a fact with a grade. PROVED: the streams it rests on were captured without a hole from the SYN on, and order across
directions follows from acknowledgement numbers. SUSPECTED: one of these is missing. ``detail`` and ``extra`` are small
integers whose meaning stands in the last column.
"""

from __future__ import annotations

from typing import Final

PROVED: Final = 0
SUSPECTED: Final = 1
GRADE_NAMES: Final = ("proved", "suspected")

# Order of messages and records.
SERVER_HELLO_BEFORE_CLIENT_HELLO: Final = 1
SERVER_HELLO_WITHOUT_CLIENT_HELLO: Final = 2
CLIENT_HELLO_REPEATED: Final = 3
SECOND_HELLO_RETRY: Final = 4
HELLO_RETRY: Final = 5
HELLO_RETRY_IGNORED: Final = 6
HELLO_RETRY_CIPHER_CHANGED: Final = 7
HELLO_RETRY_INFERRED: Final = 8
MESSAGE_OUT_OF_ORDER: Final = 9
MESSAGE_PREMATURE: Final = 10
MESSAGE_UNKNOWN: Final = 11
CCS_PREMATURE: Final = 12
CCS_MISSING: Final = 13
CCS_MALFORMED: Final = 14
TLS13_CCS_MISPLACED: Final = 15
APPDATA_BEFORE_HANDSHAKE: Final = 16
CERTIFICATE_MISSING: Final = 17
SERVER_KEY_EXCHANGE_MISSING: Final = 18
SERVER_KEY_EXCHANGE_UNEXPECTED: Final = 19
CERTIFICATE_STATUS_UNSOLICITED: Final = 20
SERVER_HELLO_DONE_MISSING: Final = 21
CLIENT_CERTIFICATE_UNREQUESTED: Final = 22
CLIENT_CERTIFICATE_MISSING: Final = 23
CERTIFICATE_VERIFY_MISSING: Final = 24
TICKET_UNEXPECTED: Final = 25
HANDSHAKE_INTERLEAVED: Final = 26
HANDSHAKE_LENGTH: Final = 27
RECORD_AFTER_CLOSE_NOTIFY: Final = 28
RENEGOTIATION: Final = 29
CLIENT_CERTIFICATE_EMPTY: Final = 30
CERTIFICATE_EMPTY: Final = 31

# What only keys show.
FINISHED_WRONG: Final = 32
CERTIFICATE_VERIFY_WRONG: Final = 33
END_OF_EARLY_DATA: Final = 34

ROLE_REVERSED: Final = 35

# What was chosen or offered.
CIPHER_NOT_OFFERED: Final = 40
VERSION_NOT_OFFERED: Final = 41
EXTENSION_NOT_OFFERED: Final = 42
TLS13_EXTENSION_FORBIDDEN: Final = 43
TLS13_SID_NOT_ECHOED: Final = 44
COMPRESSION_NOT_NULL: Final = 45
DOWNGRADE_SENTINEL: Final = 46
FALLBACK_SCSV: Final = 47
ALPN_MISMATCH: Final = 48
GREASE_NEGOTIATED: Final = 49
DUPLICATE_EXTENSION: Final = 50
PSK_BINDER_POSITION: Final = 51
SSLV2: Final = 52
TICKET_LIFETIME: Final = 53

# What was chosen, and is weak.
VERSION_OBSOLETE: Final = 54
CIPHER_WEAK: Final = 55
NO_FORWARD_SECRECY: Final = 56
DH_WEAK: Final = 57
SIGNATURE_WEAK: Final = 58
RENEGOTIATION_INFO_MISSING: Final = 59

# Records.
RECORD_OVERFLOW: Final = 60
RECORD_VERSION: Final = 61
RECORD_TYPE_UNKNOWN: Final = 62
RECORD_EMPTY: Final = 63
FRAGMENTATION_ODD: Final = 64
HEARTBEAT_OVERSIZE: Final = 65
HEARTBEAT_BEFORE_HANDSHAKE: Final = 66
RECORD_FORGED: Final = 67
KEY_MISSING: Final = 68
KEY_UPDATE_FLOOD: Final = 69

# Outcome.
SERVER_HELLO_MISSING: Final = 70
SERVER_HELLO_MISSING_RESET: Final = 71
SERVER_HELLO_MISSING_CLOSED: Final = 72
SERVER_HELLO_MISSING_TIMEOUT: Final = 73
SERVER_HELLO_MISSING_ONE_SIDED: Final = 74
CLIENT_HELLO_UNACKED: Final = 75
HANDSHAKE_INCOMPLETE: Final = 76
ALERT_FATAL: Final = 77
ALERT_WARNING: Final = 78
TRUNCATION: Final = 79
HALF_CLOSE_UNANSWERED: Final = 80
NOT_TLS: Final = 81  # never recorded here: it needs the port; see TlsConnection.looks0, looks1
HTTP_ANSWER: Final = 82
# 83 to 88 are what leads to TLS (rules/tls_dialogue.py), which is no fault of the handshake.
HANDSHAKE_SLOW: Final = 89

# More of what was offered and chosen.
SNI_MISSING: Final = 90
SNI_ADDRESS: Final = 91
CBC_MAC_FIRST: Final = 92
MASTER_SECRET_OLD: Final = 93
CLIENT_OBSOLETE: Final = 94
GROUP_NOT_OFFERED: Final = 95
CURVE_EXPLICIT: Final = 96
TICKET_LONG: Final = 97

# code, slug, RFC section, default grade, True if it breaks order or choice (verdict "violated"), what side/detail/extra mean
FAULTS: Final[tuple[tuple[int, str, str, int, bool, str], ...]] = (
    (1, "tls-server-hello-before-client-hello", "RFC 8446 4.1.1", PROVED, True, "server; bytes of the ClientHello it had not received"),
    (2, "tls-server-hello-without-client-hello", "RFC 8446 4.1.1", SUSPECTED, False, "server"),
    (3, "tls-client-hello-repeated", "RFC 8446 4.1.2", PROVED, True, "client"),
    (4, "tls-second-hello-retry", "RFC 8446 4.1.4", PROVED, True, "server"),
    (5, "tls-hello-retry", "RFC 8446 4.1.4", PROVED, False, "server; group asked for or -1"),
    (6, "tls-hello-retry-ignored", "RFC 8446 4.1.2", PROVED, True, "client; 1 no second hello, 2 group, 3 cookie, 4 early data"),
    (7, "tls-hello-retry-cipher-changed", "RFC 8446 4.1.4", PROVED, True, "server; suite of the retry; of the ServerHello"),
    (8, "tls-hello-retry-inferred", "RFC 8446 4.1.4", SUSPECTED, False, "client"),
    (9, "tls-message-out-of-order", "RFC 5246 7.4", PROVED, True, "sender; event; state it came in"),
    (10, "tls-message-premature", "RFC 5246 7.3", PROVED, True, "sender; message; message of the peer that it did not wait for"),
    (11, "tls-message-unknown", "RFC 5246 7.4", PROVED, True, "sender; type"),
    (12, "tls-ccs-premature", "RFC 5246 7.1", PROVED, True, "sender; message that it did not wait for"),
    (13, "tls-ccs-missing", "RFC 5246 7.1", PROVED, True, "sender"),
    (14, "tls-ccs-malformed", "RFC 5246 7.1", PROVED, True, "sender; value; record length"),
    (15, "tls13-ccs-misplaced", "RFC 8446 5", PROVED, False, "sender; how many it sent"),
    (16, "tls-appdata-before-handshake", "RFC 5246 7.3", PROVED, True, "sender; 1 before its Finished, 2 before the hello, 3 no 0-RTT"),
    (17, "tls-certificate-missing", "RFC 5246 7.4.2", PROVED, True, "server; suite"),
    (18, "tls-server-key-exchange-missing", "RFC 5246 7.4.3", PROVED, True, "server; suite"),
    (19, "tls-server-key-exchange-unexpected", "RFC 5246 7.4.3", PROVED, True, "server; suite"),
    (20, "tls-certificate-status-unsolicited", "RFC 6066 8", PROVED, True, "server; 1 no extension, 2 not behind Certificate"),
    (21, "tls-server-hello-done-missing", "RFC 5246 7.4.5", PROVED, True, "server"),
    (22, "tls-client-certificate-unrequested", "RFC 5246 7.4.6", PROVED, True, "client"),
    (23, "tls-client-certificate-missing", "RFC 5246 7.4.6", PROVED, True, "client"),
    (24, "tls-certificate-verify-missing", "RFC 5246 7.4.8", PROVED, True, "client"),
    (25, "tls-ticket-unexpected", "RFC 5077 3.3", PROVED, True, "server"),
    (26, "tls-handshake-interleaved", "RFC 8446 5.1", PROVED, False, "sender; record type in between; message type"),
    (27, "tls-handshake-length", "RFC 8446 6", PROVED, False, "sender; message type; its length"),
    (28, "tls-record-after-close-notify", "RFC 5246 7.2.1", PROVED, False, "sender; record type"),
    (29, "tls-renegotiation", "RFC 5246 7.4.1.1", SUSPECTED, False, "sender; 1 if secure (RFC 5746); 1 if a second CCS shows it"),
    (30, "tls-client-certificate-empty", "RFC 5246 7.4.6", PROVED, False, "client"),
    (31, "tls-certificate-empty", "RFC 5246 7.4.2", PROVED, True, "server"),
    (32, "tls-finished-wrong", "RFC 8446 4.4.4", PROVED, True, "sender"),
    (33, "tls-certificate-verify-wrong", "RFC 8446 4.4.3", PROVED, True, "sender"),
    (34, "tls13-early-data-end-wrong", "RFC 8446 4.5", PROVED, True, "client; 1 missing, 2 although the early data was refused"),
    (35, "tls-role-reversed", "RFC 8446 1.1", PROVED, False, "client, which did not open the TCP connection"),
    (40, "tls-cipher-not-offered", "RFC 8446 4.1.3", PROVED, True, "server; suite"),
    (41, "tls-version-not-offered", "RFC 8446 4.2.1", PROVED, True, "server; version"),
    (42, "tls-extension-not-offered", "RFC 8446 4.2", PROVED, True, "server; extension"),
    (43, "tls13-server-hello-extension-forbidden", "RFC 8446 4.2", PROVED, True, "server; extension"),
    (44, "tls13-sid-not-echoed", "RFC 8446 4.1.3", PROVED, True, "server"),
    (45, "tls-compression-not-null", "RFC 8446 4.1.2", PROVED, False, "server; method; version"),
    (46, "tls-downgrade-sentinel", "RFC 8446 4.1.3", PROVED, True, "client that goes on; last byte of the random"),
    (47, "tls-fallback-scsv", "RFC 7507 4", PROVED, False, "client"),
    (48, "tls-alpn-mismatch", "RFC 7301 3.2", PROVED, True, "server"),
    (49, "tls-grease-negotiated", "RFC 8701 3.2", PROVED, True, "server; value; 1 version, 2 suite, 3 extension, 4 group"),
    (50, "tls-duplicate-extension", "RFC 8446 4.2", PROVED, False, "sender; extension"),
    (51, "tls-psk-binder-position", "RFC 8446 4.2.11", PROVED, False, "client"),
    (52, "tls-sslv2", "RFC 8446 D.5", PROVED, False, "sender; highest version it offers"),
    (53, "tls13-ticket-lifetime-exceeded", "RFC 8446 4.6.1", PROVED, False, "server; seconds"),
    (54, "tls-version-obsolete", "RFC 8996 4", PROVED, False, "server; version; highest that was offered, 0 unknown"),
    (55, "tls-cipher-weak", "RFC 9325 4.1", PROVED, False, "server; suite"),
    (56, "tls-no-forward-secrecy", "RFC 9325 4.1", PROVED, False, "server; suite"),
    (57, "tls-dh-weak", "RFC 9325 4.5", PROVED, False, "server; bits of the prime"),
    (58, "tls-signature-weak", "RFC 9155 4", PROVED, False, "who signs; scheme"),
    (59, "tls-secure-renegotiation-missing", "RFC 5746 3", PROVED, False, "server"),
    (60, "tls-record-overflow", "RFC 8446 5.2", PROVED, False, "sender; length; limit"),
    (61, "tls-record-version", "RFC 8446 5.1", PROVED, False, "sender; version"),
    (62, "tls-record-type-unknown", "RFC 8446 5", PROVED, False, "sender; type"),
    (63, "tls-record-empty", "RFC 5246 6.2.1", PROVED, False, "sender; record type"),
    (64, "tls-fragmentation-odd", "RFC 5246 6.2.1", PROVED, False, "sender; message type; records"),
    (65, "tls-heartbeat-oversize", "RFC 6520 4", PROVED, False, "sender; payload length; record length"),
    (66, "tls-heartbeat-before-handshake", "RFC 6520 3", PROVED, False, "sender"),
    (67, "tls-record-authentication-failed", "RFC 8446 5.2", PROVED, False, "sender; record type; records opened before"),
    (68, "tls-key-missing", "RFC 9850 2", PROVED, False, "sender; records opened; 1 if the suite is not supported"),
    (69, "tls13-key-update-flood", "RFC 8446 4.6.3", PROVED, False, "sender; KeyUpdates within ten seconds"),
    (70, "tls-server-hello-missing", "RFC 8446 4.1.1", SUSPECTED, False, "server"),
    (71, "tls-server-hello-missing-reset", "RFC 8446 4.1.1", PROVED, False, "side that reset; 1 the server acknowledged the hello"),
    (72, "tls-server-hello-missing-closed", "RFC 8446 4.1.1", PROVED, False, "side that closed; 1 the server acknowledged the hello"),
    (73, "tls-server-hello-missing-timeout", "RFC 8446 4.1.1", PROVED, False, "server; 1 it acknowledged the hello"),
    (74, "tls-server-hello-missing-one-sided", "RFC 8446 4.1.1", SUSPECTED, False, "server, whose bytes the capture lacks"),
    (75, "tls-client-hello-unacked", "RFC 8446 4.1.2", SUSPECTED, False, "client; bytes acknowledged; bytes of the hello"),
    (76, "tls-handshake-incomplete", "RFC 5246 7.3", PROVED, False, "side that stopped or -1; its last event; the peer's last event"),
    (77, "tls-alert-fatal", "RFC 8446 6.2", PROVED, False, "sender; description; level"),
    (78, "tls-alert-warning", "RFC 5246 7.2", PROVED, False, "sender; description; level"),
    (79, "tls-truncation", "RFC 5246 7.2.1", SUSPECTED, False, "sender of the FIN; 1 inside a record; bytes that record lacks"),
    (80, "tls-half-close-unanswered", "RFC 5246 7.2.1", SUSPECTED, False, "side that closed without its own alert"),
    (81, "tls-not-tls", "RFC 8446 5.1", PROVED, False, "side; what its first bytes look like"),
    (82, "tls-http-answer", "RFC 8446 5.1", PROVED, False, "server; what its first bytes look like"),
    (89, "tls-handshake-slow", "RFC 8446 2", PROVED, False, "whose program took most, -1 the network; ns; round trip, ns"),
    (90, "tls-sni-missing", "RFC 6066 3", PROVED, False, "client"),
    (91, "tls-sni-ip", "RFC 6066 3", PROVED, False, "client"),
    (92, "tls-cbc-mac-then-encrypt", "RFC 7366 2", PROVED, False, "server; suite; one with AEAD that was offered"),
    (93, "tls-extended-master-secret-missing", "RFC 7627 5.2", PROVED, False, "server"),
    (94, "tls-client-version-obsolete", "RFC 8996 4", PROVED, False, "client; highest version it offers"),
    (95, "tls-group-not-offered", "RFC 8446 4.2.8", PROVED, True, "server; group"),
    (96, "tls-curve-explicit", "RFC 8422 5.4", PROVED, False, "server"),
    (97, "tls-ticket-lifetime-long", "RFC 5077 3.3", PROVED, False, "server; seconds"),
)  # fmt: skip


def slug(code: int) -> str:
    """Name of a fault code; ``tls-unknown`` for a number that is not in the table."""
    for row in FAULTS:
        if row[0] == code:
            return row[1]
    return "tls-unknown"


def breaks_order(code: int) -> bool:
    """True if a proved fault of this code makes the handshake "violated"."""
    for row in FAULTS:
        if row[0] == code:
            return row[4]
    return False
