"""What every source of PVs for the scan engine has to do, whatever is behind it.

Subclass `ChannelContract` and say how to get channels, and how to let time pass until
something has happened; see `test_scan_channels`.
"""

from collections.abc import Callable
from typing import Any

import pytest

from beamfly.errors import BadValue
from beamfly.scan.channels import Channel, Channels, Reading


class ChannelContract:
    number = ""
    """A PV that shows 3.0 and can be set to any number."""
    text = ""
    """A PV that shows `abc` and can be set to any text."""
    impossible = ""
    """A name that no PV can have, empty if any name may connect some day."""

    def channels(self) -> Channels:
        """A fresh source."""
        raise NotImplementedError

    def until(self, source: Channels, what: Callable[[], Any]) -> None:
        """Let time pass until that is true."""
        raise NotImplementedError

    def opened(self, name: str) -> tuple[Channels, Channel, list[str]]:
        """A connected channel, and a list that gets an item at each change."""
        source = self.channels()
        changes: list[str] = []
        channel = source.open(name, lambda: changes.append(name))
        self.until(source, lambda: channel.connected and channel.reading is not None)
        return source, channel, changes

    def test_it_connects_and_shows_a_reading(self):
        _, channel, _ = self.opened(self.number)
        assert channel.reading is not None
        assert channel.reading.number == 3.0
        assert channel.reading.time > 0
        channel.close()

    def test_a_read_is_answered_once(self):
        source, channel, _ = self.opened(self.text)
        answers: list[Reading | None] = []
        channel.read(answers.append)
        self.until(source, lambda: answers)
        (answer,) = answers
        assert answer is not None
        assert answer.text == "abc"
        channel.close()

    def test_a_write_changes_the_reading_and_says_so(self):
        source, channel, changes = self.opened(self.number)
        changes.clear()
        channel.write(7.5, None)
        self.until(source, lambda: channel.reading and channel.reading.number == 7.5)
        assert changes
        channel.close()

    def test_completion_is_told_once_and_after_the_change(self):
        source, channel, _ = self.opened(self.text)
        told: list[str | None] = []
        channel.write("new", told.append)
        self.until(source, lambda: told)
        assert told == [None]
        answers: list[Reading | None] = []
        channel.read(answers.append)
        self.until(source, lambda: answers)
        assert answers[0] is not None and answers[0].text == "new"
        channel.close()

    def test_two_users_see_the_same_pv(self):
        source, channel, _ = self.opened(self.number)
        other = source.open(self.number, lambda: None)
        channel.write(9, None)
        self.until(source, lambda: other.reading and other.reading.number == 9)
        channel.close()
        assert other.connected
        other.close()

    def test_nothing_is_told_after_close(self):
        source, channel, changes = self.opened(self.number)
        other = source.open(self.number, lambda: None)
        channel.close()
        changes.clear()
        told: list[str | None] = []
        other.write(5, told.append)
        self.until(source, lambda: told)
        assert changes == []
        other.close()

    def test_names_that_cannot_be(self):
        if not self.impossible:
            pytest.skip("any name may connect some day")
        with pytest.raises(BadValue, match="Error for PV"):
            self.channels().open(self.impossible, lambda: None)
