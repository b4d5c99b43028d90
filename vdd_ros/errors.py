"""The exceptions of vdd_ros.

Every message has the problem, the given value, the allowed values and the remedy.
"""


class VddError(Exception):
    """Base of every error that vdd_ros raises on purpose."""


class PolicyFileError(VddError):
    """A policy file is not ONNX, or its metadata is missing, unknown or inconsistent."""


class ProviderError(VddError):
    """The requested execution provider was not granted, or a GPU failed."""


class ObservationError(VddError):
    """An observation has the wrong shape, the wrong names or a non-finite value."""


class SchemaError(VddError):
    """A message type lacks a field, or cannot be read from bytes."""


class TaskError(VddError):
    """A task is unknown, or lacks a requested part."""


class DemonstrationError(VddError):
    """A demonstration set is missing, damaged, empty or does not fit the task."""


class CheckpointError(VddError):
    """A checkpoint is missing, truncated, or belongs to another kind of model."""


class ConfigurationError(VddError):
    """An option or parameter has an invalid value."""


class ExportError(VddError):
    """A model could not be exported, or the exported graph is not the same function."""


class RobotFileError(VddError):
    """A robot file is malformed or does not fit the policy."""


class RecordingError(VddError):
    """A bag could not be written completely, or a record has gaps."""


class HungTickError(VddError):
    """A tick has not ended, so no other can begin."""


class ProcessError(VddError):
    """A child process ended unexpectedly, or could not be started."""


class PluginError(VddError):
    """A plug-in cannot be used."""


class ConformanceError(VddError):
    """A plug-in violates an interface of vdd_ros."""


class HeldError(VddError):
    """A folder or a file is in use by another command, which the message names."""


class Terminated(KeyboardInterrupt):
    """A signal asked the process to end; handled like Ctrl-C.

    Attributes:
        number: Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number
