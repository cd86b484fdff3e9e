"""The part of a PV that gets and puts."""

import warnings
from types import SimpleNamespace
from typing import Any, cast

from beamfly.epics import ca, channel_io, dbr
from beamfly.epics.exceptions import ChannelAccessGetFailure
from beamfly.epics.link import Link
from beamfly.epics.pv_channel import Callback, PVChannel
from beamfly.epics.texts import char_value
from beamfly.epics.values import count_of, unpack
from beamfly.errors import CADisconnected, CARefused, CATimeout

ENUM_TYPES = (dbr.ENUM, dbr.TIME_ENUM, dbr.CTRL_ENUM)


class PVTransfer(PVChannel):
    """Getting and putting."""

    _put_complete: bool | None = None

    def wait_for_connection(self, timeout: float | None = None) -> bool:
        """Whether it is connected after so many seconds at most.

        Args:
            timeout: None: `connection_timeout`.
        """
        return self._wait(self.connection_timeout if timeout is None else timeout)

    # ---- get

    def get(
        self,
        count: int | None = None,
        as_string: bool = False,
        as_numpy: bool = True,
        timeout: float | None = None,
        with_ctrlvars: bool = False,
        use_monitor: bool = True,
    ) -> Any:
        """The value; None when it cannot be had in time.

        Args:
            count: Most elements of an array, None: all.
            as_string: Give text, with the PV's precision or name of state.
            as_numpy: Give arrays as numpy arrays of shape (count,), else lists.
            timeout: Seconds to wait, None: 1 + log10(elements).
            with_ctrlvars: Get units, limits and the like too.
            use_monitor: Take the latest update if the PV is subscribed.

        Raises:
            ChannelAccessGetFailure: The server refused.
        """
        data = self._get(
            count, as_string, as_numpy, timeout, with_ctrlvars, None, use_monitor
        )
        return None if data is None else data["value"]

    def get_with_metadata(
        self,
        count: int | None = None,
        as_string: bool = False,
        as_numpy: bool = True,
        timeout: float | None = None,
        with_ctrlvars: bool = False,
        form: str | None = None,
        use_monitor: bool = True,
        as_namespace: bool = False,
    ) -> Any:
        """The value and what came with it, as a dict; None when it cannot be had.

        Args:
            count: As for `get`, like those that are not listed here.
            as_string: The same.
            as_numpy: The same.
            timeout: The same.
            with_ctrlvars: The same.
            form: time or ctrl: what to ask for; None: the PV's own form.
            use_monitor: The same.
            as_namespace: Give an object with attributes instead.
        """
        data = self._get(
            count, as_string, as_numpy, timeout, with_ctrlvars, form, use_monitor
        )
        return SimpleNamespace(**data) if as_namespace and data is not None else data

    def _get(
        self,
        count: int | None,
        as_string: bool,
        as_numpy: bool,
        timeout: float | None,
        with_ctrlvars: bool,
        form: str | None,
        use_monitor: bool,
    ) -> dict[str, Any] | None:
        if not self.wait_for_connection(timeout):
            return None
        link = self._link
        if link is None:
            return None
        code = dbr.promote(link.facts.type, form or self.form)
        if with_ctrlvars and not self._ctrl_known:
            self.get_ctrlvars()
        cached = self._args["value"]
        if (
            use_monitor
            and self._monitor is not None
            and code == self.ftype
            and cached is not None
            and (count is None or count <= count_of(cached))
        ):
            data = self._args.copy()
        else:
            found = self._read(link, code, count, timeout)
            if found is None:
                return None
            data = {**self._args, **found} if with_ctrlvars else found
        self._finish(data, count, as_string, as_numpy)
        return data

    def _finish(
        self, data: dict[str, Any], count: int | None, as_string: bool, as_numpy: bool
    ) -> None:
        """The value in the kind that was asked for."""
        value: Any = data["value"]
        if as_string:
            data["value"] = self._text(value, long_string=True)
        elif self.nelm > 1 and value is not None:
            if not hasattr(value, "__len__") or isinstance(value, str):
                value = cast(Any, [value])
            if as_numpy and not hasattr(value, "tolist"):
                import numpy

                value = numpy.asarray(value)
            elif not as_numpy and hasattr(value, "tolist"):
                value = value.tolist()
            data["value"] = value if count is None else value[:count]

    def _read(
        self, link: Link, code: int, count: int | None, timeout: float | None
    ) -> dict[str, Any] | None:
        """Ask the server; None with a warning when it does not answer in time."""
        part = count is not None and count != self._user_max_count
        count = count or self._user_max_count
        nelm = link.facts.nelm
        if timeout is None:
            timeout = channel_io.seconds_for(count or nelm)

        def take(reading: tuple[Any, ...]) -> dict[str, Any]:
            found = unpack(code, reading, nelm)
            kept = found.copy()
            if part and nelm > 1:
                # the next get without a count wants all of it
                del kept["value"]
            self._args.update(kept)
            return found

        try:
            return link.read(code, min(count or 0, nelm), timeout, take)
        except CATimeout:
            text = f"ca.get('{self.pvname}') timed out after {timeout:.2f} seconds."
            warnings.warn(text, stacklevel=5)
            return None
        except CADisconnected:
            return None
        except CARefused as error:
            raise ChannelAccessGetFailure(
                f"Get failed; status code: {error.status}: {error}",
                link.chid,
                error.status,
                self.pvname,
            ) from error

    def get_ctrlvars(
        self, timeout: float = 5, warn: bool = True
    ) -> dict[str, Any] | None:
        """Units, precision, limits, alarm, names of states: those that there are.

        Args:
            timeout: Seconds; then None.
            warn: Whether a warning says so.
        """
        found = self._variables("ctrl", timeout, warn)
        if found is not None:
            self._ctrl_known = True
        return found

    def get_timevars(
        self, timeout: float = 5, warn: bool = True
    ) -> dict[str, Any] | None:
        """Status, severity, time stamp; arguments are those of `get_ctrlvars`."""
        return self._variables("time", timeout, warn)

    def _variables(
        self, form: str, timeout: float, warn: bool
    ) -> dict[str, Any] | None:
        """Metadata alone: the value of one element says nothing of an array."""
        if not self.wait_for_connection():
            return None
        link = self._link
        if link is None:
            return None
        code = dbr.promote(link.facts.type, form)

        def take(reading: tuple[Any, ...]) -> dict[str, Any]:
            found = unpack(code, reading, 1)
            del found["value"]
            self._args.update(found)
            return found.copy()

        try:
            return link.read(code, 1, timeout, take)
        except (CADisconnected, CARefused):
            return None
        except CATimeout:
            if warn:
                text = f"{form} variables of {self.pvname} did not come in {timeout} s"
                warnings.warn(text, stacklevel=3)
            return None

    def _text(self, value: Any, long_string: bool = False) -> Any:
        """`char_value` of a value, with metadata fetched if need be."""
        native = dbr.native_type(self.ftype or 0)
        wants = dbr.is_float(native) and self._args["precision"] is None
        wants = wants or (native == dbr.ENUM and not self._args["enum_strs"])
        if wants and not self._ctrl_known:
            self.get_ctrlvars()
        count = self._args["count"] or 0
        text = char_value(
            value,
            self.ftype or 0,
            count,
            self._args,
            long_string or count < ca.AUTOMONITOR_MAXLENGTH,
        )
        self._args["char_value"] = text
        return text

    @property
    def nelm(self) -> int:
        """Most elements that it can have; 0 before it has connected."""
        return 0 if self._link is None else self._link.facts.nelm

    # ---- put

    @property
    def put_complete(self) -> bool | None:
        """Whether the last put with use_complete is over; None: there was none."""
        return self._put_complete

    def put(
        self,
        value: Any,
        wait: bool = False,
        timeout: float = 30.0,
        use_complete: bool = False,
        callback: Callback | None = None,
        callback_data: Any = None,
    ) -> int | None:
        """Write a value.

        Args:
            value: Number, text, sequence or array; the name of a state for an enum.
            wait: Whether to wait until the server has processed it.
            timeout: Seconds to wait.
            use_complete: Have `put_complete` tell when it is over.
            callback: Called with pvname and `data=callback_data` when it is over.
            callback_data: A dict gives the keywords of the callback.

        Returns:
            1: done, or on its way; -1: not over in time; None: not connected. A put
            that the server refused, or whose end was lost with the connection, gives
            the ECA status as a negative number.

        Raises:
            CASeverityException: We may not write.
            BadValue: The value does not fit the PV.
        """
        if not self.wait_for_connection():
            return None
        link = self._link
        if link is None:
            return None
        value = self._state_number(value)
        self._put_complete = False if use_complete else None
        over = self._put_over if use_complete else None
        return channel_io.put(link, value, wait, timeout, callback, callback_data, over)

    def _put_over(self) -> None:
        """The put with use_complete is over; in the client's thread."""
        self._put_complete = True

    def _state_number(self, value: Any) -> Any:
        """The number of an enum's state that is given by name."""
        if self.ftype in ENUM_TYPES and isinstance(value, str):
            if self._args["enum_strs"] is None:
                self.get_ctrlvars()
            states = self._args["enum_strs"] or ()
            if value in states:
                return states.index(value)
        return value
