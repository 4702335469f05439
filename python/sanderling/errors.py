"""Every error that Sanderling raises on purpose.

    SanderlingError
    |-- InputError (ValueError)          the recording, the reference or an option
    |   |-- ShapeError                   dimensions or number of channels
    |   |-- DtypeError (TypeError)       values that are not real numbers
    |   |-- TimestampError               a time that is missing, unreadable or earlier than the last
    |   |-- ReadError                    a recording's file that cannot be read
    |   `-- CalibrationError             a reference that cannot be used
    |-- ModelError (ValueError)          a model's file
    |   |-- ModelNotFoundError (FileNotFoundError)
    |   |-- FormatError                  truncated, corrupt or not ours
    |   `-- VersionError                 ours, of another schema version
    |-- IsaError (ValueError)            an unknown or unsupported instruction set
    |-- BoardError (ValueError)          an unknown board or a board file with an error
    |-- BundleError (ValueError)         a bundle that is damaged, or not for these boards
    |   `-- SignatureError               a key or signature that does not fit
    |-- DeployError (RuntimeError)       the device refused, vanished, or its new version did not become healthy
    |-- StateError (RuntimeError)        a stream that has ended
    |-- WorkerError (RuntimeError)       a worker process that ended before its job
    |-- DependencyError (ImportError)    a package that an extra installs
    |-- StorageError (OSError)           the operating system refused to read or write
    |-- OutOfMemoryError (MemoryError)   the core could not take memory
    `-- FloatEnvironmentError (RuntimeError)  rounding mode, FTZ or DAZ are not the default

A message is one line: what was expected, what was found, what to do. Warnings are `InputWarning`.
The command line exits with 2 for these and with 1 for anything else.
"""


class SanderlingError(Exception):
    """The root of the tree."""


class InputError(SanderlingError, ValueError):
    """A recording, a reference or an option cannot be used."""


class ShapeError(InputError):
    """An array has the wrong number of dimensions, samples or channels."""


class DtypeError(InputError, TypeError):
    """An array holds something other than real numbers."""


class TimestampError(InputError):
    """A time is missing, unreadable, or earlier than the one before it."""


class ReadError(InputError):
    """A recording's file is missing, empty, ragged or not what its name says."""


class CalibrationError(InputError):
    """A reference recording cannot be used: too short, for example."""


class ModelError(SanderlingError, ValueError):
    """A model's file cannot be used."""


class ModelNotFoundError(ModelError, FileNotFoundError):
    """Neither a file nor the name of a shipped model."""


class FormatError(ModelError):
    """A model's file is truncated, corrupt, or not a Sanderling file."""


class VersionError(ModelError):
    """A model's file has a schema version that this release does not read."""


class IsaError(SanderlingError, ValueError):
    """An instruction set is unknown, or this processor lacks it."""


class BoardError(SanderlingError, ValueError):
    """A board is unknown, or its file breaks the schema."""


class BundleError(SanderlingError, ValueError):
    """A bundle is damaged, or what goes into it does not fit together."""


class SignatureError(BundleError):
    """A key or a signature is damaged, or the signature is not that key's."""


class DeployError(SanderlingError, RuntimeError):
    """A device cannot be reached, refuses a bundle, or its new version did not become healthy."""


class StateError(SanderlingError, RuntimeError):
    """A stream was used after its end."""


class WorkerError(SanderlingError, RuntimeError):
    """A worker process ended before its job did: killed for want of memory, for example."""


class DependencyError(SanderlingError, ImportError):
    """A package is missing; the message names the extra that installs it."""


class StorageError(SanderlingError, OSError):
    """The operating system refused to open, read or write a file."""


class OutOfMemoryError(SanderlingError, MemoryError):
    """The core could not take the memory that a model or a recording needs."""


class FloatEnvironmentError(SanderlingError, RuntimeError):
    """The floating-point environment is not the default; scores would differ between machines."""


class InputWarning(UserWarning):
    """A recording can be used, but something about it deserves a look."""
