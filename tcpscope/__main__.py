"""``python -m tcpscope``."""

from tcpscope.cli.main import main

main()
