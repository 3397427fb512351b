"""Refuses addresses that other machines can reach, where no keys are required."""

from collections.abc import Sequence

from kinestream.model.errors import AccessError
from kinestream.streamer.transport.addresses import check_bind, is_local


def check_unexposed(endpoints: Sequence[str]) -> None:
    """Check addresses that are about to be bound.

    Raises
    ------
    AccessError
        If other machines can connect to one.
    EndpointError
        If one cannot be used at all.
    """
    for endpoint in endpoints:
        if not is_local(endpoint):
            check_bind(endpoint)
            raise AccessError(
                f"{endpoint} is open to other machines, and without keys whoever reaches it may send and read: make "
                "keys ('kinestream keys new NAME') and give --keys FOLDER, or add --insecure"
            )
