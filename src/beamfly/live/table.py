"""A table of some rows while they come: `RowTable`, around bluesky's LiveTable."""

from typing import Any

from bluesky.callbacks import LiveTable

from beamfly.live.terminal import say


class RowTable:
    """A callback that prints the values of the streams that it is told of."""

    def __init__(self) -> None:
        self._start: dict[str, Any] = {}
        self._tables: dict[str, Any] = {}

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Take a document."""
        if name == "start":
            nothing = dict.fromkeys(("plan_type", "plan_name", "scan_id"), "")
            self._start = {**nothing, **doc}
        elif name == "descriptor":
            self._begin(doc)
        elif name == "event" and doc["descriptor"] in self._tables:
            self._tables[doc["descriptor"]]("event", doc)
        # its `stop` would say less than the summary does, and sleeps besides

    def _begin(self, doc: dict[str, Any]) -> None:
        fields = [key for hint in doc["hints"].values() for key in hint["fields"]]
        if not fields:
            return
        table: Any = LiveTable(
            fields, stream_name=doc["name"], separator_lines=False, out=say
        )
        table("start", self._start)
        table("descriptor", doc)
        self._tables[doc["uid"]] = table
