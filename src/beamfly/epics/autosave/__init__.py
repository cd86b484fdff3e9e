"""Saving PVs to files and putting them back, in the formats of synApps' autosave.

save_pvs("stage.req", "stage.sav")
restore_pvs("stage.sav")
"""

from beamfly.epics.autosave import save_restore
from beamfly.epics.autosave.save_restore import AutoSaver, restore_pvs, save_pvs

__all__ = ["AutoSaver", "restore_pvs", "save_pvs", "save_restore"]
