"""The HTML report: one file that works offline. Pure functions of :mod:`tcpscope.report.html.model`; nothing here opens a capture."""
