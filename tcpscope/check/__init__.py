"""The linter for captures: a policy, what it makes of findings and expectations, and the result in the formats of CI systems.

Data goes one way here, too: ``keys`` (the table of everything that a policy may say) ─► ``policy`` ─► ``capture`` (one capture
held against it) ─► ``run`` (many of them) ─► ``outcome`` (the result) ─► ``formats``.
"""
