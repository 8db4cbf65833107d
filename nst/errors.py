"""The errors that a person can act on.

    NSTError                exit code 1
      UsageError            2: the command line or a setting is wrong
      ImageError            a picture cannot be read
        PixelLimitError     it has more pixels than are allowed
      DataError             a set of photographs cannot be used
      WeightsError          VGG-19 weights are missing, damaged or stop too early
      CheckpointError       a checkpoint is missing, damaged or of another kind
      TrainingError         training cannot go on
      ExportError           a network cannot be exported
        ParityError         the exported file does not paint what the network paints
      ModelError            a file is no style model of ours
      InferenceError        a model cannot be run: provider, memory
        OutOfMemoryError    there was not enough memory for it
      MediaError            a video, camera or window cannot be used
      OutputError           a result cannot be written: it exists, the disk is full
      SomeFailed            3: some inputs failed, the others were written

Every message is one line: what is wrong, on which file, what to do. Only these are caught at the
border (``nst.terminal``); anything else is a bug and keeps its traceback.
"""


class NSTError(Exception):
    """The root of all errors that a person can act on."""

    exit_code = 1


class UsageError(NSTError):
    """The command line or a setting is wrong; the message names the flag."""

    exit_code = 2


class ImageError(NSTError):
    """A picture cannot be read; the message names the file."""


class PixelLimitError(ImageError):
    """A picture or a frame has more pixels than are allowed; the caller knows how to allow more."""


class DataError(NSTError):
    """A set of photographs cannot be used for training."""


class WeightsError(NSTError):
    """VGG-19 weights are missing, damaged or stop before the layer that was asked for."""


class CheckpointError(NSTError):
    """A checkpoint is missing, damaged or belongs to something else."""


class TrainingError(NSTError):
    """Training cannot go on."""


class ExportError(NSTError):
    """A network cannot be exported."""


class ParityError(ExportError):
    """The exported file does not paint what the network paints."""


class ModelError(NSTError):
    """A file is not a style model that follows ``nst.contract``."""


class InferenceError(NSTError):
    """A model cannot be run here: no such provider, not enough memory."""


class OutOfMemoryError(InferenceError):
    """A run found too little memory; a smaller picture or a part of it may still be painted."""


class MediaError(NSTError):
    """A video, a camera or a window cannot be used."""


class OutputError(NSTError):
    """A result cannot be written: the file exists, the disk is full."""


class SomeFailed(NSTError):
    """Some inputs failed and were named; the others were written."""

    exit_code = 3


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP on the way that Ctrl-C takes: what ends well after one does after all.

    Args:
        number: Of the signal; the exit code is 128 more.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = 128 + number


def in_one_line(text: object) -> str:
    """Return words from a foreign file as they can be shown: printable, one line, not too long."""
    # A damaged name is not even text: the parser of ONNX hands it out as bytes.
    line = "".join(c if c.isprintable() else "?" for c in " ".join(str(text).split()))
    return line if len(line) <= 200 else line[:200] + "…"
