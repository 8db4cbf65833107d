"""Data sets of the hub, from a stand-in for it. Truth: the pictures that it serves.

The client of the hub reads its settings when it is imported, so it runs in processes of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from train.data import open_photographs
from train.hub import COCO, COCO_REVISION, CONVERTED
from train.reading import Reading
from train.sources import find_sources

CLIENT = """
import hashlib, json, sys, warnings
from pathlib import Path
from nst.errors import NSTError
from nst.terminal import progress
from train.data import open_photographs
from train.reading import Reading
from train.sources import find_sources

warnings.simplefilter("error")
for name, shards in json.loads(sys.argv[2]):
    said = []
    reading = Reading(announce=said.append, progress=progress, cache=Path(sys.argv[1]))
    try:
        sources = find_sources([name], shards=shards, reading=reading)
        found = open_photographs(sources, size=64, reading=reading)
        answer = {
            "count": len(found),
            "identity": found.identity,
            "bad": found.bad,
            "pixels": hashlib.sha256(found.batch(0, batch=24, size=64, seed=0)).hexdigest(),
        }
    except NSTError as error:
        answer = {"error": str(error)}
    print(json.dumps({**answer, "said": said}))
"""

Files = dict[str, bytes]


class Hub(ThreadingHTTPServer):
    """Serves what the client asks for: what a data set holds, and its files."""

    daemon_threads = True

    def __init__(self, sets: dict[str, dict[str, tuple[str, Files]]]) -> None:
        self.sets = sets  # the commit and the files of each revision of each data set
        self.fetched: list[str] = []
        super().__init__(("127.0.0.1", 0), Answer)


class Answer(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        for repo, states in self.server.sets.items():
            for verb in (self.revision, self.tree, self.resolve):
                api = "" if verb == self.resolve else "/api"
                start = f"{api}/datasets/{repo}/{verb.__name__}/"
                if not path.startswith(start):
                    continue
                rest = path.removeprefix(start)
                for revision, (commit, files) in states.items():
                    for name in (revision, commit):
                        if rest == name or rest.startswith(f"{name}/"):
                            verb(repo, commit, files, rest.removeprefix(name).removeprefix("/"))
                            return
                self.send(404, {"X-Error-Code": "RevisionNotFound"})
                return
        self.send(404, {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET

    def revision(self, repo: str, commit: str, files: Files, _: str) -> None:
        listed = [{"rfilename": name, "size": len(data)} for name, data in files.items()]
        self.send(200, {}, json.dumps({"id": repo, "sha": commit, "siblings": listed}).encode())

    def tree(self, repo: str, commit: str, files: Files, _: str) -> None:
        listed = [
            {"type": "file", "path": name, "size": len(data), "oid": oid(data)}
            for name, data in files.items()
        ]
        self.send(200, {}, json.dumps(listed).encode())

    def resolve(self, repo: str, commit: str, files: Files, name: str) -> None:
        if repo.endswith("gated"):
            self.send(403, {"X-Error-Code": "GatedRepo"})
            return
        if self.command == "GET":
            self.server.fetched.append(name)
        headers = {"ETag": f'"{oid(files[name])}"', "X-Repo-Commit": commit}
        self.send(200, headers, files[name])

    def send(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def oid(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@pytest.fixture(scope="module")
def files(
    photo_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    write_hub_layout: Callable[..., None],
) -> Files:
    """Three files of four photographs, those of the folder in its order."""
    folder = tmp_path_factory.mktemp("files")
    paths = sorted(path for path in photo_folder.rglob("*") if path.is_file())
    for number in range(3):
        pictures = [path.read_bytes() for path in paths[4 * number :][:4]]
        name = f"train-{number:05d}-of-00003-{number}abc.parquet"
        write_hub_layout(folder / name, pictures, 4 * number)
    return {f"data/{path.name}": path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def hub(files: Files) -> Iterator[Hub]:
    first = next(iter(files.values()))
    others = {"data/val-00000-of-00001-dabc.parquet": b"not for training", "README.md": b"words"}
    hub = Hub(
        {
            COCO: {"main": ("0" * 40, {}), COCO_REVISION: (COCO_REVISION, {**others, **files})},
            "some/converted": {
                "main": ("1" * 40, {"pictures.zip": b"PK"}),
                CONVERTED: (
                    "2" * 40,
                    {
                        "animals/train/0000.parquet": b"the same pictures in another order",
                        "default/test/0000.parquet": b"",
                        "default/train/0000.parquet": first,
                    },
                ),
            },
            "some/other": {
                "main": ("3" * 40, {"a.parquet": first}),
                "old": ("4" * 40, {"b/validation.parquet": b"", "b/training.parquet": first}),
            },
            "some/gated": {"main": ("5" * 40, {"train.parquet": first})},
            "some/words": {"main": ("6" * 40, {"README.md": b"words"})},
        }
    )
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    yield hub
    hub.shutdown()
    hub.server_close()
    thread.join()


def ask(
    hub: Hub, home: Path, *wanted: tuple[str, int | None], cache: Path, **settings: str
) -> list[dict[str, Any]]:
    """Open data sets in a process of its own; what it found or the error of each."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "USE_TORCH": "0",  # datasets would import it, which takes seconds
        "NO_PROXY": "127.0.0.1",
        **settings,
    }
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, str(cache), json.dumps(wanted)],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    for line in done.stderr.splitlines():  # nothing but our own progress
        assert line.startswith(("downloading ", "decoding ")), line
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(wanted)
    assert not [answer for answer in answers if "\n" in answer.get("error", "")]
    return answers


def pixels_of(folder: Path, count: int, reading: Reading, tmp_path: Path) -> str:
    """The crops that the first photographs of a folder give, as the client reports them."""
    part = tmp_path / f"first-{count}"
    part.mkdir()
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    for number, path in enumerate(paths[:count]):
        (part / f"{number:02d}{path.suffix}").write_bytes(path.read_bytes())
    sources = find_sources([str(part)], shards=None, reading=reading)
    photographs = open_photographs(sources, size=64, reading=reading)
    return hashlib.sha256(photographs.batch(0, batch=24, size=64, seed=0).tobytes()).hexdigest()


def test_coco_online_offline_and_unreachable(
    hub: Hub, photo_folder: Path, files: Files, reading: Reading, tmp_path: Path
) -> None:
    """By hand: 2 of 3 files of 4 photographs; the same ones without the hub, and no others."""
    home, caches = tmp_path / "home", [tmp_path / f"cache-{number}" for number in range(3)]
    hub.fetched.clear()
    two, again, four = ask(hub, home, ("coco", 2), ("coco", 2), ("coco", 4), cache=caches[0])
    assert (two["count"], two["bad"]) == (8, [])
    assert two["pixels"] == pixels_of(photo_folder, 8, reading, tmp_path)
    assert sorted(hub.fetched) == sorted(files)[:2]
    size = sum(len(data) for name, data in files.items() if name in hub.fetched) / 1e6
    whole = sum(map(len, files.values())) / 1e6
    assert two["said"][0] == (
        f"coco: downloading 2 of 3 parquet files, {size:.1f} MB of {whole:.1f} MB, about 5,860"
        f" photographs, to {home / 'hub'}"
    )
    assert "decoding 8 photographs once" in two["said"][1]
    assert again == {**two, "said": []}
    assert four["error"] == "--shards 4: coco has 3 parquet files"

    offline = {"HF_HUB_OFFLINE": "1"}
    wanted = (("coco", 2), ("coco", None), ("some/other", None))
    found, part, missing = ask(hub, home, *wanted, cache=caches[1], **offline)
    assert found == {**two, "said": found["said"]}
    assert found["said"][0] == "coco: the hub cannot be reached, taking what was downloaded before"
    assert "only 2 of the 3 parquet files are here; go online" in part["error"]
    assert missing["error"].startswith("--data some/other: no such folder here, and some/other is")
    assert "go online, without HF_HUB_OFFLINE" in missing["error"]

    down = {"HF_ENDPOINT": "http://127.0.0.1:9"}  # nobody listens there
    found, missing = ask(hub, home, ("coco", 2), ("some/other", None), cache=caches[2], **down)
    assert found == {**two, "said": found["said"]}
    assert "the hub did not give some/other (" in missing["error"]
    assert sorted(hub.fetched) == sorted(files)[:2]


def test_other_data_sets_and_refusals(
    hub: Hub, photo_folder: Path, files: Files, reading: Reading, tmp_path: Path
) -> None:
    """By hand: each of them serves the first four photographs, in its own way."""
    hub.fetched.clear()
    converted, other, old, column, whole, *refused = ask(
        hub,
        tmp_path / "home",
        ("some/converted", None),
        ("some/other", None),
        ("some/other@old", None),
        ("some/other:image", None),
        ("coco", None),
        ("some/other:width", None),
        ("some/other@new", None),
        ("some/gated", None),
        ("some/words", None),
        ("no/such", None),
        cache=tmp_path / "cache",
    )
    expected = pixels_of(photo_folder, 4, reading, tmp_path)
    for answer in (converted, other, old, column):
        assert answer["count"] == 4
        assert answer["pixels"] == expected
    identities = {each["identity"] for each in (converted, other, old, column, whole)}
    assert len(identities) == 5
    assert whole["count"] == 12
    assert whole["said"][0].endswith("; --shards 4 is enough to begin with, 2 GB")
    # Of one data set the same content is fetched once, under whatever names.
    assert sorted(hub.fetched) == ["a.parquet", *sorted(files), "default/train/0000.parquet"]
    errors = [answer["error"] for answer in refused]
    assert errors == [
        "--data some/other:width: no pictures in a column width; its columns are image_id, image,"
        " width, height, objects",
        "--data some/other@new: some/other has no revision new",
        "--data some/gated: some/gated is open only to those who accept its terms; do so on its"
        " page of the hub, then log in: hf auth login",
        "--data some/words: some/words has no parquet files",
        "--data no/such: no such folder here, and no such data set on the hub; a private one needs"
        " a login: hf auth login",
    ]
