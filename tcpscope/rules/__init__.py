"""Judgement: what is worth saying about connections and captures, one class a rule.

``RULES`` is the registry, in the order of the codes. TS1xx opening, TS2xx closing, TS3xx TIME-WAIT, TS4xx acknowledgement and
order, TS5xx window and options, TS6xx TLS, TS7xx certificates, TS9xx quality of the capture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tcpscope.errors import OptionError
from tcpscope.rules import (
    acknowledgement,
    capture_fragments,
    capture_limits,
    capture_offload,
    capture_quality,
    certificate_chain,
    certificate_single,
    closing,
    connecting,
    copies,
    icmp,
    numbers,
    odd_resets,
    odd_segments,
    opening,
    options,
    queues,
    resets,
    retransmission,
    time_wait,
    tls_answer,
    tls_choice,
    tls_dialogue,
    tls_hello,
    tls_keys,
    tls_messages,
    tls_order,
    tls_outcome,
    tls_records,
    tls_remarks,
    tls_time,
    tls_weak,
    window,
)
from tcpscope.rules.base import Rule
from tcpscope.rules.judge import Judge

if TYPE_CHECKING:
    from tcpscope.options import Options

RULES: Final[tuple[Rule, ...]] = (
    # Opening
    opening.DataOnSyn(),
    opening.SynAckAcknowledgesWrongNumber(),
    opening.HandshakeAckWrong(),
    connecting.ConnectionRefused(),
    connecting.SynUnanswered(),
    queues.HandshakeHalfOpen(),
    connecting.SynRetransmitted(),
    connecting.SynAckRetransmitted(),
    opening.OldDuplicateSyn(),
    opening.SynInsideConnection(),
    queues.AcceptQueueOverflow(),
    queues.SynFlood(),
    connecting.HandshakeAborted(),
    opening.FastOpenDataRefused(),
    opening.SimultaneousOpen(),
    opening.IsnChangedDuringHandshake(),
    odd_segments.FlagsContradictory(),
    odd_segments.SynAckMisplaced(),
    odd_segments.SynWhileOpening(),
    # Closing
    closing.DataAfterFin(),
    closing.FinNeverAcknowledged(),
    resets.HalfClosedDataReset(),
    closing.CloseWaitNeverClosed(),
    closing.SimultaneousClose(),
    resets.ConnectionAborted(),
    resets.ResetAfterFin(),
    closing.FinRetransmitted(),
    closing.FinMoved(),
    resets.SegmentAfterReset(),
    resets.ResetOutsideWindow(),
    odd_segments.ClosedWithoutConnection(),
    odd_resets.ResetWithData(),
    odd_resets.ResetAcknowledgesWrongNumber(),
    odd_resets.ResetOfOtherOrigin(),
    numbers.FinBeforeData(),
    numbers.NumberBeyondFin(),
    # TIME-WAIT
    time_wait.TimeWaitNotHeld(),
    time_wait.RepeatedFinUnanswered(),
    time_wait.LastAckRepeated(),
    time_wait.PortsReusedSafely(),
    time_wait.PortsReusedUnsafely(),
    time_wait.TimeWaitKilledByReset(),
    # Acknowledgement and order
    acknowledgement.DataNeverAcknowledged(),
    acknowledgement.SegmentWithoutAck(),
    acknowledgement.AckForUnsentData(),
    retransmission.RetransmissionTimeout(),
    retransmission.FastRetransmission(),
    retransmission.SpuriousRetransmission(),
    retransmission.TailLossProbe(),
    acknowledgement.OutOfOrderSegments(),
    acknowledgement.MissingSegment(),
    copies.NetworkDuplicate(),
    acknowledgement.SackForUnsentData(),
    retransmission.RetransmissionUnexplained(),
    retransmission.DuplicateDataReported(),
    icmp.PathMtuExceeded(),
    icmp.DestinationUnreachable(),
    icmp.TimeExceeded(),
    numbers.AcknowledgementTooOld(),
    odd_segments.ResentDataDiffers(),
    odd_segments.AckNumberWithoutFlag(),
    numbers.SegmentBelowWindow(),
    # Window and options
    window.ZeroWindow(),
    window.WindowFull(),
    window.WindowExceeded(),
    window.KeepAlive(),
    window.ZeroWindowProbe(),
    window.StalledByWindow(),
    numbers.WindowShrunk(),
    options.OptionLengthInvalid(),
    options.OptionRepeated(),
    options.OptionOutsideSyn(),
    options.OptionNotOffered(),
    options.WindowScaleTooLarge(),
    options.TimestampWentBack(),
    options.TimestampMissing(),
    options.TimestampEchoUnsent(),
    options.SackBlockInvalid(),
    options.DataAboveMss(),
    odd_segments.UrgentData(),
    # TLS: hellos and order
    tls_hello.ServerHelloBeforeClientHello(),
    tls_hello.ServerHelloWithoutClientHello(),
    tls_hello.ClientHelloRepeated(),
    tls_hello.SecondHelloRetry(),
    tls_hello.HelloRetry(),
    tls_hello.HelloRetryIgnored(),
    tls_hello.HelloRetryCipherChanged(),
    tls_hello.HelloRetryInferred(),
    tls_order.MessageOutOfOrder(),
    tls_order.MessagePremature(),
    tls_order.MessageUnknown(),
    tls_order.CcsPremature(),
    tls_order.CcsMissing(),
    tls_order.CcsMalformed(),
    tls_order.Tls13CcsMisplaced(),
    tls_order.AppdataBeforeHandshake(),
    # TLS: messages and records
    tls_messages.CertificateMissing(),
    tls_messages.ServerKeyExchangeMissing(),
    tls_messages.ServerKeyExchangeUnexpected(),
    tls_messages.CertificateStatusUnsolicited(),
    tls_messages.ServerHelloDoneMissing(),
    tls_messages.ClientCertificateUnrequested(),
    tls_messages.ClientCertificateMissing(),
    tls_messages.CertificateVerifyMissing(),
    tls_messages.TicketUnexpected(),
    tls_records.HandshakeInterleaved(),
    tls_records.HandshakeLength(),
    tls_records.RecordAfterCloseNotify(),
    tls_messages.Renegotiation(),
    tls_messages.ClientCertificateEmpty(),
    tls_messages.CertificateEmpty(),
    tls_keys.FinishedWrong(),
    tls_keys.CertificateVerifyWrong(),
    tls_keys.EarlyDataEndWrong(),
    tls_time.RoleReversed(),
    # TLS: choice
    tls_choice.CipherNotOffered(),
    tls_choice.VersionNotOffered(),
    tls_choice.ExtensionNotOffered(),
    tls_choice.Tls13ExtensionForbidden(),
    tls_choice.Tls13SidNotEchoed(),
    tls_choice.CompressionNotNull(),
    tls_choice.DowngradeSentinel(),
    tls_choice.FallbackScsv(),
    tls_choice.AlpnMismatch(),
    tls_choice.GreaseNegotiated(),
    tls_choice.DuplicateExtension(),
    tls_choice.PskBinderPosition(),
    tls_choice.Sslv2(),
    tls_keys.TicketLifetimeExceeded(),
    tls_weak.VersionObsolete(),
    tls_weak.CipherWeak(),
    tls_weak.NoForwardSecrecy(),
    tls_weak.DhWeak(),
    tls_weak.SignatureWeak(),
    tls_weak.SecureRenegotiationMissing(),
    # TLS: records
    tls_records.RecordOverflow(),
    tls_records.RecordVersion(),
    tls_records.RecordTypeUnknown(),
    tls_records.RecordEmpty(),
    tls_records.FragmentationOdd(),
    tls_records.HeartbeatOversize(),
    tls_records.HeartbeatBeforeHandshake(),
    tls_keys.RecordAuthenticationFailed(),
    tls_keys.KeyMissing(),
    tls_keys.KeyUpdateFlood(),
    # TLS: outcome
    tls_answer.ServerHelloMissing(),
    tls_answer.ServerHelloMissingReset(),
    tls_answer.ServerHelloMissingClosed(),
    tls_answer.ServerHelloMissingTimeout(),
    tls_answer.ServerHelloMissingOneSided(),
    tls_answer.ClientHelloUnacked(),
    tls_outcome.HandshakeIncomplete(),
    tls_outcome.AlertFatal(),
    tls_outcome.AlertWarning(),
    tls_outcome.Truncation(),
    tls_outcome.HalfCloseUnanswered(),
    tls_outcome.NotTls(),
    tls_outcome.HttpAnswer(),
    # TLS: what leads to it
    tls_dialogue.StarttlsRefused(),
    tls_dialogue.StarttlsOfferedNotUsed(),
    tls_dialogue.StarttlsInjection(),
    tls_dialogue.StarttlsResponseInjection(),
    tls_dialogue.StarttlsPlaintextAfter(),
    tls_dialogue.ProxyRefused(),
    tls_time.HandshakeSlow(),
    tls_weak.SniMissing(),
    tls_weak.SniAddress(),
    tls_remarks.CbcMacThenEncrypt(),
    tls_remarks.ExtendedMasterSecretMissing(),
    tls_remarks.ClientVersionObsolete(),
    tls_remarks.GroupNotOffered(),
    tls_remarks.CurveExplicit(),
    tls_remarks.TicketLifetimeLong(),
    # Certificates
    certificate_single.CertificateExpired(),
    certificate_single.CertificateNotYetValid(),
    certificate_single.CertificateNameMismatch(),
    certificate_chain.CertificateSelfSigned(),
    certificate_chain.CertificateChainOrder(),
    certificate_chain.CertificateChainIncomplete(),
    certificate_chain.CertificateSignatureWrong(),
    certificate_single.CertificateKeyWeak(),
    certificate_single.CertificateSignatureWeak(),
    certificate_chain.CertificateIssuerUnfit(),
    certificate_single.CertificateUsageMismatch(),
    certificate_chain.CertificateUntrusted(),
    certificate_chain.CertificateRevoked(),
    certificate_chain.OcspResponseUnusable(),
    certificate_chain.OcspResponseMissing(),
    certificate_single.CertificateUndecodable(),
    certificate_single.CertificateKeyType(),
    # Quality of the capture
    capture_quality.CaptureDamaged(),
    capture_quality.AcknowledgedBytesNotCaptured(),
    capture_quality.OneDirectionOnly(),
    capture_quality.SnapLengthCutHeaders(),
    capture_quality.ClockWentBackwards(),
    capture_offload.BadChecksums(),
    capture_quality.FramesDroppedByCapture(),
    capture_quality.ConnectionsEvicted(),
    capture_quality.FramesCutByCapture(),
    odd_segments.MalformedTcpHeaders(),
    capture_offload.ChecksumOffload(),
    capture_offload.SegmentationOffload(),
    capture_quality.TlsHelloCut(),
    capture_fragments.FragmentsOverlap(),
    capture_fragments.FragmentsMissing(),
    capture_limits.LimitReached(),
    copies.CaptureCopies(),
)


def judge_for(options: Options) -> Judge:
    """A judge who applies the rules that the options select; OptionError if they name one that does not exist."""
    return Judge(options, select(options.select, options.ignore))


def find_rule(wanted: str) -> Rule:
    """The rule with this code or name; OptionError, with the nearest name, if there is none."""
    for rule in RULES:
        if wanted.upper() == rule.code or wanted.lower() == rule.name:
            return rule
    raise _unknown(wanted)


def select(selected: Sequence[str] = (), ignored: Sequence[str] = ()) -> tuple[Rule, ...]:
    """The rules that ``selected`` names (all, if it names none) without those that ``ignored`` names.

    Each word is a rule's name or the beginning of codes: ``TS`` all, ``TS4`` a family, ``TS401`` one rule. A word that names
    nothing is an OptionError.
    """
    chosen = {rule.code for word in selected for rule in _named(word)} if selected else {rule.code for rule in RULES}
    dropped = {rule.code for word in ignored for rule in _named(word)}
    return tuple(rule for rule in RULES if rule.code in chosen and rule.code not in dropped)


def _named(word: str) -> list[Rule]:
    """The rules of one word."""
    found = [rule for rule in RULES if rule.name == word.lower() or (word and rule.code.startswith(word.upper()))]
    if not found:
        raise _unknown(word)
    return found


def _unknown(word: str) -> OptionError:
    import difflib  # noqa: PLC0415 (heavy)

    names = [name for rule in RULES for name in (rule.code, rule.name)]
    near = difflib.get_close_matches(word.upper(), names, 1) or difflib.get_close_matches(word.lower(), names, 1)
    hint = f"; did you mean {near[0]}?" if near else "; 'tcpscope rules' lists them"
    return OptionError(f"no rule is called {word!r}{hint}")
