"""Who may see the dashboard.

On this machine alone, whoever comes by one of the machine's own names: a page from elsewhere whose name was made to
point here (DNS rebinding) comes by that name and gets nothing. From other machines, whoever knows the token in the
address. A websocket is opened only for pages that came from here, since browsers let any page open one.
"""

import secrets
from collections.abc import Mapping
from urllib.parse import urlsplit

_OWN_NAMES = {"127.0.0.1", "localhost", "[::1]"}


class Guard:
    """Decides by what a request says.

    Parameters
    ----------
    token : str
        What the address begins with; empty where only this machine can connect.
    """

    def __init__(self, token: str) -> None:
        self.token = token

    def admits(self, host: str, token: str) -> bool:
        """Tell whether a request to a host with a token in its path is answered; that takes as long whatever is given.

        Parameters
        ----------
        host : str
            As the header ``Host`` names it.
        token : str
            The first part of the path; empty where there is none.
        """
        if self.token:
            return secrets.compare_digest(token.encode(errors="replace"), self.token.encode())
        return token == "" and _name(host) in _OWN_NAMES

    def admits_page(self, headers: Mapping[str, str]) -> bool:
        """Tell whether a websocket's request is of a page that came from here."""
        origin, host = headers.get("origin"), headers.get("host", "")
        return origin is not None and urlsplit(origin).netloc.lower() == host.lower() != ""


def _name(host: str) -> str:
    """Return the name of ``name:port``."""
    host = host.lower()
    name, colon, port = host.rpartition(":")
    is_address = host.endswith("]")  # of IPv6, without a port
    return name if colon and port.isdecimal() and not is_address else host
