"""The scenarios, by what they are about; importing registers them."""

from __future__ import annotations

from . import closing, data, files, opening, starttls, timewait, tls

ORDER = (opening, closing, timewait, data, tls, starttls, files)
