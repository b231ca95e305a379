"""Everything that needs cryptography: keys and the records they open, proofs of the handshake, certificates.

The package ``cryptography`` is imported by the modules here that use it, and these are imported only when a connection has a key
or a certificate.
"""
