"""Who may read and write which PV.

    AccessRules(
        Rule("*", rights=Access.READ),
        Rule("BL:*", users=("operator",), hosts=("console?",)),
    )

The last rule that fits decides; without any, everything is allowed. Names are those of
records: a rule for BL:M1 is one for BL:M1.VELO, too. A server takes any
callable with the same signature instead. User and host are what the client claims;
`address` is where its connection comes from.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from beamfly.ca.message import Access

FULL = Access.READ | Access.WRITE


@dataclass(slots=True)
class Peer:
    """A client, as it presents itself."""

    address: str = ""
    """Where its connection comes from, as host:port."""
    user: str = ""
    """From CLIENT_NAME."""
    host: str = ""
    """From HOST_NAME."""

    def __str__(self) -> str:
        who = f"{self.user}@{self.host}" if self.user or self.host else "client"
        return f"{who} ({self.address})"


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of who may do what; patterns are those of the shell (* ? [])."""

    names: str = "*"
    """PVs that it is about."""
    users: tuple[str, ...] = ("*",)
    """Patterns of users."""
    hosts: tuple[str, ...] = ("*",)
    """Patterns of hosts; the address of the connection, without port, fits too."""
    rights: Access = FULL
    """What they may do."""

    def fits(self, peer: Peer, name: str) -> bool:
        """Whether it speaks of this client and PV."""
        address = peer.address.rpartition(":")[0]
        return (
            fnmatchcase(name, self.names)
            and any(fnmatchcase(peer.user, user) for user in self.users)
            and any(
                fnmatchcase(peer.host, host) or fnmatchcase(address, host)
                for host in self.hosts
            )
        )


class AccessRules:
    """Rules in order; the last that fits decides."""

    def __init__(self, *rules: Rule) -> None:
        self.rules = rules

    def __call__(self, peer: Peer, name: str) -> Access:
        """What a client may do with a PV."""
        for rule in reversed(self.rules):
            if rule.fits(peer, name):
                return rule.rights
        return FULL
