"""The free memory. Truth: by hand, on files written as Linux writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nst.memory import USABLE, free_bytes


def write_tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


V2 = {
    "proc/self/cgroup": "0::/user/app\n",
    "sys/fs/cgroup/user/app/memory.max": "max\n",
    "sys/fs/cgroup/user/app/memory.current": "900\n",
    "sys/fs/cgroup/user/app/memory.stat": "anon 300\ninactive_file 400\n",
    "sys/fs/cgroup/user/memory.max": "2000\n",
    "sys/fs/cgroup/user/memory.current": "1500\n",
    "sys/fs/cgroup/user/memory.stat": "anon 300\ninactive_file 400\n",
}
V1 = {
    "proc/self/cgroup": "5:cpu:/\n4:hugetlb,memory:/box\n0::/\n",
    "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "3000\n",
    "sys/fs/cgroup/memory/box/memory.usage_in_bytes": "1000\n",
    "sys/fs/cgroup/memory/box/memory.stat": "cache 5\ntotal_inactive_file 200\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "1000\n",
    "sys/fs/cgroup/memory/memory.stat": "cache 5\n",
}


@pytest.mark.parametrize(("files", "free"), [(V2, 900), (V1, 2200)])
def test_the_limit_of_a_container_counts(tmp_path: Path, files: dict[str, str], free: int) -> None:
    """By hand: limit - used + cached files, of the tightest group above."""
    assert free_bytes(write_tree(tmp_path, files)) == free


def test_without_cgroups_the_free_memory_counts(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) > 1_000_000
    assert 0 < free_bytes() <= free_bytes(tmp_path) * 1.5  # the latter moves between the two
    assert 0 < USABLE < 1


def test_a_path_that_only_the_host_has_is_passed_over(tmp_path: Path) -> None:
    """In a container the group is mounted as the root, while its path is still the host's."""
    files = {
        "proc/self/cgroup": "0::/kubepods/pod7\n",
        "sys/fs/cgroup/memory.max": "5000\n",
        "sys/fs/cgroup/memory.current": "1000\n",
        "sys/fs/cgroup/memory.stat": "inactive_file 0\n",
    }
    assert free_bytes(write_tree(tmp_path, files)) == 4000
