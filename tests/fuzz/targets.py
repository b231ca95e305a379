"""What is fuzzed, by the name that ``--target`` takes."""

from __future__ import annotations

from tests.fuzz import capture, certificate, decoder, hello, sealed, sealed12, state, tls, whole
from tests.fuzz.target import Target, sample_captures

TARGETS: dict[str, Target] = {
    "reader": Target(capture.run_reader),
    "source": Target(capture.run_source, capture.make_compressed),
    "salvage": Target(capture.run_salvage, capture.make_damaged),
    "decoder": Target(decoder.run, decoder.make, decoder.samples),
    "tls": Target(tls.run, tls.make, tls.samples),
    "hello": Target(hello.run_hello, hello.make_hello, hello.hello_samples),
    "records": Target(hello.run_records, tls.make, hello.record_samples),
    "sealed": Target(sealed.run, sealed.make, sealed.samples),
    "sealed12": Target(sealed12.run, sealed12.make, sealed12.samples),
    "certificate": Target(certificate.run, certificate.make, certificate.samples),
    "state": Target(state.run, state.make, state.samples),
    "whole": Target(whole.run_whole, whole.make, whole.samples),
    "mutants": Target(whole.run_session, whole.make, sample_captures),
}
