"""The command line: options in, text out, exit status."""

from __future__ import annotations

import gc


def start() -> None:
    """Run the command line in ``sys.argv`` and exit with its status: what the installed command calls.

    The collector is off from the first import on (see :func:`tcpscope.cli.main.main`): what is imported stays.
    """
    gc.disable()
    from tcpscope.cli.main import main

    main()
