"""Runs sequences of operations (operations.ts) on a mounted filesystem.

Standard input: {"root": folder, "sequences": [[op, ...], ...]}; sequence i works in root/i. Standard
output: {"results": [[result, ...], ...], "trees": [tree, ...]}. A result is null, a string of bytes
(latin1), a list of names, or {"errno": name}. With "only_trees" nothing is run.
"""
import ctypes
import errno
import hashlib
import json
import os
import stat
import sys

libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
libc.renameat2.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p,
                           ctypes.c_uint]
AT_FDCWD = -100


def check(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def data_of(length, seed):
    data = bytearray([seed]) * length
    for i in range(0, length, 512):
        data[i] = (seed + i // 512) & 255
    return bytes(data)


class Sequence:
    """One sequence, in a folder of its own."""

    def __init__(self, root):
        self.root = root
        self.handles = {}

    def path(self, op, key='path'):
        return os.path.join(self.root, op[key]) if op[key] else self.root

    def opened(self, op, work):
        fd = os.open(self.path(op), os.O_RDWR)
        try:
            return work(fd)
        finally:
            os.close(fd)

    def handle(self, op):
        if op['handle'] not in self.handles:
            raise OSError(errno.EBADF, 'no such handle')
        return self.handles[op['handle']]

    def keep(self, op, fd):
        old = self.handles.get(op['handle'])
        self.handles[op['handle']] = fd
        if old is not None:
            os.close(old)

    def run(self, op):
        return getattr(self, 'do_' + op['op'])(op)

    def do_create(self, op):
        os.close(os.open(self.path(op), os.O_RDWR | os.O_CREAT | os.O_EXCL, op['mode']))

    def do_mkdir(self, op):
        os.mkdir(self.path(op), op['mode'])

    def do_chmod(self, op):
        os.chmod(self.path(op), op['mode'])

    def do_unlink(self, op):
        os.unlink(self.path(op))

    def do_rmdir(self, op):
        os.rmdir(self.path(op))

    def do_fsync(self, op):
        self.opened(op, os.fsync)

    def do_list(self, op):
        return sorted(os.listdir(self.path(op)), key=lambda name: name.encode('utf-16-be'))

    def do_symlink(self, op):
        os.symlink(op['target'], self.path(op))

    def do_link(self, op):
        os.link(self.path(op), self.path(op, 'to'), follow_symlinks=False)

    def do_rename(self, op):
        source, target = os.fsencode(self.path(op)), os.fsencode(self.path(op, 'to'))
        check(libc.renameat2(AT_FDCWD, source, AT_FDCWD, target, op['flags']))

    def write(self, fd, op):
        if op['length']:
            os.pwrite(fd, data_of(op['length'], op['byte']), op['at'])

    def read(self, fd, op):
        return os.pread(fd, op['length'], op['at']).decode('latin1')

    def do_write(self, op):
        self.opened(op, lambda fd: self.write(fd, op))

    def do_read(self, op):
        return self.opened(op, lambda fd: self.read(fd, op))

    def do_truncate(self, op):
        os.truncate(self.path(op), op['size'])

    def do_allocate(self, op):
        self.opened(op, lambda fd: check(libc.fallocate(fd, op['mode'], op['at'], op['length'])))

    def do_utimes(self, op):
        ns = op['mtimeS'] * 10**9
        os.utime(self.path(op), ns=(ns, ns), follow_symlinks=False)

    def do_setxattr(self, op):
        os.setxattr(self.path(op), op['name'], op['value'].encode(), op['flags'])

    def do_removexattr(self, op):
        os.removexattr(self.path(op), op['name'])

    def do_open(self, op):
        self.keep(op, os.open(self.path(op), os.O_RDWR))

    def do_tmpfile(self, op):
        self.keep(op, os.open(self.path(op), os.O_RDWR | os.O_TMPFILE, 0o600))

    def do_hwrite(self, op):
        self.write(self.handle(op), op)

    def do_hread(self, op):
        return self.read(self.handle(op), op)

    def do_hlink(self, op):
        here = os.open('/proc/self/fd', os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.link(str(self.handle(op)), self.path(op, 'to'), src_dir_fd=here,
                    follow_symlinks=True)
        finally:
            os.close(here)

    def do_close(self, op):
        os.close(self.handle(op))
        del self.handles[op['handle']]


def outcome(sequence, op):
    try:
        return sequence.run(op)
    except OSError as error:
        return {'errno': errno.errorcode[error.errno]}


def tree(path):
    seen = os.lstat(path)
    node = {'mode': seen.st_mode, 'links': seen.st_nlink, 'size': seen.st_size,
            'mtimeNs': str(seen.st_mtime_ns),
            'xattrs': {name: os.getxattr(path, name, follow_symlinks=False).decode('latin1')
                       for name in sorted(os.listxattr(path, follow_symlinks=False))}}
    if stat.S_ISLNK(seen.st_mode):
        node['target'] = os.readlink(path)
    elif stat.S_ISREG(seen.st_mode):
        with open(path, 'rb') as file:
            node['sha'] = hashlib.sha256(file.read()).hexdigest()
    elif stat.S_ISDIR(seen.st_mode):
        node['children'] = {name: tree(os.path.join(path, name)) for name in os.listdir(path)}
    return node


def main():
    os.umask(0)
    task = json.load(sys.stdin)
    results, trees = [], []
    for i, operations in enumerate(task['sequences']):
        folder = os.path.join(task['root'], str(i))
        if not task.get('only_trees'):
            os.mkdir(folder, 0o755)
            sequence = Sequence(folder)
            results.append([outcome(sequence, op) for op in operations])
            for fd in sequence.handles.values():
                os.close(fd)
        trees.append(tree(folder))
    json.dump({'results': results, 'trees': trees}, sys.stdout)


main()
