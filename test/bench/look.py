"""What two devices show of each other's work: `look.py WORK A B COUNT` prints JSON numbers, seconds.

A and B are the same folder on two devices. Every wait is bounded.
"""

import json
import os
import sys
import time

LIMIT_S = 180


def wait(is_there, pause=0.002):
    """Seconds until something holds, or None."""
    began = time.monotonic()
    while time.monotonic() - began < LIMIT_S:
        try:
            if is_there():
                return time.monotonic() - began
        except OSError:
            pass
        time.sleep(pause)
    return None


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def edit(a, b, count):
    """A 1 KiB edit until a read has it, so many times."""
    name = "edit"
    write(f"{a}/{name}", os.urandom(1024))
    wait(lambda: len(read(f"{b}/{name}")) == 1024)
    times = []
    for _ in range(count):
        time.sleep(0.1)
        data = os.urandom(1024)
        write(f"{a}/{name}", data)
        times.append(wait(lambda: read(f"{b}/{name}") == data))
    return times


def small(a, b, count):
    """So many new files of 1 KiB, from the first one's making until all are seen."""
    name = f"small-{time.monotonic_ns()}"
    os.mkdir(f"{a}/{name}")
    began = time.monotonic()
    for i in range(count):
        write(f"{a}/{name}/{i}", b"x" * 1024)
    if wait(lambda: len(os.listdir(f"{b}/{name}")) == count, 0.01) is None:
        return [None]
    return [time.monotonic() - began]


def big(a, b, count):
    """A new file of so many MiB, from the first byte's writing until it was read in full."""
    name = f"big-{time.monotonic_ns()}"
    data = os.urandom(count << 20)
    began = time.monotonic()
    write(f"{a}/{name}", data)
    if wait(lambda: os.path.getsize(f"{b}/{name}") == len(data), 0.01) is None:
        return [None]
    assert read(f"{b}/{name}") == data
    return [time.monotonic() - began]


def rename(a, b, count):
    """A rename of a directory with so many files until it is seen, there and back."""
    name = f"dir-{count}"
    os.makedirs(f"{a}/{name}", exist_ok=True)
    for i in range(len(os.listdir(f"{a}/{name}")), count):
        write(f"{a}/{name}/{i}", b"x")
    wait(lambda: len(os.listdir(f"{b}/{name}")) == count, 0.2)
    times = []
    for old, new in ((name, f"{name}-new"), (f"{name}-new", name)):
        os.rename(f"{a}/{old}", f"{a}/{new}")
        times.append(wait(lambda: os.path.exists(f"{b}/{new}/0") and not os.path.exists(f"{b}/{old}")))
    return times


def fill(a, _b, count):
    """Makes so many files in directories of 1,000."""
    for directory in range(count // 1000):
        os.makedirs(f"{a}/many/{directory}", exist_ok=True)
        for i in range(1000):
            write(f"{a}/many/{directory}/{i}", b"x" * 100)
    return []


def first(a, _b, count):
    """First listings of a device that has just come: the root, and one directory of 1,000."""
    root = wait(lambda: "many" in os.listdir(a), 0.01)
    began = time.monotonic()
    some = len(os.listdir(f"{a}/many/{count // 2000}"))
    assert some == 1000, some
    return [root, time.monotonic() - began]


def change(a, _b, count):
    """Changes so many files that `fill` has made."""
    for i in range(count):
        write(f"{a}/many/{i // 1000}/{i % 1000}", b"changed")
    return []


def changed(a, _b, count):
    """Until all those changes are seen; and the longest look at the root meanwhile."""
    longest = 0.0
    began = time.monotonic()
    left = count
    while left > 0 and time.monotonic() - began < LIMIT_S:
        at = time.monotonic()
        os.listdir(a)
        longest = max(longest, time.monotonic() - at)
        i = left - 1
        if os.path.getsize(f"{a}/many/{i // 1000}/{i % 1000}") == len(b"changed"):
            left -= 1
        else:
            time.sleep(0.005)
    return [time.monotonic() - began if left == 0 else None, longest]


if __name__ == "__main__":
    work, a, b, count = sys.argv[1:5]
    print(json.dumps(globals()[work](a, b, int(count))))
