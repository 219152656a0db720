"""The small frame of the POSIX suite: cases, expectations, other users.

Every case is a function that gets an empty folder on the file system under test and is named for
the behaviour it shows. One process runs them all and prints one JSON line per case, so that
hundreds of cases take seconds. A case that takes too long is cut off by an alarm.
"""
import ctypes
import errno
import functools
import json
import os
import signal
import stat
import sys
import time
import traceback

CASES = []
NOBODY = 65534
OTHER = 65533
CASE_SECONDS = 60
AT_FDCWD = -100
RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, FALLOC_ZERO_RANGE = 1, 2, 16
FALLOC_COLLAPSE, FALLOC_INSERT = 8, 32
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2

libc = ctypes.CDLL(None, use_errno=True)


class Skip(Exception):
    """The case does not apply here; the message says why."""


def case(name):
    """Registers a case under a sentence about behaviour."""
    def register(function):
        CASES.append((name, function))
        return function
    return register


def cases(name, rows):
    """Registers one case for each row; {0}, {1}... in the name are the row's fields as text."""
    def register(function):
        for row in rows:
            row = row if isinstance(row, tuple) else (row,)
            CASES.append((name.format(*row), functools.partial(_with_row, function, row)))
        return function
    return register


def _with_row(function, row, folder):
    function(folder, *row)


def raises(name, function, *args, **kwargs):
    """Asserts that a call fails with one of the errnos named in `name` ("EEXIST|ENOTEMPTY")."""
    wanted = name.split('|')
    try:
        function(*args, **kwargs)
    except OSError as error:
        got = 'EOPNOTSUPP' if error.errno == errno.EOPNOTSUPP else errno.errorcode[error.errno]
        assert got in wanted, f'expected {name}, got {got}'
        return
    raise AssertionError(f'expected {name}, but the call succeeded')


def equal(actual, expected, what=''):
    """Asserts equality and shows both sides, shortened."""
    assert actual == expected, f'{what} expected {str(expected)[:300]}, got {str(actual)[:300]}'


def as_user(uid, function, gid=None, groups=()):
    """Runs a function in a child with another user's credentials; errors come back as they were."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups(list(groups))
            os.setgid(uid if gid is None else gid)
            os.setuid(uid)
            function()
            report = {}
        except OSError as error:
            report = {'errno': error.errno}
        except BaseException as error:  # every failure of the child is the case's failure
            report = {'failure': f'{type(error).__name__}: {error}'}
        os.write(writer, json.dumps(report).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, 'rb') as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    report = json.loads(text or b'{"failure": "the child died"}')
    if 'errno' in report:
        raise OSError(report['errno'], os.strerror(report['errno']))
    assert 'failure' not in report, report.get('failure')


def check(result):
    """Turns a libc result of -1 into OSError."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def renameat2(old, new, flags):
    check(libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags))


def fallocate(fd, mode, offset, length):
    check(libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)))


class Timespec(ctypes.Structure):
    _fields_ = [('sec', ctypes.c_long), ('nsec', ctypes.c_long)]


def utimensat(path, atime, mtime, flags=0):
    """Each time is (seconds, nanoseconds); nanoseconds may be UTIME_NOW or UTIME_OMIT."""
    pair = (Timespec * 2)(Timespec(*atime), Timespec(*mtime))
    check(libc.utimensat(AT_FDCWD, os.fsencode(path), pair, flags))


def put(path, data=b'', mode=0o644):
    """Makes a file with exactly this content and mode."""
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode)
    try:
        view = memoryview(data)
        while len(view):
            view = view[os.write(fd, view):]
        os.fchmod(fd, mode)
    finally:
        os.close(fd)
    return path


def get(path):
    with open(path, 'rb') as file:
        return file.read()


def perm(path):
    """The permission bits, suid, sgid and sticky included."""
    return stat.S_IMODE(os.lstat(path).st_mode)


def tick():
    """Waits for more than the kernel's timestamp granularity."""
    time.sleep(0.012)


def changes(path, function, *fields):
    """Asserts which of mtime and ctime of `path` a call moves forward ('mtime', 'ctime')."""
    before = os.lstat(path)
    tick()
    function()
    after = os.lstat(path)
    for field in ('mtime', 'ctime'):
        old, new = getattr(before, f'st_{field}_ns'), getattr(after, f'st_{field}_ns')
        if field in fields:
            assert new > old, f'{field} of {os.path.basename(path)} did not move forward'
        else:
            assert new == old, f'{field} of {os.path.basename(path)} changed'


def _alarm(_signal, _frame):
    raise AssertionError(f'took longer than {CASE_SECONDS} s')


def run_all(base, pattern):
    """Runs the cases whose name contains `pattern`; prints a JSON line for each."""
    signal.signal(signal.SIGALRM, _alarm)
    os.umask(0)
    for index, (name, function) in enumerate(CASES):
        if pattern and pattern not in name:
            continue
        folder = os.path.join(base, f'c{index}')
        row = {'name': name, 'ok': True}
        signal.alarm(CASE_SECONDS)
        began = time.monotonic()
        try:
            os.mkdir(folder, 0o777)
            os.chdir(base)
            function(folder)
        except Skip as skip:
            row['skip'] = str(skip)
        except BaseException as error:  # any failure, the alarm included, belongs to the case
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f'{os.path.basename(where.filename)}:{where.lineno}'
            row.update(ok=False, message=f'{type(error).__name__}: {error} ({place})')
        signal.alarm(0)
        row['ms'] = round((time.monotonic() - began) * 1000)
        print(json.dumps(row), flush=True)
    os.chdir('/')


if __name__ == '__main__':
    sys.exit('run suite.py')
