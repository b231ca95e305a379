"""Many captures, one answer: results a capture that survive an interruption, tables over all of them, a report.

``work`` judges a capture and ``store`` keeps what comes of it; ``run`` spreads captures over an executor; ``tables``, ``aggregate``
and ``markdown`` put the results together.
"""
