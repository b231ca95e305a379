"""How fast tcpscope is and how much memory it takes, beside its peers: ``python -m tests.benchmark --help``."""
