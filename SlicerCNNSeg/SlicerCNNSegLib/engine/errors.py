"""The one exception tree of CNNSeg.

::

    CNNSegError
    ├── SettingsError          an option makes no sense                (usage, exit status 2)
    │   ├── UnknownModelError  no model of that id or folder           (usage, exit status 2)
    │   └── LicenceError       a licence that was not accepted         (usage, exit status 2)
    ├── InputError             what came in cannot be used
    │   ├── FileReadError      missing, truncated, unknown file
    │   ├── DicomError         a series that gives no right volume
    │   ├── GeometryError      an impossible or unsupported geometry
    │   ├── ChannelError       channels don't fit the model
    │   ├── ModalityError      the image is of another kind than the model was trained on
    │   └── RegionError        an empty region, or one outside the image
    ├── ModelError             a model folder that is broken
    │   ├── ConfigError        a config that asks for more than is allowed, or is broken
    │   ├── WeightsError       weights that don't fit their network
    │   └── ArchiveError       an archive or folder that is not safe to install
    ├── DownloadError          a download that failed, or is not what was announced
    ├── OutputError            a result that cannot be written
    ├── DeviceError            a device that is absent or does not work
    │   └── OutOfMemoryError   the last rung of the memory ladder failed
    ├── PackagesError          Python packages are missing and were not installed
    ├── WorkerError            the process that computes ended, or did what it should not
    │   └── WorkerDiedError    it ended in the middle of a run
    └── Cancelled              the user asked to stop

A message is one line: what was expected, what came (the value), what to do next.
"""


class CNNSegError(Exception):
    """Base of every error that CNNSeg raises on purpose."""


class SettingsError(CNNSegError):
    """An option has a value that makes no sense."""


class UnknownModelError(SettingsError):
    """No model of that id or in that folder."""


class LicenceError(SettingsError):
    """A model's licence is not a permissive one and was not accepted."""


class InputError(CNNSegError):
    """What came in cannot be used."""


class FileReadError(InputError):
    """A file is missing, truncated or of an unknown kind."""


class DicomError(InputError):
    """A DICOM folder or series that gives no right volume."""


class GeometryError(InputError):
    """A geometry that is impossible or not supported."""


class ChannelError(InputError):
    """The channels that came don't fit the model's."""


class ModalityError(InputError):
    """The image is of another kind than the model was trained on."""


class RegionError(InputError):
    """A region of interest that is empty or outside the image."""


class ModelError(CNNSegError):
    """A model folder that is broken or not supported."""


class ConfigError(ModelError):
    """A config of a model that asks for something that is not allowed, or that is broken."""


class WeightsError(ModelError):
    """Weights that cannot be read or don't fit their network."""


class ArchiveError(ModelError):
    """An archive or a folder that is not safe to install, or is damaged."""


class DownloadError(CNNSegError):
    """A download failed, is not allowed now, or is not what was announced."""


class OutputError(CNNSegError):
    """A result cannot be written."""


class DeviceError(CNNSegError):
    """A device is absent or fails its self-test."""


class OutOfMemoryError(DeviceError):
    """Memory ran out on the last rung of the memory ladder."""


class PackagesError(CNNSegError):
    """Python packages that a run needs are missing, and were not installed now."""


class WorkerError(CNNSegError):
    """The process that computes ended unexpectedly, cannot be started, or does not speak our language."""


class WorkerDiedError(WorkerError):
    """The process that computes ended in the middle of a run, which may go well in another one."""


class Cancelled(CNNSegError):
    """The user asked to stop; nothing was changed."""

    def __init__(self, message: str = "Cancelled on request; nothing was written.") -> None:
        super().__init__(message)
