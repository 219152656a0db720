"""chmod, chown, utimensat: who may, what is cleared, which times move."""
import os
import stat
import time

from errors import make
from lib import (NOBODY, OTHER, UTIME_NOW, UTIME_OMIT, as_user, case, cases, changes, equal, get,
                 perm, put, raises, tick, utimensat)


@cases('chmod sets mode {0:o} on a {1}', [
    (m, k) for m in (0o0, 0o111, 0o644, 0o755, 0o1777, 0o2755, 0o4755, 0o7777)
    for k in ('file', 'directory', 'fifo', 'socket', 'device')])
def set_mode(folder, mode, kind):
    make(kind, f'{folder}/x')
    os.chmod(f'{folder}/x', mode)
    equal(perm(f'{folder}/x'), mode)


@case('chmod follows symlinks')
def chmod_symlink(folder):
    put(f'{folder}/f', mode=0o644)
    os.symlink('f', f'{folder}/l')
    os.chmod(f'{folder}/l', 0o600)
    equal(perm(f'{folder}/f'), 0o600)


@case('chmod and chown move ctime, not mtime')
def ctime(folder):
    path = put(f'{folder}/f')
    changes(path, lambda: os.chmod(path, 0o600), 'ctime')
    changes(path, lambda: os.chown(path, 1, 2), 'ctime')
    os.symlink('f', f'{folder}/l')
    changes(f'{folder}/l', lambda: os.lchown(f'{folder}/l', 1, 2), 'ctime')


@case('chmod by someone who does not own the file gives EPERM')
def chmod_not_owner(folder):
    path = put(f'{folder}/f', mode=0o666)
    as_user(NOBODY, lambda: raises('EPERM', os.chmod, path, 0o777))
    os.chown(path, NOBODY, NOBODY)
    as_user(NOBODY, lambda: os.chmod(path, 0o640))
    equal(perm(path), 0o640)


@case('chmod by an owner outside of the group drops set-group-id')
def chmod_setgid(folder):
    path = put(f'{folder}/f')
    os.chown(path, NOBODY, OTHER)
    as_user(NOBODY, lambda: os.chmod(path, 0o2755))
    equal(perm(path), 0o755)
    as_user(NOBODY, lambda: os.chmod(path, 0o2755), groups=(OTHER,))
    equal(perm(path), 0o2755)


@cases('chown of a {0} by root sets owner and group', ['file', 'directory', 'fifo', 'symlink'])
def set_owner(folder, kind):
    make(kind, f'{folder}/x')
    os.lchown(f'{folder}/x', 123, 456)
    found = os.lstat(f'{folder}/x')
    equal((found.st_uid, found.st_gid), (123, 456))
    os.lchown(f'{folder}/x', -1, 789)
    os.lchown(f'{folder}/x', 4_000_000_000, -1)
    found = os.lstat(f'{folder}/x')
    equal((found.st_uid, found.st_gid), (4_000_000_000, 789))


@case('chown by an ordinary user: no new owner, only groups of their own')
def chown_rules(folder):
    path = put(f'{folder}/f')
    os.chown(path, NOBODY, NOBODY)
    as_user(NOBODY, lambda: raises('EPERM', os.chown, path, OTHER, -1))
    as_user(NOBODY, lambda: raises('EPERM', os.chown, path, -1, OTHER))
    as_user(NOBODY, lambda: os.chown(path, NOBODY, OTHER), groups=(OTHER,))
    equal(os.stat(path).st_gid, OTHER)
    as_user(OTHER, lambda: raises('EPERM', os.chown, path, -1, OTHER))


@cases('chown by {0} of a file with mode {1:o} leaves {2:o}', [
    ('its owner', 0o6755, 0o0755), ('its owner', 0o6555, 0o0555), ('its owner', 0o4744, 0o0744),
    ('root', 0o6755, 0o0755), ('root', 0o4711, 0o0711), ('its owner', 0o0644, 0o0644)])
def chown_clears(folder, who, mode, left):
    path = put(f'{folder}/f')
    os.chown(path, NOBODY, NOBODY)
    os.chmod(path, mode)
    uid = 0 if who == 'root' else NOBODY
    as_user(uid, lambda: os.chown(path, -1, OTHER), groups=(OTHER,))
    equal(perm(path), left)


@case('chown of a directory keeps set-group-id')
def chown_directory(folder):
    os.mkdir(f'{folder}/d')
    os.chmod(f'{folder}/d', 0o2755)
    os.chown(f'{folder}/d', 5, 6)
    equal(perm(f'{folder}/d'), 0o2755)


@cases('{0} by an ordinary user clears set-user-id and set-group-id', [
    'write', 'truncate', 'ftruncate', 'open(O_TRUNC)', 'fallocate', 'append'])
def write_clears(folder, how):
    path = put(f'{folder}/f', b'12345', 0o777)
    os.chown(path, NOBODY, NOBODY)
    os.chmod(path, 0o6777)

    def act():
        if how == 'truncate':
            os.truncate(path, 3)
            return
        flags = {'append': os.O_WRONLY | os.O_APPEND,
                 'open(O_TRUNC)': os.O_WRONLY | os.O_TRUNC}.get(how, os.O_WRONLY)
        fd = os.open(path, flags)
        if how in ('write', 'append'):
            os.write(fd, b'x')
        elif how == 'ftruncate':
            os.ftruncate(fd, 2)
        elif how == 'fallocate':
            os.posix_fallocate(fd, 0, 100)
        os.close(fd)
    as_user(OTHER, act)
    equal(perm(path), 0o777)


@case('write by root keeps set-user-id')
def root_write_keeps(folder):
    path = put(f'{folder}/f', b'1', 0o4755)
    fd = os.open(path, os.O_WRONLY)
    os.write(fd, b'2')
    os.close(fd)
    equal(perm(path), 0o4755)


@case('a set-user-id program runs as its owner')
def suid_runs(folder):
    path = put(f'{folder}/id', get('/usr/bin/id'), 0o755)
    os.chown(path, OTHER, OTHER)
    os.chmod(path, 0o4755)
    import subprocess
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)

    def act():
        subprocess.run([path, '-u'], stdout=writer, check=True)
    as_user(NOBODY, act)
    equal(os.read(reader, 20), b'65533\n')
    os.close(reader)
    os.close(writer)


@cases('utimensat keeps {0} ns exactly', [
    0, 1, 999_999_999, 1_234_567_890_123_456_789, 4_102_444_800_000_000_001,
    -1_000_000_000, -315_619_200_000_000_000])
def exact_times(folder, when):
    for kind in ('file', 'directory', 'symlink'):
        path = f'{folder}/{kind}'
        make(kind, path)
        os.utime(path, ns=(when, when + 1), follow_symlinks=False)
        found = os.lstat(path)
        equal((found.st_atime_ns, found.st_mtime_ns), (when, when + 1), kind)


@case('UTIME_OMIT leaves a time alone and UTIME_NOW takes the clock')
def omit_and_now(folder):
    path = put(f'{folder}/f')
    os.utime(path, ns=(1000, 2000))
    utimensat(path, (0, UTIME_OMIT), (7, 8))
    equal((os.stat(path).st_atime_ns, os.stat(path).st_mtime_ns), (1000, 7_000_000_008))
    utimensat(path, (5, 6), (0, UTIME_OMIT))
    equal((os.stat(path).st_atime_ns, os.stat(path).st_mtime_ns), (5_000_000_006, 7_000_000_008))
    before = time.time_ns()
    utimensat(path, (0, UTIME_OMIT), (0, UTIME_NOW))
    assert abs(os.stat(path).st_mtime_ns - before) < 1_000_000_000, 'not now'
    equal(os.stat(path).st_atime_ns, 5_000_000_006)


@case('utimensat moves ctime; both omitted moves nothing')
def utime_ctime(folder):
    path = put(f'{folder}/f')
    os.utime(path, ns=(1000, 2000))
    changes(path, lambda: utimensat(path, (0, 1000), (0, 2000)), 'ctime')
    changes(path, lambda: utimensat(path, (0, UTIME_OMIT), (0, UTIME_OMIT)))


@case('setting times: owners set any, writers only now, others nothing')
def utime_permission(folder):
    path = put(f'{folder}/f', mode=0o666)
    as_user(NOBODY, lambda: raises('EPERM', os.utime, path, (1, 1)))
    as_user(NOBODY, lambda: os.utime(path))
    os.chmod(path, 0o644)
    as_user(NOBODY, lambda: raises('EACCES', os.utime, path))
    os.chown(path, NOBODY, NOBODY)
    as_user(NOBODY, lambda: os.utime(path, (1, 1)))
    equal(os.stat(path).st_mtime, 1)


@case('write and truncate move mtime and ctime; a read moves neither')
def data_times(folder):
    path = put(f'{folder}/f', b'123')
    fd = os.open(path, os.O_RDWR)
    changes(path, lambda: os.pwrite(fd, b'x', 0), 'mtime', 'ctime')
    changes(path, lambda: os.ftruncate(fd, 10), 'mtime', 'ctime')
    changes(path, lambda: os.truncate(path, 5), 'mtime', 'ctime')
    changes(path, lambda: os.pread(fd, 5, 0))
    os.close(fd)


@case('times seen by fstat during writes are those seen by stat after close')
def times_settle(folder):
    fd = os.open(f'{folder}/f', os.O_CREAT | os.O_RDWR)
    os.write(fd, b'data')
    inside = os.fstat(fd)
    tick()
    os.close(fd)
    after = os.stat(f'{folder}/f')
    equal((after.st_mtime_ns, after.st_ctime_ns), (inside.st_mtime_ns, inside.st_ctime_ns))


@case('an mtime set on an open file with unwritten data stays')
def set_then_close(folder):
    fd = os.open(f'{folder}/f', os.O_CREAT | os.O_RDWR)
    os.write(fd, b'x' * 10_000)
    os.utime(fd, ns=(5, 7))
    os.fsync(fd)
    os.close(fd)
    equal(os.stat(f'{folder}/f').st_mtime_ns, 7)


@case('an inode keeps its number and kind for its life, and distinct files differ')
def inode_numbers(folder):
    paths = [put(f'{folder}/{i}') for i in range(50)]
    numbers = [os.stat(path).st_ino for path in paths]
    equal(len(set(numbers)), 50)
    os.chmod(paths[0], 0o600)
    equal(os.stat(paths[0]).st_ino, numbers[0])
    assert all(stat.S_ISREG(os.stat(path).st_mode) for path in paths)


@case('statfs tells block size, free space and a name limit of 255')
def statfs(folder):
    found = os.statvfs(folder)
    equal(found.f_namemax, 255)
    assert found.f_bsize > 0 and found.f_blocks > 0 and found.f_bfree <= found.f_blocks
    assert found.f_bavail <= found.f_bfree
