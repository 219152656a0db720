"""unlink and rmdir: what goes, what stays while it is open, sticky directories."""
import os
import stat

from lib import (NOBODY, OTHER, as_user, case, cases, changes, equal, get, put, raises)


@case('unlink of a directory gives EISDIR and rmdir of a file ENOTDIR')
def wrong_kind(folder):
    os.mkdir(f'{folder}/d')
    put(f'{folder}/f')
    os.symlink('d', f'{folder}/link')
    raises('EISDIR|EPERM', os.unlink, f'{folder}/d')
    raises('ENOTDIR', os.rmdir, f'{folder}/f')
    raises('ENOTDIR', os.rmdir, f'{folder}/link')


@cases('rmdir of a directory that holds a {0} gives ENOTEMPTY',
       ['file', 'directory', 'symlink', 'fifo'])
def not_empty(folder, kind):
    os.mkdir(f'{folder}/d')
    {'file': put, 'directory': os.mkdir, 'fifo': os.mkfifo,
     'symlink': lambda p: os.symlink('t', p)}[kind](f'{folder}/d/x')
    raises('ENOTEMPTY|EEXIST', os.rmdir, f'{folder}/d')
    (os.rmdir if kind == 'directory' else os.unlink)(f'{folder}/d/x')
    os.rmdir(f'{folder}/d')
    raises('ENOENT', os.lstat, f'{folder}/d')


@case('rmdir of "." gives EINVAL and of ".." ENOTEMPTY')
def rmdir_dots(folder):
    os.mkdir(f'{folder}/d')
    raises('EINVAL', os.rmdir, f'{folder}/d/.')
    raises('ENOTEMPTY|EEXIST', os.rmdir, f'{folder}/d/..')


@case('unlink and rmdir move mtime and ctime of the parent')
def parent_times(folder):
    put(f'{folder}/f')
    os.mkdir(f'{folder}/d')
    changes(folder, lambda: os.unlink(f'{folder}/f'), 'mtime', 'ctime')
    changes(folder, lambda: os.rmdir(f'{folder}/d'), 'mtime', 'ctime')


@case('a failed unlink or rmdir changes no times')
def failed_times(folder):
    os.makedirs(f'{folder}/d/x')
    changes(folder, lambda: raises('ENOTEMPTY|EEXIST', os.rmdir, f'{folder}/d'))
    changes(folder, lambda: raises('ENOENT', os.unlink, f'{folder}/none'))


@case('unlink of one of two names moves ctime of the file')
def link_ctime(folder):
    put(f'{folder}/a')
    os.link(f'{folder}/a', f'{folder}/b')
    changes(f'{folder}/a', lambda: os.unlink(f'{folder}/b'), 'ctime')


@case('a file that is unlinked while open keeps its data, size and attributes')
def unlinked_open(folder):
    path = put(f'{folder}/x', b'before')
    fd = os.open(path, os.O_RDWR)
    os.unlink(path)
    raises('ENOENT', os.stat, path)
    equal((os.fstat(fd).st_nlink, os.fstat(fd).st_size), (0, 6))
    os.pwrite(fd, b'AFTER', 6)
    os.ftruncate(fd, 9)
    os.fchmod(fd, 0o600)
    os.fchown(fd, 5, 6)
    os.fsync(fd)
    equal(os.pread(fd, 100, 0), b'beforeAFT')
    found = os.fstat(fd)
    equal((stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid), (0o600, 5, 6))
    put(path, b'new file')
    equal(os.pread(fd, 100, 0), b'beforeAFT')
    os.close(fd)
    equal(get(path), b'new file')


@case('a file unlinked while two descriptors are open lives until the last is closed')
def unlinked_two(folder):
    path = put(f'{folder}/x', b'data')
    first, second = os.open(path, os.O_RDONLY), os.open(path, os.O_RDWR)
    os.unlink(path)
    os.close(first)
    os.pwrite(second, b'DATA', 0)
    equal(os.pread(second, 10, 0), b'DATA')
    os.close(second)


@case('what replaced an open file by rename leaves the open one readable')
def replaced_open(folder):
    path = put(f'{folder}/x', b'old')
    fd = os.open(path, os.O_RDWR)
    os.rename(put(f'{folder}/y', b'new'), path)
    equal((os.pread(fd, 10, 0), get(path), os.fstat(fd).st_nlink), (b'old', b'new', 0))
    os.close(fd)


@case('a removed directory that is open or a working directory lists as empty and takes no names')
def removed_cwd(folder):
    os.mkdir(f'{folder}/d')
    os.chdir(f'{folder}/d')
    fd = os.open('.', os.O_RDONLY)
    os.rmdir(f'{folder}/d')
    equal(os.listdir(fd), [])
    raises('ENOENT', os.mkdir, 'child')
    raises('ENOENT', os.open, 'file', os.O_CREAT | os.O_WRONLY)
    raises('ENOENT', os.getcwd)
    os.close(fd)


@cases('in a sticky directory of {0}, unlink of a file of {1} by user {2} is {3}', [
    (d, f, u, 'allowed' if u in (d, f) or u == 0 else 'refused')
    for d in (NOBODY, OTHER) for f in (NOBODY, OTHER) for u in (0, NOBODY, OTHER)])
def sticky(folder, directory, file, user, outcome):
    os.mkdir(f'{folder}/s')
    os.chmod(f'{folder}/s', 0o1777)
    os.chown(f'{folder}/s', directory, directory)
    os.chown(put(f'{folder}/s/x', mode=0o666), file, file)
    os.mkdir(f'{folder}/s/d', 0o777)
    os.chown(f'{folder}/s/d', file, file)
    if outcome == 'allowed':
        as_user(user, lambda: (os.unlink(f'{folder}/s/x'), os.rmdir(f'{folder}/s/d')))
    else:
        as_user(user, lambda: raises('EPERM|EACCES', os.unlink, f'{folder}/s/x'))
        as_user(user, lambda: raises('EPERM|EACCES', os.rmdir, f'{folder}/s/d'))
        as_user(user, lambda: raises('EPERM|EACCES', os.rename, f'{folder}/s/x', f'{folder}/s/y'))


@case('a name can be used again at once for another kind of object')
def reuse(folder):
    path = f'{folder}/x'
    for _ in range(20):
        put(path, b'f')
        os.unlink(path)
        os.mkdir(path)
        equal(os.listdir(path), [])
        os.rmdir(path)
        os.symlink('t', path)
        equal(os.readlink(path), 't')
        os.unlink(path)
    equal(os.listdir(folder), [])


@case('directory link counts follow the subdirectories')
def directory_links(folder):
    equal(os.lstat(folder).st_nlink, 2)
    for name in 'abc':
        os.mkdir(f'{folder}/{name}')
    equal(os.lstat(folder).st_nlink, 5)
    os.rmdir(f'{folder}/a')
    os.rename(f'{folder}/b', f'{folder}/c/b')
    equal((os.lstat(folder).st_nlink, os.lstat(f'{folder}/c').st_nlink), (3, 3))
    put(f'{folder}/file')
    equal(os.lstat(folder).st_nlink, 3)
