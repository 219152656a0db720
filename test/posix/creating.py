"""open, mkdir, mknod, mkfifo, symlink, link, O_TMPFILE: what is made, with which attributes."""
import os
import stat

from lib import (AT_FDCWD, NOBODY, OTHER, as_user, case, cases, changes, check, equal, get, libc,
                 perm, put, raises)


@cases('{0} makes mode {1:o} under umask {2:o}', [
    (call, mode, mask) for call in ('open', 'mkdir', 'mkfifo', 'mknod')
    for mode, mask in ((0o777, 0), (0o755, 0o022), (0o777, 0o077), (0o151, 0o131), (0o666, 0o777))])
def modes(folder, call, mode, mask):
    path = f'{folder}/x'
    old = os.umask(mask)
    try:
        if call == 'open':
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, mode))
        elif call == 'mkdir':
            os.mkdir(path, mode)
        elif call == 'mkfifo':
            os.mkfifo(path, mode)
        else:
            os.mknod(path, stat.S_IFREG | mode)
    finally:
        os.umask(old)
    equal(perm(path), mode & ~mask, 'mode')


@cases('what {0} makes belongs to the caller', ['open', 'mkdir', 'mkfifo', 'symlink'])
def owner(folder, call):
    make = {'open': lambda p: os.close(os.open(p, os.O_CREAT | os.O_WRONLY)),
            'mkdir': os.mkdir, 'mkfifo': os.mkfifo, 'symlink': lambda p: os.symlink('t', p)}[call]
    as_user(NOBODY, lambda: make(f'{folder}/x'), gid=OTHER)
    found = os.lstat(f'{folder}/x')
    equal((found.st_uid, found.st_gid), (NOBODY, OTHER))


@cases('what {0} makes in a set-group-id directory belongs to its group',
       ['open', 'mkdir', 'mkfifo', 'symlink'])
def setgid_inheritance(folder, call):
    os.chown(folder, NOBODY, OTHER)
    os.chmod(folder, 0o2777)
    make = {'open': lambda p: os.close(os.open(p, os.O_CREAT | os.O_WRONLY, 0o755)),
            'mkdir': lambda p: os.mkdir(p, 0o755), 'mkfifo': os.mkfifo,
            'symlink': lambda p: os.symlink('t', p)}[call]
    as_user(NOBODY, lambda: make(f'{folder}/x'))
    equal(os.lstat(f'{folder}/x').st_gid, OTHER)
    if call == 'mkdir':
        equal(perm(f'{folder}/x'), 0o2755, 'a new directory keeps set-group-id:')
        os.mkdir(f'{folder}/x/y', 0o755)
        equal(perm(f'{folder}/x/y'), 0o2755)
    elif call == 'open':
        equal(perm(f'{folder}/x'), 0o755)


@cases('{0} moves mtime and ctime of the parent, and the new object has current times',
       ['open', 'mkdir', 'mkfifo', 'mknod', 'symlink', 'link'])
def parent_times(folder, call):
    put(f'{folder}/old')
    make = {'open': lambda p: os.close(os.open(p, os.O_CREAT | os.O_WRONLY)),
            'mkdir': os.mkdir, 'mkfifo': os.mkfifo, 'mknod': os.mknod,
            'symlink': lambda p: os.symlink('t', p),
            'link': lambda p: os.link(f'{folder}/old', p)}[call]
    changes(folder, lambda: make(f'{folder}/x'), 'mtime', 'ctime')
    parent, made = os.lstat(folder), os.lstat(f'{folder}/x')
    assert abs(parent.st_mtime_ns - made.st_ctime_ns) < 2_000_000_000, 'times far apart'


@case('open with O_CREAT of an existing file changes neither its mode nor its parent')
def creat_existing(folder):
    put(f'{folder}/x', b'kept', 0o640)
    changes(folder, lambda: os.close(os.open(f'{folder}/x', os.O_CREAT | os.O_RDWR, 0o777)))
    equal((perm(f'{folder}/x'), get(f'{folder}/x')), (0o640, b'kept'))


@case('open with mode 0444 and O_RDWR gives a writable descriptor to its maker')
def readonly_mode_writable(folder):
    def write():
        fd = os.open(f'{folder}/x', os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o444)
        os.write(fd, b'data')
        os.close(fd)
    as_user(NOBODY, write)
    equal(get(f'{folder}/x'), b'data')


@case('O_TRUNC empties a file and moves its times')
def trunc(folder):
    path = put(f'{folder}/x', b'12345')
    changes(path, lambda: os.close(os.open(path, os.O_WRONLY | os.O_TRUNC)), 'mtime', 'ctime')
    equal(os.stat(path).st_size, 0)


@case('open through a dangling symlink with O_CREAT makes the target; with O_EXCL it does not')
def create_through_symlink(folder):
    os.symlink('target', f'{folder}/link')
    raises('EEXIST', os.open, f'{folder}/link', os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.close(os.open(f'{folder}/link', os.O_CREAT | os.O_WRONLY))
    assert stat.S_ISREG(os.lstat(f'{folder}/target').st_mode)


@cases('mknod makes a {0}', ['file', 'fifo', 'socket', 'character device', 'block device'])
def kinds(folder, kind):
    bits, device = {'file': (stat.S_IFREG, 0), 'fifo': (stat.S_IFIFO, 0),
                    'socket': (stat.S_IFSOCK, 0),
                    'character device': (stat.S_IFCHR, os.makedev(1, 3)),
                    'block device': (stat.S_IFBLK, os.makedev(259, 70000))}[kind]
    os.mknod(f'{folder}/x', bits | 0o640, device)
    found = os.lstat(f'{folder}/x')
    equal((stat.S_IFMT(found.st_mode), perm(f'{folder}/x'), found.st_rdev), (bits, 0o640, device))
    equal(found.st_nlink, 1)
    if kind == 'character device':
        with open(f'{folder}/x', 'wb') as null:
            null.write(b'gone')


@cases('mknod of a {0} by an ordinary user is {1}',
       [('character device', 'refused'), ('block device', 'refused'), ('fifo', 'allowed'),
        ('socket', 'allowed'), ('file', 'allowed')])
def mknod_privilege(folder, kind, outcome):
    bits = {'character device': stat.S_IFCHR, 'block device': stat.S_IFBLK,
            'fifo': stat.S_IFIFO, 'socket': stat.S_IFSOCK, 'file': stat.S_IFREG}[kind]

    def make():
        os.mknod(f'{folder}/x', bits | 0o600, os.makedev(1, 3) if outcome == 'refused' else 0)
    if outcome == 'refused':
        as_user(NOBODY, lambda: raises('EPERM', make))
    else:
        as_user(NOBODY, make)


@case('bytes go through a FIFO of the file system')
def fifo_data(folder):
    os.mkfifo(f'{folder}/fifo')
    reader = os.open(f'{folder}/fifo', os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(f'{folder}/fifo', os.O_WRONLY)
    os.write(writer, b'through')
    equal(os.read(reader, 100), b'through')
    os.close(reader)
    os.close(writer)


@case('a Unix socket can be bound and reached in the file system')
def unix_socket(folder):
    import socket
    os.chdir(folder)
    server = socket.socket(socket.AF_UNIX)
    server.bind('s')
    assert stat.S_ISSOCK(os.lstat('s').st_mode)
    server.listen(1)
    client = socket.socket(socket.AF_UNIX)
    client.connect('s')
    client.send(b'hello')
    equal(server.accept()[0].recv(10), b'hello')


@cases('a symlink to a text of {0} bytes gives it back exactly', [1, 59, 60, 255, 1024, 4095])
def symlink_lengths(folder, length):
    text = ('t/' * 2048)[:length]
    os.symlink(text, f'{folder}/link')
    equal(os.readlink(f'{folder}/link'), text)
    equal(os.lstat(f'{folder}/link').st_size, length, 'size')
    assert stat.S_ISLNK(os.lstat(f'{folder}/link').st_mode)


@case('a symlink of 4096 bytes gives ENAMETOOLONG and an empty one ENOENT')
def symlink_errors(folder):
    raises('ENAMETOOLONG', os.symlink, 'x' * 4096, f'{folder}/link')
    raises('ENOENT', os.symlink, '', f'{folder}/link')


@case('symlink texts that are not UTF-8 are kept exactly')
def symlink_bytes(folder):
    text = b'\xff\xfe/\x80 \n\\'
    os.symlink(text, os.fsencode(folder) + b'/link')
    equal(os.readlink(os.fsencode(folder) + b'/link'), text)


@case('link counts follow link and unlink, and all names show one file')
def link_counts(folder):
    first = put(f'{folder}/a', b'data')
    os.mkdir(f'{folder}/d')
    os.link(first, f'{folder}/b')
    os.link(first, f'{folder}/d/c')
    equal([os.lstat(f'{folder}/{n}').st_nlink for n in ('a', 'b', 'd/c')], [3, 3, 3])
    equal(len({os.lstat(f'{folder}/{n}').st_ino for n in ('a', 'b', 'd/c')}), 1, 'inodes')
    put(f'{folder}/b', b'changed', 0o600)
    equal((get(first), perm(f'{folder}/d/c')), (b'changed', 0o600))
    os.unlink(first)
    equal(os.lstat(f'{folder}/b').st_nlink, 2)
    os.unlink(f'{folder}/b')
    equal((os.lstat(f'{folder}/d/c').st_nlink, get(f'{folder}/d/c')), (1, b'changed'))


@case('link moves ctime of the file, not its mtime')
def link_times(folder):
    path = put(f'{folder}/a')
    changes(path, lambda: os.link(path, f'{folder}/b'), 'ctime')


@case('a hard link to a directory gives EPERM, even for root')
def link_directory(folder):
    os.mkdir(f'{folder}/d')
    raises('EPERM', os.link, f'{folder}/d', f'{folder}/e')


@case('link does not follow a symlink: the symlink itself gets the second name')
def link_symlink(folder):
    put(f'{folder}/target')
    os.symlink('target', f'{folder}/link')
    os.link(f'{folder}/link', f'{folder}/second', follow_symlinks=False)
    equal((os.readlink(f'{folder}/second'), os.lstat(f'{folder}/second').st_nlink), ('target', 2))


@cases('a {0} can have two names', ['fifo', 'socket', 'device'])
def link_special(folder, kind):
    bits = {'fifo': stat.S_IFIFO, 'socket': stat.S_IFSOCK, 'device': stat.S_IFCHR}[kind]
    os.mknod(f'{folder}/a', bits | 0o600, os.makedev(1, 3) if kind == 'device' else 0)
    os.link(f'{folder}/a', f'{folder}/b')
    equal(os.lstat(f'{folder}/a').st_nlink, 2)


@case('1,000 hard links to one file')
def many_links(folder):
    path = put(f'{folder}/a')
    for i in range(1000):
        os.link(path, f'{folder}/l{i}')
    equal(os.lstat(path).st_nlink, 1001)
    for i in range(1000):
        os.unlink(f'{folder}/l{i}')
    equal(os.lstat(path).st_nlink, 1)


def give_name(fd, path):
    """linkat with AT_SYMLINK_FOLLOW, as open(2) shows it; Python's os.link follows nothing."""
    source = os.fsencode(f'/proc/self/fd/{fd}')
    check(libc.linkat(AT_FDCWD, source, AT_FDCWD, os.fsencode(path), 0x400))


@case('an O_TMPFILE file has no name, can be written, and gets one by linkat')
def tmpfile(folder):
    fd = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o640)
    equal((os.fstat(fd).st_nlink, os.listdir(folder)), (0, []))
    os.write(fd, b'body')
    give_name(fd, f'{folder}/named')
    equal((os.fstat(fd).st_nlink, get(f'{folder}/named')), (1, b'body'))
    os.write(fd, b'+more')
    os.close(fd)
    equal((get(f'{folder}/named'), perm(f'{folder}/named')), (b'body+more', 0o640))


@case('an O_TMPFILE file made with O_EXCL gets no name, and goes with its descriptor')
def tmpfile_exclusive(folder):
    fd = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o600)
    raises('ENOENT', give_name, fd, f'{folder}/named')
    os.pwrite(fd, b'x' * 100_000, 5)
    equal(os.pread(fd, 10, 0), b'\0' * 5 + b'x' * 5)
    os.close(fd)
    equal(os.listdir(folder), [])
