"""Atomic writing. Truth: by invariant, whatever fails the folder holds old files or new ones."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from nst.errors import OutputError, UsageError
from nst.files import atomic_write, describe, expanded, free_space, held, sha256_of


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_new_file_in_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.bin"
    with atomic_write(path) as file:
        file.write(b"one")
        assert not path.exists()
    assert path.read_bytes() == b"one"
    assert names_in(path.parent) == ["file.bin"]


def test_old_content_stands_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert names_in(tmp_path) == ["file.bin"]


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt(), SystemExit(143)])
def test_exception_keeps_the_old_content(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    def fail_in_the_middle() -> None:
        with atomic_write(path, keep_previous=tmp_path / "prev") as file:
            file.write(b"half")
            raise error

    with pytest.raises(type(error)):
        fail_in_the_middle()
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["file.bin"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk_keeps_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    monkeypatch.setattr(os if call == "fsync" else Path, call, fail)
    with pytest.raises(OutputError, match=r"file\.bin: cannot be written, the disk is full"):
        _write(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["file.bin"]


def test_real_write_that_runs_out_of_room(tmp_path: Path) -> None:
    """The system itself refuses the 4097th byte, in the middle of a write."""
    resource = pytest.importorskip("resource")
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OutputError, match="larger than allowed"):
            _write(path, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["file.bin"]


def test_kill_in_the_middle_keeps_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    program = f"""
        import os, signal
        from pathlib import Path
        from nst.files import atomic_write
        with atomic_write(Path({str(path)!r})) as file:
            file.write(b"x" * 100_000)
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    _write(path, b"new")
    assert path.read_bytes() == b"new"


def test_previous_is_kept(tmp_path: Path) -> None:
    path, previous = tmp_path / "last.bin", tmp_path / "prev.bin"
    for content in (b"1", b"2", b"3"):
        with atomic_write(path, keep_previous=previous) as file:
            file.write(content)
        assert previous.exists() == (content != b"1")
    assert path.read_bytes() == b"3"
    assert previous.read_bytes() == b"2"
    assert names_in(tmp_path) == ["last.bin", "prev.bin"]


def test_previous_is_kept_where_hard_links_do_not_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    test_previous_is_kept(tmp_path)


def test_file_is_there_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.bin"
    _write(path, b"1")
    rename = Path.replace
    seen = []

    def watch(self: Path, target: Path) -> Path:
        seen.append(path.read_bytes())
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", watch)
    with atomic_write(path, keep_previous=tmp_path / "prev.bin") as file:
        file.write(b"2")
    assert seen == [b"1", b"1"]


def test_one_name_of_the_previous_does_not_follow_the_new_one(tmp_path: Path) -> None:
    """A hard link shares its content; the new file must not be written through it."""
    path, previous = tmp_path / "last.bin", tmp_path / "prev.bin"
    path.write_bytes(b"1")
    with atomic_write(path, keep_previous=previous) as file:
        file.write(b"2")
    assert not path.samefile(previous)


def test_a_name_of_any_length(tmp_path: Path) -> None:
    """By hand: 255 bytes are the longest name of most file systems."""
    path, previous = tmp_path / ("n" * 251 + ".png"), tmp_path / ("p" * 251 + ".png")
    for content in (b"1", b"2"):
        with atomic_write(path, keep_previous=previous) as file:
            temporary = [name for name in names_in(tmp_path) if name.endswith(".tmp")]
            assert len(temporary) == 1
            assert temporary[0].startswith(".nst-")
            file.write(content)
    assert (path.read_bytes(), previous.read_bytes()) == (b"2", b"1")
    with pytest.raises(OutputError, match="name too long"):
        _write(tmp_path / ("n" * 256), b"")
    assert names_in(tmp_path) == [path.name, previous.name]


def test_a_kill_between_the_two_renames_leaves_nothing_behind(tmp_path: Path) -> None:
    """By hand: both names are one file then, and POSIX renames nothing onto itself."""
    path, previous = tmp_path / "last.bin", tmp_path / "prev.bin"
    path.write_bytes(b"1")
    os.link(path, previous)
    with atomic_write(path, keep_previous=previous) as file:
        file.write(b"2")
    assert (path.read_bytes(), previous.read_bytes()) == (b"2", b"1")
    assert names_in(tmp_path) == ["last.bin", "prev.bin"]


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="a file stands where a folder is needed"):
        _write(tmp_path / "file" / "a.bin", b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="it is a folder"):
        _write(tmp_path / "folder", b"")
    assert names_in(tmp_path) == ["file", "folder"]


def test_describe() -> None:
    assert describe(OSError(errno.EROFS, "Read-only file system")) == "the file system is read-only"
    assert describe(OSError("Strange Thing")) == "strange thing"


def test_sha256(tmp_path: Path) -> None:
    """FIPS 180-2, appendix B.1."""
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(path) == digest == hashlib.sha256(b"abc").hexdigest()


def test_the_free_space_of_a_place_that_is_not_there_yet(tmp_path: Path) -> None:
    """By another implementation: what the system says about the folder above."""
    status = os.statvfs(tmp_path)
    free = free_space(tmp_path / "a" / "b" / "c.bin")
    assert free == pytest.approx(status.f_bavail * status.f_frsize, rel=0.05)


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path) as file:
        file.write(content)


@pytest.mark.skipif(sys.platform == "win32", reason="a folder cannot be locked there")
def test_a_folder_has_one_holder(tmp_path: Path) -> None:
    """By a process of its own, which is killed: then the folder is free again."""
    program = (
        "import sys, time; from pathlib import Path; from nst.files import held\n"
        "with held(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    words = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match="another process writes into it"), held(tmp_path):
            pass
        process.kill()
    with held(tmp_path):
        pass


def test_patterns_are_replaced_by_what_they_match(tmp_path: Path) -> None:
    """By hand; a file that is there is no pattern, whatever its name."""
    for name in ("b.jpg", "a.jpg", "[x].jpg", "c.png"):
        (tmp_path / name).touch()
    plain, odd = tmp_path / "missing.jpg", tmp_path / "[x].jpg"
    assert expanded([plain, odd, tmp_path / "?.jpg"]) == [
        plain,
        odd,
        tmp_path / "a.jpg",
        tmp_path / "b.jpg",
    ]
    with pytest.raises(UsageError, match=r"\*\.tif: no file matches"):
        expanded([tmp_path / "*.tif"])


def test_a_file_that_another_program_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for Windows: renaming over an open file is refused there until it is closed."""
    path, tries, replace = tmp_path / "file.bin", [], Path.replace

    def held_twice(self: Path, target: Path) -> Path:
        tries.append(target)
        if len(tries) < 3:
            raise PermissionError(errno.EACCES, "Access is denied")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", held_twice)
    with pytest.raises(OutputError, match="permission denied"), atomic_write(path) as file:
        file.write(b"elsewhere nothing is tried again")
    tries.clear()
    monkeypatch.setattr(sys, "platform", "win32")
    with atomic_write(path) as file:
        file.write(b"new")
    assert (path.read_bytes(), len(tries)) == (b"new", 3)


def test_more_files_may_be_open() -> None:
    """In a process of its own, with the limit of macOS."""
    script = """
        import resource
        from nst.files import allow_open_files
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        allow_open_files()
        soft, same = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert same == hard and soft == (min(hard, 10_240) if hard > 0 else 10_240), soft
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)
