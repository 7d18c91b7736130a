"""Our logger: below upstream's `metadata`, so that its level applies; not `metadata.Ingestion`, whose warnings
upstream counts as warnings of whatever step is running (client semantics of 1.13 and later).
"""

from __future__ import annotations

import logging

log = logging.getLogger("metadata.BulkSink")
