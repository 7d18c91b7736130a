"""The garbage collector walks over the million objects that upstream's imports leave, two full times in most runs. None
of them can go while the run lasts: from the first record to the end of the sink they are out of its sight.

Not where somebody else has frozen objects, or switched the collector off: whoever does that has a plan. Not in a
process that has written a catalogue before: what its workflow left behind waits for the collector, and finalizers with
it. The counts of generations decide when the collector runs, as ever.
"""

from __future__ import annotations

import gc

from openmetadata_bulksink.accelerators import StepsAside, Undo


class _Process:
    """What is known of this process, and of the one that it was forked from."""

    has_written = False


def install() -> Undo:
    """Freeze what is there. Raises StepsAside."""
    if _Process.has_written or not gc.isenabled() or gc.get_freeze_count():
        raise StepsAside
    _Process.has_written = True
    gc.freeze()
    frozen = gc.get_freeze_count()

    def thaw() -> None:
        # Frozen objects that ended by themselves have left; more than there were are somebody else's.
        if gc.get_freeze_count() <= frozen:
            gc.unfreeze()

    return thaw
