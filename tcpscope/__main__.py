"""``python -m tcpscope``."""

from tcpscope.cli import start

start()
