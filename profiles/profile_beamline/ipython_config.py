"""Settings of sessions on the beamline."""

c = get_config()  # noqa: F821 - IPython provides it
c.TerminalIPythonApp.display_banner = False
