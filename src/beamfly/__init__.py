"""Fly-scan a PandA, move EPICS motors and run scan-server scans from Bluesky.

Start with `beamfly.devices.HDFPanda` and `beamfly.plans.fly` for scans,
`beamfly.panda` for a PandA on its own, `beamfly.hdf` for the files. Importing this
package does nothing else: no socket, no thread, no environment variable is touched.
"""


def __getattr__(name: str) -> str:
    """`__version__`, looked up when asked for: importlib.metadata is slow to import."""
    if name == "__version__":
        from importlib.metadata import version

        return version("beamfly")
    msg = f"module 'beamfly' has no attribute {name!r}"
    raise AttributeError(msg)
