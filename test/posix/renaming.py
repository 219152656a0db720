"""rename and renameat2: every pair of kinds, flags, loops, sticky, open files, times."""
import os
import stat

from errors import make
from lib import (NOBODY, OTHER, RENAME_EXCHANGE, RENAME_NOREPLACE, as_user, case, cases, changes,
                 equal, get, perm, put, raises, renameat2)

KINDS = ['file', 'directory', 'full directory', 'symlink', 'dangling symlink', 'fifo', 'socket',
         'device']
DIRECTORIES = {'directory', 'full directory'}


def outcome(source, target):
    """What rename of a source kind over a target kind does."""
    if target is None:
        return 'ok'
    if source in DIRECTORIES and target not in DIRECTORIES:
        return 'ENOTDIR'
    if source not in DIRECTORIES and target in DIRECTORIES:
        return 'EISDIR'
    return 'ENOTEMPTY|EEXIST' if target == 'full directory' else 'ok'


@cases('rename of a {0} to a new name keeps the object', KINDS)
def to_new(folder, kind):
    make(kind, f'{folder}/a')
    os.mkdir(f'{folder}/d')
    before = os.lstat(f'{folder}/a')
    os.rename(f'{folder}/a', f'{folder}/b')
    os.rename(f'{folder}/b', f'{folder}/d/c')
    after = os.lstat(f'{folder}/d/c')
    equal((after.st_ino, after.st_mode, after.st_nlink),
          (before.st_ino, before.st_mode, before.st_nlink))
    raises('ENOENT', os.lstat, f'{folder}/a')
    equal(sorted(os.listdir(folder)), ['d'])
    if kind == 'full directory':
        equal(os.listdir(f'{folder}/d/c'), ['child'])


@cases('rename of a {0} over a {1} is {2}', [
    (s, t, outcome(s, t)) for s in KINDS for t in KINDS])
def over(folder, source, target, result):
    make(source, f'{folder}/a')
    make(target, f'{folder}/b')
    before = os.lstat(f'{folder}/a')
    if result == 'ok':
        os.rename(f'{folder}/a', f'{folder}/b')
        equal(os.lstat(f'{folder}/b').st_ino, before.st_ino)
        equal(os.listdir(folder), ['b'])
    else:
        old = os.lstat(f'{folder}/b')
        raises(result, os.rename, f'{folder}/a', f'{folder}/b')
        equal((os.lstat(f'{folder}/a').st_ino, os.lstat(f'{folder}/b').st_ino),
              (before.st_ino, old.st_ino))


@cases('RENAME_EXCHANGE swaps a {0} and a {1}', [
    (s, t) for s in KINDS[:4] + ['fifo'] for t in KINDS[:4]])
def exchange(folder, source, target):
    os.mkdir(f'{folder}/d')
    make(source, f'{folder}/a')
    make(target, f'{folder}/d/b')
    one, two = os.lstat(f'{folder}/a').st_ino, os.lstat(f'{folder}/d/b').st_ino
    renameat2(f'{folder}/a', f'{folder}/d/b', RENAME_EXCHANGE)
    equal((os.lstat(f'{folder}/a').st_ino, os.lstat(f'{folder}/d/b').st_ino), (two, one))
    equal((sorted(os.listdir(folder)), os.listdir(f'{folder}/d')), (['a', 'd'], ['b']))
    subdirectories = 1 + (target in DIRECTORIES)
    equal(os.lstat(folder).st_nlink, 2 + subdirectories, 'links of the parent')


@case('RENAME_EXCHANGE needs both names, and both flags together give EINVAL')
def exchange_errors(folder):
    put(f'{folder}/a')
    raises('ENOENT', renameat2, f'{folder}/a', f'{folder}/b', RENAME_EXCHANGE)
    raises('EINVAL', renameat2, f'{folder}/a', f'{folder}/b', RENAME_EXCHANGE | RENAME_NOREPLACE)
    raises('EINVAL', renameat2, f'{folder}/a', f'{folder}/b', 64)


@case('RENAME_EXCHANGE of a directory with its own descendant gives EINVAL')
def exchange_loop(folder):
    os.makedirs(f'{folder}/a/b/c')
    raises('EINVAL', renameat2, f'{folder}/a', f'{folder}/a/b/c', RENAME_EXCHANGE)
    raises('EINVAL|ENOTEMPTY', renameat2, f'{folder}/a/b/c', f'{folder}/a', RENAME_EXCHANGE)


@case('RENAME_NOREPLACE moves to a free name and never replaces')
def noreplace(folder):
    put(f'{folder}/a', b'a')
    put(f'{folder}/b', b'b')
    raises('EEXIST', renameat2, f'{folder}/a', f'{folder}/b', RENAME_NOREPLACE)
    equal((get(f'{folder}/a'), get(f'{folder}/b')), (b'a', b'b'))
    renameat2(f'{folder}/a', f'{folder}/c', RENAME_NOREPLACE)
    equal((get(f'{folder}/c'), sorted(os.listdir(folder))), (b'a', ['b', 'c']))


@case('rename of a directory into itself or below gives EINVAL')
def into_itself(folder):
    os.makedirs(f'{folder}/a/b/c')
    raises('EINVAL', os.rename, f'{folder}/a', f'{folder}/a/x')
    raises('EINVAL', os.rename, f'{folder}/a', f'{folder}/a/b/x')
    raises('EINVAL', os.rename, f'{folder}/a', f'{folder}/a/b/c/x')
    raises('ENOTEMPTY|EEXIST', os.rename, f'{folder}/a/b/c', f'{folder}/a')


@case('rename of "." or ".." gives EINVAL or EBUSY')
def dots(folder):
    os.mkdir(f'{folder}/d')
    raises('EINVAL|EBUSY', os.rename, f'{folder}/d/.', f'{folder}/x')
    raises('EINVAL|EBUSY', os.rename, f'{folder}/d/..', f'{folder}/x')
    raises('EINVAL|EBUSY|ENOTEMPTY', os.rename, f'{folder}/d', f'{folder}/.')


@case('rename of a name to itself does nothing')
def same(folder):
    path = put(f'{folder}/a', b'a')
    os.rename(path, path)
    equal((get(path), os.listdir(folder)), (b'a', ['a']))


@case('rename of one hard link over another of the same file leaves both')
def same_file(folder):
    put(f'{folder}/a', b'x')
    os.link(f'{folder}/a', f'{folder}/b')
    os.rename(f'{folder}/a', f'{folder}/b')
    equal((sorted(os.listdir(folder)), os.lstat(f'{folder}/a').st_nlink), (['a', 'b'], 2))


@case('rename over one of two names lowers the link count of the replaced file')
def replaced_links(folder):
    put(f'{folder}/a', b'a')
    os.link(f'{folder}/a', f'{folder}/b')
    os.rename(put(f'{folder}/c', b'c'), f'{folder}/b')
    equal((os.lstat(f'{folder}/a').st_nlink, get(f'{folder}/b')), (1, b'c'))


@case('rename of a directory over an empty one keeps link counts right')
def directory_over(folder):
    os.makedirs(f'{folder}/a/child')
    os.mkdir(f'{folder}/b')
    os.rename(f'{folder}/a', f'{folder}/b')
    equal((os.lstat(folder).st_nlink, os.lstat(f'{folder}/b').st_nlink), (3, 3))


@case('rename moves times of both parents and ctime of the object')
def times(folder):
    os.mkdir(f'{folder}/a')
    os.mkdir(f'{folder}/b')
    put(f'{folder}/a/x')
    path = f'{folder}/b'
    changes(path, lambda: changes(f'{folder}/a', lambda: os.rename(
        f'{folder}/a/x', f'{folder}/b/x'), 'mtime', 'ctime'), 'mtime', 'ctime')
    before = os.lstat(f'{folder}/b/x')
    changes(folder, lambda: os.rename(f'{folder}/b/x', f'{folder}/x'), 'mtime', 'ctime')
    equal(os.lstat(f'{folder}/x').st_mtime_ns, before.st_mtime_ns)
    assert os.lstat(f'{folder}/x').st_ctime_ns > before.st_ctime_ns, 'ctime did not move'


@case('a failed rename changes no times')
def failed_times(folder):
    os.makedirs(f'{folder}/a/full')
    put(f'{folder}/f')
    changes(folder, lambda: raises('EISDIR', os.rename, f'{folder}/f', f'{folder}/a'))


@case('".." of a moved directory is its new parent')
def dotdot(folder):
    os.makedirs(f'{folder}/a/d')
    os.mkdir(f'{folder}/b')
    os.rename(f'{folder}/a/d', f'{folder}/b/d')
    equal(os.stat(f'{folder}/b/d/..').st_ino, os.stat(f'{folder}/b').st_ino)
    os.chdir(f'{folder}/b/d')
    equal(os.path.basename(os.path.dirname(os.getcwd())), 'b')


@case('a directory with a whole tree moves at once, and open files inside go on')
def tree(folder):
    os.makedirs(f'{folder}/a/b/c')
    fd = os.open(put(f'{folder}/a/b/c/f', b'one'), os.O_RDWR)
    os.mkdir(f'{folder}/z')
    os.rename(f'{folder}/a', f'{folder}/z/a')
    os.pwrite(fd, b'two', 3)
    os.close(fd)
    equal(get(f'{folder}/z/a/b/c/f'), b'onetwo')
    raises('ENOENT', os.stat, f'{folder}/a/b/c/f')


@case('moving a directory of another owner to another parent needs write permission on it')
def move_needs_write(folder):
    for name in ('from', 'to'):
        os.mkdir(f'{folder}/{name}', 0o777)
    os.mkdir(f'{folder}/from/d', 0o755)
    os.chown(f'{folder}/from/d', OTHER, OTHER)
    as_user(NOBODY, lambda: raises('EACCES', os.rename, f'{folder}/from/d', f'{folder}/to/d'))
    as_user(NOBODY, lambda: os.rename(f'{folder}/from/d', f'{folder}/from/e'))


@cases('rename over a file of user {1} in a sticky directory of user {0} by 65534 is {2}', [
    (d, f, 'allowed' if NOBODY in (d, f) else 'refused')
    for d in (NOBODY, OTHER) for f in (NOBODY, OTHER)])
def sticky_target(folder, directory, file, result):
    os.mkdir(f'{folder}/s')
    os.chmod(f'{folder}/s', 0o1777)
    os.chown(f'{folder}/s', directory, directory)
    os.chown(put(f'{folder}/s/target', b't', 0o666), file, file)
    os.chown(put(f'{folder}/s/mine', b'm', 0o666), NOBODY, NOBODY)

    def move():
        os.rename(f'{folder}/s/mine', f'{folder}/s/target')
    if result == 'allowed':
        as_user(NOBODY, move)
        equal(get(f'{folder}/s/target'), b'm')
    else:
        as_user(NOBODY, lambda: raises('EPERM|EACCES', move))
        equal(get(f'{folder}/s/target'), b't')


@case('rename with a trailing slash works for directories and gives ENOTDIR for files')
def trailing_slash(folder):
    os.mkdir(f'{folder}/d')
    put(f'{folder}/f')
    os.rename(f'{folder}/d/', f'{folder}/e/')
    assert stat.S_ISDIR(os.lstat(f'{folder}/e').st_mode)
    raises('ENOTDIR', os.rename, f'{folder}/f/', f'{folder}/g')
    raises('ENOTDIR', os.rename, f'{folder}/f', f'{folder}/g/')


@case('RENAME_WHITEOUT is refused or leaves a whiteout')
def whiteout(folder):
    put(f'{folder}/a', b'x')
    try:
        renameat2(f'{folder}/a', f'{folder}/b', 4)
    except OSError:
        equal((get(f'{folder}/a'), os.listdir(folder)), (b'x', ['a']))
        return
    found = os.lstat(f'{folder}/a')
    assert stat.S_ISCHR(found.st_mode) and found.st_rdev == 0, 'no whiteout'


@case('mode, owner, xattrs and mtime survive a rename')
def attributes_survive(folder):
    path = put(f'{folder}/a', b'x', 0o4751)
    os.chown(path, 12, 34)
    os.chmod(path, 0o4751)
    os.setxattr(path, 'user.k', b'v')
    os.utime(path, ns=(1, 1_234_567_890_123_456_789))
    os.mkdir(f'{folder}/d')
    os.rename(path, f'{folder}/d/b')
    found = os.lstat(f'{folder}/d/b')
    equal((found.st_uid, found.st_gid, perm(f'{folder}/d/b'), found.st_mtime_ns),
          (12, 34, 0o4751, 1_234_567_890_123_456_789))
    equal(os.getxattr(f'{folder}/d/b', 'user.k'), b'v')
