"""Data sets of the Hugging Face hub: which of their files are meant, and getting them here.

``huggingface_hub`` does the transfer: a download that breaks off goes on where it was, what is
here already is not fetched again, and ``HF_HUB_OFFLINE=1`` keeps it off the network.
"""

from __future__ import annotations

import glob
import logging
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nst.errors import DataError
from nst.files import free_space
from nst.terminal import format_size
from train.reading import Reading

COCO = "detection-datasets/coco"
COCO_REVISION = "cf0b22332314a937e9dc8a1957b21725430bb41d"
COCO_SHARD = 2_930
"""Photographs in each of its 40 training files, of about 0.48 GB."""
CONVERTED = "refs/convert/parquet"
"""Where the hub keeps its own conversion of a data set that holds no parquet files."""

_TRAIN = re.compile(r"(?<![a-z])train(ing)?(?![a-z])")
_NUMBER = re.compile(r"(\d+)-of-(\d+)")


@dataclass(frozen=True, slots=True)
class HubFiles:
    """The parquet files that are meant, in one state of a data set."""

    name: str
    """As ``--data`` names the data set."""
    repo: str
    revision: str
    commit: str
    sizes: dict[str, int]
    """Bytes of each file."""
    all_count: int
    """Files of the training split, those that ``--shards`` leaves out included."""
    all_bytes: int
    """Of those that are listed; without the hub these are those that are here."""

    def fetch(self, reading: Reading) -> list[Path]:
        """Return the files on this disk; those that are missing are downloaded.

        Raises:
            DataError: The hub cannot be reached or asks for a login; the disk is too small.
        """
        from huggingface_hub import snapshot_download, try_to_load_from_cache

        def is_missing(file: str) -> bool:
            found = try_to_load_from_cache(
                self.repo, file, revision=self.commit, repo_type="dataset"
            )
            return not isinstance(found, str)

        missing = [file for file in self.sizes if is_missing(file)]
        total = sum(self.sizes[file] for file in missing)
        if missing:
            self._announce(len(missing), total, reading)
        label = f"downloading {self.name}, MB"

        def report(done_mb: int) -> None:
            if bar is not None:
                bar.update(done_mb)

        with (
            reading.progress(label, max(1, round(total / 1e6)))
            if missing
            else nullcontext() as bar,
            _in_one_line(self.name, self.repo, self.revision),
        ):
            folder = snapshot_download(
                self.repo,
                repo_type="dataset",
                revision=self.revision,
                allow_patterns=[glob.escape(file) for file in self.sizes],
                tqdm_class=_counting(report),
            )
        if Path(folder).name != self.commit:
            raise DataError(f"--data {self.name} has just changed on the hub; try again")
        return [Path(folder, file) for file in self.sizes]

    def _announce(self, count: int, size: int, reading: Reading) -> None:
        from huggingface_hub.constants import HF_HUB_CACHE

        free = free_space(Path(HF_HUB_CACHE))
        if free < size:
            raise DataError(
                f"--data {self.name}: {format_size(size)} have to be downloaded to {HF_HUB_CACHE},"
                f" where {format_size(free)} are free; set HF_HOME, or take fewer by --shards N"
            )
        line = f"{self.name}: downloading {count} of {self.all_count} parquet files"
        line += f", {format_size(size)} of {format_size(self.all_bytes)}"
        if self.repo == COCO:
            line += f", about {count * COCO_SHARD:,} photographs"
        if self.revision == CONVERTED:
            line += ", in the hub's own conversion"
        line += f", to {HF_HUB_CACHE}"
        if self.repo == COCO and len(self.sizes) == self.all_count:
            line += "; --shards 4 is enough to begin with, 2 GB"
        reading.announce(line)


def find_files(
    name: str,
    repo: str,
    revision: str | None,
    *,
    shards: int | None,
    reading: Reading,
) -> HubFiles:
    """Choose the training files of a data set, the first ``shards`` of them.

    Without a revision they are those of the main branch or, where that holds no parquet files,
    those of the hub's own conversion. Without the hub they are those that were downloaded before.

    Raises:
        DataError: No such data set or revision; no parquet files in it, or fewer than wanted; the
            hub cannot be reached and they are not here.
    """
    for place in ("main", CONVERTED) if revision is None else (revision,):
        listing = _listing(name, repo, place, reading)
        files = _train_files(listing.sizes)
        if place == CONVERTED:
            files = _of_one_part(files)
        if files:
            break
    else:
        raise DataError(f"--data {name}: {repo} has no parquet files")
    # Without the hub perhaps some of them are here: their names tell which.
    match = _NUMBER.search(files[0])
    count = len(files) if match is None else max(len(files), int(match[2]))
    wanted = count if shards is None else shards
    if wanted > count:
        raise DataError(f"--shards {shards}: {name} has {count} parquet files")
    chosen = [file for n, file in enumerate(files[:wanted]) if _number_of(file) in (None, n)]
    if len(chosen) < wanted:
        raise DataError(
            f"--data {name}: only {len(chosen)} of the {wanted} parquet files are here; go online,"
            f" without HF_HUB_OFFLINE, or take fewer by --shards {max(1, len(chosen))}"
        )
    return HubFiles(
        name=name,
        repo=repo,
        revision=place,
        commit=listing.commit,
        sizes={file: listing.sizes[file] for file in chosen},
        all_count=count,
        all_bytes=sum(listing.sizes[file] for file in files),
    )


@dataclass(frozen=True, slots=True)
class _Listing:
    """All files of one state of a data set with their sizes."""

    commit: str
    sizes: dict[str, int]


def _listing(name: str, repo: str, revision: str, reading: Reading) -> _Listing:
    """Ask the hub or, where it does not answer, the cache of its client."""
    from huggingface_hub import HfApi, constants

    try:
        with _in_one_line(name, repo, revision):
            info = HfApi().dataset_info(
                repo,
                revision=revision,
                files_metadata=True,
                timeout=constants.HF_HUB_ETAG_TIMEOUT,
            )
    except _NoAnswerError:
        cached = _cached_listing(repo, revision)
        if cached is not None:
            reading.announce(
                f"{name}: the hub cannot be reached, taking what was downloaded before"
            )
            return cached
        if revision == "main":  # perhaps the conversion was downloaded
            return _Listing("", {})
        raise
    return _Listing(str(info.sha), {f.rfilename: f.size or 0 for f in info.siblings or ()})


def _cached_listing(repo: str, revision: str) -> _Listing | None:
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repos = scan_cache_dir().repos
    except CacheNotFound:
        return None
    states = [
        s for r in repos if (r.repo_type, r.repo_id) == ("dataset", repo) for s in r.revisions
    ]
    for state in states:
        if revision == state.commit_hash or revision in state.refs:
            root = state.snapshot_path
            sizes = {f.file_path.relative_to(root).as_posix(): f.size_on_disk for f in state.files}
            return _Listing(state.commit_hash, sizes)
    return None


def _train_files(names: Iterable[str]) -> list[str]:
    """Keep the parquet files and, where names tell one, of these the training split."""
    parquet = sorted(name for name in names if name.endswith(".parquet"))
    return [name for name in parquet if _TRAIN.search(name.lower())] or parquet


def _of_one_part(names: list[str]) -> list[str]:
    """Keep one of the parts that the hub's conversion has in folders: they often hold the same."""
    parts = {name.partition("/")[0] for name in names}
    part = "default" if "default" in parts else min(parts, default="")
    return [name for name in names if name.startswith(f"{part}/")]


def _number_of(name: str) -> int | None:
    match = _NUMBER.search(name)
    return None if match is None else int(match[1])


class _NoAnswerError(DataError):
    """The hub does not answer; what was downloaded before may do."""


@contextmanager
def _in_one_line(name: str, repo: str, revision: str) -> Iterator[None]:
    """Keep the client of the hub quiet and turn what it raises into one line."""
    from huggingface_hub import errors
    from huggingface_hub.utils import logging as hub_logging

    start = f"--data {name}: " + ("" if repo == COCO else "no such folder here, and ")
    verbosity = hub_logging.get_verbosity()
    hub_logging.set_verbosity(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except errors.GatedRepoError as error:
        raise DataError(
            f"--data {name}: {repo} is open only to those who accept its terms; do so on its page"
            " of the hub, then log in: hf auth login"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise DataError(
            f"{start}no such data set on the hub; a private one needs a login: hf auth login"
        ) from error
    except errors.RevisionNotFoundError as error:
        what = "has no parquet files" if revision == CONVERTED else f"has no revision {revision}"
        raise DataError(f"--data {name}: {repo} {what}") from error
    except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
        raise _NoAnswerError(
            f"{start}{repo} is not among what was downloaded before and the hub cannot be reached;"
            " go online, without HF_HUB_OFFLINE, or name other photographs"
        ) from error
    except Exception as error:  # each version of the client has its own classes for the network
        reason = (str(error).splitlines() or [""])[0]
        raise _NoAnswerError(
            f"{start}the hub did not give {repo} ({type(error).__name__}: {reason}); try again,"
            " what has come is kept"
        ) from error
    finally:
        hub_logging.set_verbosity(verbosity)


def _counting(report: Callable[[int], None]) -> Any:  # noqa: ANN401
    """Make a class that passes for tqdm, draws nothing and reports how many MB have come."""
    from tqdm.auto import tqdm

    most = 0

    class Silent(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
            self.counts_bytes = options.get("unit") == "B"
            self.done = 0
            super().__init__(*args, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> None:
            nonlocal most
            self.done += int(n or 0)
            done_mb = round(self.done / 1e6)
            if self.counts_bytes and done_mb > most:  # of two bars: what came, what is written
                most = done_mb
                report(most)

    return Silent
