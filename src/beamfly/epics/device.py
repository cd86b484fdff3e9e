"""`Device`: PVs that share a prefix, as attributes of one object.

m1 = Device("BL:m1", delim=".", aliases={"readback": "RBV"})
m1.put("VAL", 2.5, wait=True)
print(m1.RBV, m1.readback, m1.get("VELO", as_string=True))
m1.write_state("m1.txt")
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from beamfly.epics import dbr, pv
from beamfly.epics.pv import get_pv

if TYPE_CHECKING:
    from pathlib import Path

ENCODING = "utf-8"


class Device:
    """PVs named prefix + delim + attribute; each is made when it is first used.

    Reading an attribute gets, setting one puts. With `mutable=False` only the
    attributes given at the start exist, so that others are errors without a search.
    """

    _nonpvs: Any = ("_prefix", "_pvs", "_delim", "_init", "_aliases", "_mutable")
    _init = False
    _mutable = True
    _aliases: Mapping[str, str] = {}
    _pvs: ClassVar[Any] = {}
    _prefix: Any = ""
    _delim: Any = ""

    def __init__(
        self,
        prefix: str = "",
        attrs: Iterable[str] | None = None,
        nonpvs: Iterable[str] | None = None,
        delim: str = "",
        timeout: float | None = None,
        mutable: bool = True,
        aliases: Mapping[str, str] | None = None,
        with_poll: bool = True,
    ) -> None:
        """Start to look for the PVs of some attributes.

        Args:
            prefix: What names of PVs start with.
            attrs: Attributes whose PVs are looked for now.
            nonpvs: Names of attributes that are no PVs.
            delim: Between prefix and attribute.
            timeout: Seconds that PVs wait for their connection, None: the default.
            mutable: Whether other attributes become PVs when they are used.
            aliases: Other names of attributes.
            with_poll: Not used.
        """
        fresh: dict[str, Any] = {
            "_nonpvs": [*self._nonpvs, *(nonpvs or ())],
            "_delim": delim,
            "_prefix": prefix + delim,
            "_pvs": {},
            "_mutable": mutable,
            "_aliases": {} if aliases is None else aliases,
        }
        self.__dict__.update(fresh)
        for attr in dict.fromkeys([*(attrs or ()), *(aliases or {}).values()]):
            self.PV(attr, connect=False, timeout=timeout)
        self.__dict__["_init"] = True

    def PV(self, attr: str, connect: bool = True, **kw: Any) -> "pv.PV":  # noqa: N802
        """The PV of an attribute.

        Args:
            attr: Attribute or alias.
            connect: Whether to wait for it.
            kw: For `get_pv`, if it is new.
        """
        attr = self._aliases.get(attr, attr)
        if attr not in self._pvs:
            self._pvs[attr] = get_pv(f"{self._prefix}{attr}", **kw)
        pv = self._pvs[attr]
        if connect and not pv.connected:
            pv.wait_for_connection()
        return pv

    def add_pv(self, pvname: str, attr: str | None = None, **kw: Any) -> "pv.PV":
        """Have a PV whose name does not start with the prefix.

        Args:
            pvname: Its whole name.
            attr: The attribute, None: the name.
            kw: For `get_pv`.
        """
        pv = self._pvs[pvname if attr is None else attr] = get_pv(pvname, **kw)
        return pv

    def put(
        self,
        attr: str,
        value: Any,
        wait: bool = False,
        use_complete: bool = False,
        timeout: float = 10,
    ) -> int | None:
        """Write an attribute; arguments and results are those of `PV.put`."""
        return self.PV(attr).put(
            value, wait=wait, use_complete=use_complete, timeout=timeout
        )

    def get(
        self,
        attr: str,
        as_string: bool = False,
        count: int | None = None,
        timeout: float | None = None,
    ) -> Any:
        """The value of an attribute; arguments are those of `PV.get`."""
        return self.PV(attr).get(as_string=as_string, count=count, timeout=timeout)

    # ---- all of it

    def save_state(self) -> dict[str, Any]:
        """Values of all attributes in use; arrays of characters as text."""
        state: dict[str, Any] = {}
        for attr, one in tuple(self._pvs.items()):
            text = _kind(one) == dbr.CHAR and one.nelm > 1
            state[attr] = one.get(as_string=text)
        return state

    get_all = save_state

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Put values that `save_state` gave, where we may write."""
        for attr, value in state.items():
            if value is not None and self._writable(attr):
                self._pvs[attr].put(value)

    def write_state(
        self, fname: "str | Path", state: Mapping[str, Any] | None = None
    ) -> None:
        """Write a text file with the attributes that can be restored.

        Args:
            fname: The file; one line `attribute value` for each scalar or text.
            state: What to write, None: the present values.
        """
        from pathlib import Path

        values = self.save_state() if state is None else state
        name, when = type(self).__name__, time.ctime()
        lines = [
            f"#Device Saved State for {name},prefix='{self._prefix}',time={when}",
            *(
                f"{attr} {values[attr]}"
                for attr in sorted(values)
                if values[attr] is not None and self._savable(attr)
            ),
            "",
        ]
        Path(fname).write_text("\n".join(lines), ENCODING)

    def read_state(self, fname: "str | Path", restore: bool = False) -> dict[str, Any]:
        """Values from a file of `write_state`, in the types of their PVs.

        Args:
            fname: The file.
            restore: Whether to put them, too.
        """
        from pathlib import Path

        state: dict[str, Any] = {}
        for line in Path(fname).read_text(ENCODING).splitlines():
            attr, _, text = line.partition(" ")
            if attr and not attr.startswith("#") and attr in self._pvs:
                pv = self._pvs[attr]
                pv.wait_for_connection()
                state[attr] = _parsed(_kind(pv), pv.nelm, text)
        if restore:
            self.restore_state(state)
        return state

    def _writable(self, attr: str) -> bool:
        pv = self._pvs.get(attr)
        return pv is not None and pv.wait_for_connection() and "write" in pv.access

    def _savable(self, attr: str) -> bool:
        """Scalars and texts that may be written."""
        if not self._writable(attr):
            return False
        pv = self._pvs[attr]
        return pv.nelm == 1 or _kind(pv) == dbr.CHAR

    # ---- callbacks

    def add_callback(
        self, attr: str, callback: Callable[..., object], **kws: Any
    ) -> int | None:
        """`PV.add_callback` of an attribute."""
        pv = self.PV(attr)
        pv.get()
        return pv.add_callback(callback, **kws)

    def remove_callbacks(self, attr: str, index: int | None = None) -> None:
        """`PV.remove_callback` of an attribute."""
        self.PV(attr).remove_callback(index=index)

    # ---- attributes

    def __getattr__(self, attr: str) -> Any:
        attr = self._aliases.get(attr, attr)
        if attr in self._pvs:
            return self.get(attr)
        if self._init and self._mutable and not attr.startswith("_"):
            pv = self.PV(attr)
            if pv.connected:
                return pv.get()
            del self._pvs[attr]
        raise self._no_attribute(attr)

    def __setattr__(self, attr: str, value: Any) -> None:
        attr = self._aliases.get(attr, attr)
        if attr in self._pvs:
            self.put(attr, value)
        elif self._is_plain(attr):
            object.__setattr__(self, attr, value)
        elif self._mutable:
            if self.put(attr, value) is None:
                del self._pvs[attr]
                raise self._no_attribute(attr)
        else:
            raise self._no_attribute(attr)

    def _is_plain(self, attr: str) -> bool:
        """Whether it is an attribute like those of any object."""
        known = attr in self._nonpvs or attr in self.__dict__ or attr.startswith("_")
        return known or not self._init or hasattr(type(self), attr)

    def _no_attribute(self, attr: str) -> AttributeError:
        return AttributeError(f"{type(self).__name__} has no attribute {attr}")

    def __dir__(self) -> list[str]:
        names = {*self._aliases, *self._pvs, *self._nonpvs, *self.__dict__}
        return sorted(names | set(dir(type(self))))

    def __repr__(self) -> str:
        prefix = self._prefix.removesuffix(".")
        return f"<Device '{prefix}', {len(self._pvs)} attributes>"

    @staticmethod
    def pv_property(
        attr: str, as_string: bool = False, wait: bool = False, timeout: float = 10.0
    ) -> Any:
        """A property of a subclass that gets and puts an attribute.

        Args:
            attr: The attribute.
            as_string: Whether it gets text.
            wait: Whether setting it waits for completion.
            timeout: Seconds to wait.
        """

        def read(device: Device) -> Any:
            return device.get(attr, as_string=as_string)

        def write(device: Device, value: Any) -> None:
            device.put(attr, value, wait=wait, timeout=timeout)

        return property(read, write)


def _kind(channel: "pv.PV") -> int:
    """Plain type of a PV; STRING while it is not connected."""
    return dbr.native_type(channel.ftype or 0)


def _parsed(kind: int, nelm: int, text: str) -> Any:
    """The value that a line of a state file means."""
    if dbr.is_float(kind):
        return float(text)
    if kind == dbr.STRING or (kind == dbr.CHAR and nelm > 1):
        return text
    return int(text)
