"""The two threads around a loop. Truth: events that only come when stages work at the same time."""

from __future__ import annotations

import signal
import threading
import weakref
from collections.abc import Iterable, Iterator

import pytest

from infer.pipeline import ReadAhead, WriteBehind

DEADLINE_S = 10.0
"""Only waited for by a test that fails."""


def wait_for(event: threading.Event) -> None:
    assert event.wait(DEADLINE_S), "the stages wait for each other"


def put_all(items: Iterable[int], behind: WriteBehind[int]) -> None:
    for item in items:
        behind.put(item)


def test_reading_goes_on_while_an_item_is_worked_on() -> None:
    is_read_on = threading.Event()

    def source() -> Iterator[int]:
        yield 0
        is_read_on.set()
        yield 1

    seen = []
    for item in ReadAhead(source(), 1):
        if item == 0:
            wait_for(is_read_on)
        seen.append(item)
    assert seen == [0, 1]


def test_writing_goes_on_while_an_item_is_worked_on() -> None:
    is_written, go_on = threading.Event(), threading.Event()

    def write(item: int) -> None:
        is_written.set()
        wait_for(go_on)

    behind = WriteBehind(write, 1)
    behind.put(0)
    wait_for(is_written)  # item 0 is in the middle of being written, and the loop goes on
    behind.put(1)
    go_on.set()
    behind.finish()
    assert behind.busy_s > 0


def test_three_stages_hold_three_items_at_a_time() -> None:
    """Each stage lets its item go only when the two others have one: a meeting of three."""
    meeting = threading.Barrier(3, timeout=DEADLINE_S)

    def source() -> Iterator[int]:
        for item in range(6):
            if item >= 2:
                meeting.wait()
            yield item

    def write(item: int) -> None:
        if item < 4:
            meeting.wait()
        written.append(item)

    written: list[int] = []
    behind = WriteBehind(write, 1)
    for item in ReadAhead(source(), 1):
        if 1 <= item < 5:
            meeting.wait()
        behind.put(item)
    behind.finish()
    assert written == list(range(6))


def test_the_queues_are_bounded() -> None:
    """By hand: of what is read, at most two wait and one is on its way."""
    alive: weakref.WeakSet[Item] = weakref.WeakSet()
    most = 0

    class Item:
        pass

    def source() -> Iterator[Item]:
        nonlocal most
        for _ in range(50):
            item = Item()
            alive.add(item)
            most = max(most, len(alive))
            yield item

    for item in ReadAhead(source(), 2):
        del item
    assert most <= 5


def test_order_is_kept_and_everything_is_written() -> None:
    written: list[int] = []
    behind = WriteBehind(written.append, 3)
    ahead = ReadAhead(range(500), 3)
    for item in ahead:
        behind.put(item)
    behind.finish()
    assert written == list(range(500))


def test_an_error_of_the_source_comes_after_the_items_before_it() -> None:
    error = ValueError("broken")

    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise error

    seen: list[int] = []
    with pytest.raises(ValueError, match="broken") as caught:
        seen.extend(ReadAhead(source(), 1))
    assert caught.value is error
    assert seen == [1, 2]


def test_an_error_of_the_writer_ends_the_loop_and_writes_no_more() -> None:
    error, written = OSError("full"), list[int]()

    def write(item: int) -> None:
        if item == 3:
            raise error
        written.append(item)

    behind = WriteBehind(write, 1)
    with pytest.raises(OSError, match="full") as caught:
        put_all(range(1000), behind)
    assert caught.value is error
    behind.drop()
    assert written == [0, 1, 2]


def test_an_error_of_the_last_item_is_raised_at_the_end() -> None:
    def write(item: int) -> None:
        raise OSError("full")

    behind = WriteBehind(write, 1)
    behind.put(0)
    with pytest.raises(OSError, match="full"):
        behind.finish()


def test_leaving_early_lets_the_source_go() -> None:
    ahead = ReadAhead(iter(int, 1), 1)  # endless
    assert next(iter(ahead)) == 0
    ahead.close()
    ahead.close()
    assert not any(thread.name == "read ahead" for thread in threading.enumerate())


def test_dropping_forgets_what_waits() -> None:
    go_on, written = threading.Event(), list[int]()

    def write(item: int) -> None:
        wait_for(go_on)
        written.append(item)

    behind = WriteBehind(write, 2)
    for item in range(3):
        behind.put(item)
    threading.Timer(0.05, go_on.set).start()
    behind.drop()
    assert written == [0]


@pytest.mark.parametrize("stage", ["reading", "writing"])
def test_ctrl_c_ends_a_wait(stage: str) -> None:
    """The other thread stands still until the loop has been interrupted."""
    is_begun, go_on = threading.Event(), threading.Event()

    def stand(item: int = 0) -> int:
        wait_for(is_begun)
        if not go_on.is_set():
            signal.raise_signal(signal.SIGINT)
        wait_for(go_on)
        return item

    def source() -> Iterator[int]:
        yield stand()

    ahead = ReadAhead(source() if stage == "reading" else range(100), 1)
    behind = WriteBehind(stand, 1)

    def loop() -> None:
        is_begun.set()
        put_all(ahead, behind)

    with pytest.raises(KeyboardInterrupt):
        loop()
    go_on.set()
    ahead.close()
    behind.drop()
