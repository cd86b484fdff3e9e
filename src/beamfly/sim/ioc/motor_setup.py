"""Settings of a motor record: speeds, limits, offset, direction, calibration."""

from collections.abc import Callable

from beamfly.ca import Put, RecordGroup
from beamfly.errors import BadValue
from beamfly.sim.ioc.coordinates import Coordinates
from beamfly.sim.ioc.motion import Pace

_SPEEDS = {"VELO": "S", "BVEL": "SBAK", "VBAS": "SBAS", "VMAX": "SMAX"}
"""Speeds in units per second -> the same in revolutions per second."""


class MotorSetup:
    """What clients set once, and what follows from it."""

    def __init__(self, record: RecordGroup, coordinates: Coordinates) -> None:
        self.record = record
        self.coordinates = coordinates
        hooks: dict[str, Callable[[Put], None]] = {
            **dict.fromkeys(("VELO", "JVEL", "HVEL", "BVEL"), self._speed),
            **dict.fromkeys(("VBAS", "VMAX", "DLY"), self._not_negative),
            **dict.fromkeys(("ACCL", "BACC", "JAR"), self._positive),
            **dict.fromkeys(("S", "SBAK"), self._revolutions),
            "HLM": lambda put: self._user_limit(put, True),
            "LLM": lambda put: self._user_limit(put, False),
            "DHLM": self._dial_limit,
            "DLLM": self._dial_limit,
            "OFF": lambda put: self._transform(put, "OFF"),
            "DIR": lambda put: self._transform(put, "DIR"),
        }
        for field, hook in hooks.items():
            record.on_put(field, hook)
        self._show_speeds()
        coordinates.show_limits()

    def pace(self, velocity: float, seconds: float) -> Pace:
        """How fast to go, from a velocity and the time that it takes to reach it."""
        start = self.record["VBAS"]
        if start >= velocity:
            return Pace(velocity, velocity / seconds, velocity)
        return Pace(velocity, (velocity - start) / seconds, start)

    def legs(self, here: float, dial: float) -> list[tuple[float, Pace]]:
        """The way to a dial position: at once, or round by the backlash distance.

        Args:
            here: Where the axis is, in its own coordinates.
            dial: Where to go.
        """
        record, target = self.record, self.coordinates.place(dial)
        fast = self.pace(record["VELO"], record["ACCL"])
        # in dial coordinates, whatever DIR is
        backlash = record["BDST"]
        way = target - here
        if not backlash or not way or 0 <= way / backlash <= 1:
            return [(target, fast)]
        slow = self.pace(record["BVEL"], record["BACC"])
        return [(target - backlash, fast), (target, slow)]

    def calibrate(self, field: str, value: float, dial: float, now: float) -> None:
        """What a target means in SET mode: what the position is called from now on.

        Args:
            field: VAL, DVAL or RVAL.
            value: What was put there.
            dial: The dial position that it would mean.
            now: The time.
        """
        record, coordinates = self.record, self.coordinates
        if field == "VAL" and not record["FOFF"]:
            here = coordinates.on_step(coordinates.raw_now(now))
            record["OFF"] = value - here * coordinates.direction
            dial = here
        else:
            at = coordinates.raw_now(now) / coordinates.steps_per_unit
            coordinates.zero = dial - at
        record.post(**coordinates.targets(dial))
        coordinates.show_limits()

    def _speed(self, put: Put) -> None:
        """A speed is kept between VBAS and VMAX."""
        speed, fastest = abs(put.value), self.record["VMAX"]
        speed = max(speed, self.record["VBAS"])
        if fastest:
            speed = min(speed, fastest)
        put.value = speed
        self._positive(put)
        put.accept()
        self._show_speeds()

    def _revolutions(self, put: Put) -> None:
        """S and SBAK set VELO and BVEL."""
        field = "VELO" if put.pv is self.record.pvs["S"] else "BVEL"
        put.redirect(self.record.pvs[field], abs(put.value) * self.record["UREV"])

    def _positive(self, put: Put) -> None:
        if not 0 < put.value < float("inf"):
            msg = f"{put.name} has to be positive, not {put.value}; it was not changed"
            raise BadValue(msg)

    def _not_negative(self, put: Put) -> None:
        if not 0 <= put.value < float("inf"):
            msg = f"{put.name} cannot be {put.value}; it was not changed"
            raise BadValue(msg)
        put.accept()
        fastest = self.record["VMAX"]
        if put.pv is self.record.pvs["VMAX"] and 0 < fastest < self.record["VELO"]:
            self.record["VELO"] = fastest
        self._show_speeds()

    def _show_speeds(self) -> None:
        """Speeds in revolutions and in steps."""
        turn = self.record["UREV"]
        for units, turns in _SPEEDS.items():
            self.record[turns] = self.record[units] / turn
        steps = self.record["VELO"] * self.coordinates.steps_per_unit
        self.record["RVEL"] = round(min(steps, 2**31 - 1))

    def _user_limit(self, put: Put, high: bool) -> None:
        self.coordinates.set_user_limit(high, put.value)
        put.accept()
        self.coordinates.show_limits()

    def _dial_limit(self, put: Put) -> None:
        put.accept()
        self.coordinates.show_limits()

    def _transform(self, put: Put, field: str) -> None:
        """The dial stays, user coordinates change."""
        del field
        put.accept()
        coordinates, record = self.coordinates, self.record
        record.post(
            VAL=coordinates.user(record["DVAL"]), RBV=coordinates.user(record["DRBV"])
        )
        coordinates.show_limits()
