"""Numbers of things, as people write them."""


def counted(count: int, thing: str, things: str | None = None) -> str:
    """Return ``1 stream`` or ``2,000 streams``; `things` is the plural where an s does not make it."""
    return f"{count:,} {thing if count == 1 else things or thing + 's'}"


def format_seconds(seconds: float) -> str:
    """Return a duration with as many digits as tell it from nothing: ``12.3 s``, ``0.042 s``, ``0 s``."""
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds:.2g} s"
