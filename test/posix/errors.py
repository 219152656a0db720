"""Which errno each call gives for each kind of bad path, and for each lack of permission."""
import os
import stat

from lib import NOBODY, OTHER, as_user, case, cases, equal, get, put, raises, renameat2

# Every call that takes a path, applied to the path `p`; `d` is the case's folder.
CALLS = {
    'open': lambda p, d: os.close(os.open(p, os.O_RDONLY)),
    'open(O_CREAT)': lambda p, d: os.close(os.open(p, os.O_RDWR | os.O_CREAT, 0o644)),
    'mkdir': lambda p, d: os.mkdir(p),
    'mkfifo': lambda p, d: os.mkfifo(p),
    'mknod': lambda p, d: os.mknod(p, stat.S_IFREG | 0o644),
    'symlink': lambda p, d: os.symlink('x', p),
    'link to': lambda p, d: os.link(f'{d}/good', p),
    'link from': lambda p, d: os.link(p, f'{d}/newlink'),
    'rename to': lambda p, d: os.rename(f'{d}/good', p),
    'rename from': lambda p, d: os.rename(p, f'{d}/moved'),
    'rename with a flag to': lambda p, d: renameat2(f'{d}/good', p, 1),
    'unlink': lambda p, d: os.unlink(p),
    'rmdir': lambda p, d: os.rmdir(p),
    'chmod': lambda p, d: os.chmod(p, 0o600),
    'chown': lambda p, d: os.chown(p, 1, 1),
    'lchown': lambda p, d: os.lchown(p, 1, 1),
    'truncate': lambda p, d: os.truncate(p, 0),
    'utimensat': lambda p, d: os.utime(p, (1, 1)),
    'stat': lambda p, d: os.stat(p),
    'lstat': lambda p, d: os.lstat(p),
    'access': lambda p, d: os.stat(p) and os.access(p, os.R_OK),
    'readlink': lambda p, d: os.readlink(p),
    'opendir': lambda p, d: os.listdir(p),
    'getxattr': lambda p, d: os.getxattr(p, 'user.x'),
    'setxattr': lambda p, d: os.setxattr(p, 'user.x', b'1'),
    'listxattr': lambda p, d: os.listxattr(p),
    'statfs': lambda p, d: os.statvfs(p),
}
MAKES = {'open(O_CREAT)', 'mkdir', 'mkfifo', 'mknod', 'symlink', 'link to', 'rename to',
         'rename with a flag to'}
NOFOLLOW = {'lstat', 'lchown', 'readlink', 'unlink', 'rmdir', 'symlink', 'mkdir', 'mkfifo',
            'mknod', 'link to', 'link from', 'rename to', 'rename from', 'rename with a flag to'}


def good(folder):
    put(f'{folder}/good', b'good')


@cases('{0} gives ENOENT when a directory on the way is missing', [(c,) for c in CALLS])
def missing_prefix(folder, call):
    good(folder)
    raises('ENOENT', CALLS[call], f'{folder}/missing/x', folder)


@cases('{0} gives ENOENT when the last component is missing',
       [(c,) for c in CALLS if c not in MAKES])
def missing_last(folder, call):
    good(folder)
    raises('ENOENT', CALLS[call], f'{folder}/missing', folder)


@cases('{0} gives ENOTDIR when a component on the way is a file', [(c,) for c in CALLS])
def file_on_the_way(folder, call):
    good(folder)
    put(f'{folder}/file')
    raises('ENOTDIR', CALLS[call], f'{folder}/file/x', folder)


@cases('{0} gives ENAMETOOLONG for a name of 256 bytes', [(c,) for c in CALLS])
def long_name(folder, call):
    good(folder)
    raises('ENAMETOOLONG', CALLS[call], f'{folder}/{"n" * 256}', folder)


@cases('{0} gives ENAMETOOLONG for a path of 4096 bytes', [(c,) for c in CALLS])
def long_path(folder, call):
    good(folder)
    path = (folder + '/./' + './' * 2048)[:4095] + 'x'
    raises('ENAMETOOLONG', CALLS[call], path, folder)


@cases('{0} gives ELOOP when a symlink on the way points to itself', [(c,) for c in CALLS])
def loop_on_the_way(folder, call):
    good(folder)
    os.symlink('loop', f'{folder}/loop')
    raises('ELOOP', CALLS[call], f'{folder}/loop/x', folder)


@cases('{0} gives ELOOP when its last component is a loop of symlinks',
       [(c,) for c in CALLS if c not in NOFOLLOW])
def loop_last(folder, call):
    good(folder)
    os.symlink('b', f'{folder}/a')
    os.symlink('a', f'{folder}/b')
    raises('ELOOP', CALLS[call], f'{folder}/a', folder)


@cases('{0} gives EACCES when a directory on the way may not be searched', [(c,) for c in CALLS])
def no_search(folder, call):
    put(f'{folder}/good', mode=0o666)
    os.chown(f'{folder}/good', NOBODY, NOBODY)
    os.mkdir(f'{folder}/shut', 0o777)
    put(f'{folder}/shut/x', mode=0o666)
    os.chmod(f'{folder}/shut', 0o600)
    as_user(NOBODY, lambda: raises('EACCES', CALLS[call], f'{folder}/shut/x', folder))


@cases('{0} gives EACCES when the directory may not be written',
       [(c,) for c in sorted(MAKES | {'unlink', 'rename from'})])
def no_write_in_directory(folder, call):
    put(f'{folder}/good', mode=0o666)
    os.chown(f'{folder}/good', NOBODY, NOBODY)
    os.mkdir(f'{folder}/shut', 0o777)
    if call not in MAKES:
        put(f'{folder}/shut/x', mode=0o666)
    os.chmod(f'{folder}/shut', 0o555)
    as_user(NOBODY, lambda: raises('EACCES', CALLS[call], f'{folder}/shut/x', folder))


@case('rmdir gives EACCES when the parent may not be written')
def rmdir_no_write(folder):
    os.makedirs(f'{folder}/shut/x', 0o777)
    os.chmod(f'{folder}/shut', 0o555)
    as_user(NOBODY, lambda: raises('EACCES', os.rmdir, f'{folder}/shut/x'))


@cases('{0} gives EEXIST for a name that a {1} has', [
    (call, kind) for call in ('mkdir', 'mkfifo', 'mknod', 'symlink', 'link to')
    for kind in ('file', 'directory', 'symlink', 'dangling symlink', 'fifo', 'socket', 'device')])
def exists(folder, call, kind):
    good(folder)
    make(kind, f'{folder}/taken')
    raises('EEXIST', CALLS[call], f'{folder}/taken', folder)
    raises('EEXIST', os.open, f'{folder}/taken', os.O_CREAT | os.O_EXCL | os.O_RDWR)
    raises('EEXIST', renameat2, f'{folder}/good', f'{folder}/taken', 1)


def make(kind, path):
    """Makes a file-system object of a named kind."""
    if kind == 'file':
        put(path, b'f')
    elif kind == 'directory':
        os.mkdir(path)
    elif kind == 'full directory':
        os.mkdir(path)
        put(f'{path}/child')
    elif kind == 'symlink':
        os.symlink('good', path)
    elif kind == 'dangling symlink':
        os.symlink('nowhere', path)
    elif kind == 'fifo':
        os.mkfifo(path)
    elif kind == 'socket':
        os.mknod(path, stat.S_IFSOCK | 0o644)
    elif kind == 'device':
        os.mknod(path, stat.S_IFCHR | 0o644, os.makedev(1, 3))
    else:
        raise AssertionError(kind)


@cases('open for {1} of a file with mode {0:o} by its owner is {2}', [
    (mode, how, 'allowed' if mode & need == need else 'refused')
    for mode in (0o000, 0o100, 0o200, 0o300, 0o400, 0o500, 0o600, 0o700, 0o077)
    for how, need in (('reading', 0o400), ('writing', 0o200), ('both', 0o600))])
def owner_access(folder, mode, how, outcome):
    path = put(f'{folder}/f', mode=mode)
    os.chown(path, NOBODY, NOBODY)
    open_as(NOBODY, path, how, outcome)


@cases('open for {1} of a file with mode {0:o} by a member of its group is {2}', [
    (mode, how, 'allowed' if mode & need == need else 'refused')
    for mode in (0o000, 0o020, 0o040, 0o060, 0o707)
    for how, need in (('reading', 0o040), ('writing', 0o020), ('both', 0o060))])
def group_access(folder, mode, how, outcome):
    path = put(f'{folder}/f', mode=mode)
    os.chown(path, OTHER, NOBODY)
    open_as(NOBODY, path, how, outcome)


@cases('open for {1} of a file with mode {0:o} by a stranger is {2}', [
    (mode, how, 'allowed' if mode & need == need else 'refused')
    for mode in (0o000, 0o002, 0o004, 0o006, 0o770)
    for how, need in (('reading', 0o004), ('writing', 0o002), ('both', 0o006))])
def other_access(folder, mode, how, outcome):
    path = put(f'{folder}/f', mode=mode)
    os.chown(path, OTHER, OTHER)
    open_as(NOBODY, path, how, outcome)


def open_as(uid, path, how, outcome):
    flags = {'reading': os.O_RDONLY, 'writing': os.O_WRONLY, 'both': os.O_RDWR}[how]
    if outcome == 'allowed':
        as_user(uid, lambda: os.close(os.open(path, flags)))
    else:
        as_user(uid, lambda: raises('EACCES', os.open, path, flags))


@case('open of a directory for writing gives EISDIR')
def open_directory_for_writing(folder):
    raises('EISDIR', os.open, folder, os.O_WRONLY)
    raises('EISDIR', os.open, folder, os.O_RDWR)
    raises('EISDIR', os.open, folder, os.O_RDONLY | os.O_CREAT)


@case('O_DIRECTORY on a file gives ENOTDIR and O_NOFOLLOW on a symlink gives ELOOP')
def directory_and_nofollow(folder):
    good(folder)
    os.symlink('good', f'{folder}/link')
    raises('ENOTDIR', os.open, f'{folder}/good', os.O_RDONLY | os.O_DIRECTORY)
    raises('ELOOP', os.open, f'{folder}/link', os.O_RDONLY | os.O_NOFOLLOW)


@case('truncate of a directory gives EISDIR and a negative length EINVAL')
def truncate_errors(folder):
    good(folder)
    raises('EISDIR', os.truncate, folder, 0)
    raises('EINVAL', os.truncate, f'{folder}/good', -1)
    equal(get(f'{folder}/good'), b'good')


@case('readlink of what is no symlink gives EINVAL')
def readlink_of_a_file(folder):
    good(folder)
    raises('EINVAL', os.readlink, f'{folder}/good')
    raises('EINVAL', os.readlink, folder)


@case('a FIFO opened for writing without a reader gives ENXIO and a socket ENXIO')
def fifo_without_reader(folder):
    os.mkfifo(f'{folder}/fifo')
    make('socket', f'{folder}/socket')
    raises('ENXIO', os.open, f'{folder}/fifo', os.O_WRONLY | os.O_NONBLOCK)
    raises('ENXIO', os.open, f'{folder}/socket', os.O_RDONLY)


@case('executing a running program for writing gives ETXTBSY')
def text_busy(folder):
    path = put(f'{folder}/sleep', get('/bin/sleep'), 0o755)
    import subprocess
    child = subprocess.Popen([path, '20'])
    try:
        raises('ETXTBSY', os.open, path, os.O_WRONLY)
        raises('ETXTBSY', os.truncate, path, 0)
    finally:
        child.kill()
        child.wait()
    put(path, b'#!/bin/sh\n', 0o755)
