"""Packets and records as bytes: link layers, IP, TCP, TLS. Nothing here remembers an earlier packet."""
