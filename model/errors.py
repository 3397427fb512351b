"""Every error that a user can cause.

::

    KinestreamError
    ├── SourceError        a recording that is missing, damaged, or not what it is taken for
    │   └── Undescribed    one that may hold recordings, but that no YAML file describes
    ├── ConfigError        a YAML file or an override that says something wrong; lists every problem
    ├── BundleError        a bundle that is missing, damaged, or of another version
    ├── ChannelMismatch    channels that do not match the bundle's
    ├── EndpointError      an address that cannot be used, or where nobody answers
    │   └── AccessError    keys that cannot be used, or that a streamer does not accept
    ├── FileError          a file that cannot be read or written: a full disk, a missing permission
    ├── TrainingDiverged   a training whose numbers are none any more
    └── MissingExtra       a job that needs a package which is not installed

Their message is one line that names what was wrong and says what to do; the command line prints it and exits
with status 2. Everything else that is raised is our own mistake and keeps its traceback.
"""

from collections.abc import Sequence
from typing import Self


class KinestreamError(Exception):
    """An error that the user can mend; its text is one line."""


class SourceError(KinestreamError):
    """A source of recordings that is missing, damaged or unrecognised."""


class Undescribed(SourceError):
    """A source that may hold recordings, but that nothing describes."""


class ConfigError(KinestreamError):
    """A configuration with one or more problems.

    Parameters
    ----------
    where : str
        The file (or other origin) that was checked.
    problems : sequence of str
        Every problem, each starting with its key: ``train.epochs: ...``.
    """

    def __init__(self, where: str, problems: Sequence[str]) -> None:
        self.where = where
        self.problems = tuple(problems)
        count = "1 error" if len(self.problems) == 1 else f"{len(self.problems)} errors"
        super().__init__(f"{where}: {count}: {'; '.join(self.problems)}")

    def __reduce__(self) -> tuple[type[Self], tuple[str, tuple[str, ...]]]:
        """Let it come whole from another process: an exception is otherwise made again from its text alone."""
        return type(self), (self.where, self.problems)


class BundleError(KinestreamError):
    """A bundle that is missing, damaged or of another version."""


class ChannelMismatch(KinestreamError):
    """Channels that do not match those a bundle was trained on."""


class EndpointError(KinestreamError):
    """A ZeroMQ address that cannot be bound or where nobody answers."""


class AccessError(EndpointError):
    """Keys that cannot be used, or that a streamer does not accept; or an address that should not be open to all."""


class FileError(KinestreamError):
    """A file or folder that cannot be read or written."""


class TrainingDiverged(KinestreamError):
    """A training whose loss or weights are infinite or no numbers any more."""


class MissingExtra(KinestreamError):
    """An optional package that this job needs is not installed."""
