"""What a motor record shows: readbacks, status bits, limit switches, alarms."""

from math import inf

from beamfly.ca import RecordGroup
from beamfly.sim.ioc.coordinates import Coordinates
from beamfly.sim.ioc.motor_fields import SEVERITIES, Status


class MotorDisplay:
    """Keeps the fields that clients read up to date."""

    def __init__(self, record: RecordGroup, coordinates: Coordinates) -> None:
        self.record = record
        self.coordinates = coordinates
        self.axis = coordinates.axis
        self.shown = -inf
        """When it was last brought up to date."""
        self.up = True
        """Whether the last motion went up, in dial coordinates."""
        self.homed = False
        """Whether the motor has found its home."""
        self._alarm = ("NO_ALARM", 0)

    def agree(self, now: float) -> None:
        """Targets become what the motor has come to."""
        dial = self.coordinates.on_step(self.coordinates.raw_now(now))
        self.record.post(**self.coordinates.targets(dial))
        self.show(now)

    def remember(self) -> None:
        """LVAL and its like: the targets as they were last taken."""
        record = self.record
        record.post(LVAL=record["VAL"], LDVL=record["DVAL"], LRVL=record["RVAL"])

    def show(self, now: float) -> None:
        """Readbacks and status as they are at a time."""
        self.shown = now
        moves = self.axis.drive.moving(now)
        limit = self.axis.at_limit(now)
        high, low = int(limit > 0), int(limit < 0)
        reverse = self.coordinates.direction < 0
        home = not self.coordinates.raw_now(now)
        self.record.post(
            **self.coordinates.readbacks(now),
            TDIR=int(self.up),
            **{"RHLS": high, "RLLS": low, "ATHM": int(home)},
            **{"HLS": low if reverse else high, "LLS": high if reverse else low},
            MSTA=int(self._status(moves, limit, home)),
            MOVN=int(moves),
        )
        self._judge(limit)

    def _judge(self, limit: int) -> None:
        """The record is in an alarm while a limit switch is on, if HLSV says so."""
        severity = self.record["HLSV"] if limit else 0
        status = ("HIGH" if limit > 0 else "LOW") if severity else "NO_ALARM"
        if (status, severity) != self._alarm:
            self._alarm = (status, severity)
            self.record.alarm(status, SEVERITIES[severity])

    def _status(self, moves: bool, limit: int, home: bool) -> Status:
        """MSTA."""
        status = Status.PRESENT
        for bit, present in (
            (Status.DIRECTION, self.up),
            (Status.MOVING if moves else Status.DONE, True),
            (Status.PLUS_LIMIT, limit > 0),
            (Status.MINUS_LIMIT, limit < 0),
            (Status.HOME | Status.HOME_LIMIT, home),
            (Status.HOMED, self.homed),
        ):
            if present:
                status |= bit
        return status
