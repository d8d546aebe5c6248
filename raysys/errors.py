"""Everything that raysys raises on purpose, one class per kind of remedy."""

from typing import Literal, TypeAlias

Part: TypeAlias = Literal[
    "encoder", "cross_encoder", "state", "interest", "relevance", "policy", "deadline"
]  # fmt: skip
"""The parts an answer can do without; the closed list that `degraded` is made of."""


class RaysysError(Exception):
    """Base of all errors that raysys raises on purpose; anything else is a bug."""


class DataError(RaysysError):
    """Data is not what its contract says; the sender must mend it."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field
        """The offending field's path (`candidates[3].item_id`), empty when it is the whole."""


class ConfigError(RaysysError):
    """A setting is unknown or out of range; whoever configures must mend it."""


class BundleError(RaysysError):
    """A bundle is absent, incomplete, or not what its manifest says."""


class StoreError(RaysysError):
    """The state store cannot read or write; the operator must look at the disk or server."""


class PartError(RaysysError):
    """A part of the request path failed; the answer goes on without it and says so."""

    def __init__(self, part: Part, message: str) -> None:
        super().__init__(message)
        self.part = part
