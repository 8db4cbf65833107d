"""The sound of a video on its way into another: copied packet by packet where that can be."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from infer.frames import Source
from infer.video_format import Format, held_codecs
from nst.errors import MediaError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet


class Sound:
    """The sound streams of a file that is written.

    Args:
        container: The file.
        form: How it is written.
        reader: Where the sound comes from.
        target: The name it will have, for messages.

    Raises:
        MediaError: The container cannot hold the sound of the source, and another one could.
    """

    def __init__(
        self, container: OutputContainer, form: Format, reader: Source, target: Path
    ) -> None:
        self.notes: list[str] = []
        """What the caller should say: where the result differs from the source."""
        self._container, self._target, self._source = container, target, reader.path
        self._codecs = reader.info.sound
        self._encoded: set[int] = set()  # streams that are encoded again
        self._last_dts: dict[int, int] = {}
        self._streams = {sound.index: self._add(sound, form) for sound in reader.sounds}

    def copy(self, packet: Packet[AudioStream]) -> bool:
        """Write one packet; False when its time stamp goes back or it is damaged."""
        from av import FFmpegError

        index, dts = packet.stream.index, packet.dts
        if dts is None or dts <= self._last_dts.get(index, dts - 1):
            return False
        self._last_dts[index] = dts
        stream = self._streams[index]
        if index in self._encoded:
            try:
                samples = packet.decode()
            except FFmpegError:
                return False
            for frame in samples:
                self._container.mux(stream.encode(frame))
            return True
        packet.stream = stream
        self._container.mux_one(packet)
        return True

    def finish(self) -> None:
        """Write what is pending."""
        for index in self._encoded:
            self._container.mux(self._streams[index].encode(None))

    def refusal(self, *codecs: str) -> MediaError:
        """Return the error for sound that the container cannot hold; of all of it by default."""
        is_matroska = self._target.suffix.lower() == ".mkv"
        advice = "convert it with another program first" if is_matroska else "write a .mkv file"
        return MediaError(
            f"{self._target}: a {self._target.suffix} file cannot hold the sound of {self._source}"
            f" ({', '.join(codecs or self._codecs)}); sound is copied, not encoded again: {advice}"
        )

    def _add(self, source: AudioStream, form: Format) -> AudioStream:
        codec = source.codec_context.name
        with suppress(ValueError):  # it cannot hold this
            return self._container.add_stream_from_template(source)
        if form.container != "matroska" and codec in held_codecs(".mkv"):
            raise self.refusal(codec)
        # The decoders of old kinds do not say which channel is which, so that no more are kept.
        layout = "mono" if source.layout.nb_channels == 1 else "stereo"
        self.notes.append(
            f"{self._source}: its sound ({codec}) is encoded again, as"
            f" {form.sound.removeprefix('lib')} in {layout}, because no file that is written here"
            " can hold it"
        )
        self._encoded.add(source.index)
        stream = cast("AudioStream", self._container.add_stream(form.sound, rate=48000))
        stream.layout = layout
        return stream
