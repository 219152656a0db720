"""Extended attributes: namespaces, flags, sizes, lists."""
import os

from errors import make
from lib import (NOBODY, as_user, case, cases, changes, equal, put, raises)


@cases('user xattrs on a {0} are set, read, listed, replaced and removed', ['file', 'directory'])
def basic(folder, kind):
    path = f'{folder}/x'
    make(kind, path)
    raises('ENODATA', os.getxattr, path, 'user.a')
    os.setxattr(path, 'user.a', b'1')
    os.setxattr(path, 'user.b', b'')
    os.setxattr(path, 'user.a', b'three')
    equal((os.getxattr(path, 'user.a'), os.getxattr(path, 'user.b')), (b'three', b''))
    equal(sorted(n for n in os.listxattr(path) if n.startswith('user.')), ['user.a', 'user.b'])
    os.removexattr(path, 'user.a')
    raises('ENODATA', os.removexattr, path, 'user.a')
    equal([n for n in os.listxattr(path) if n.startswith('user.')], ['user.b'])


@case('XATTR_CREATE gives EEXIST for one that is there, XATTR_REPLACE ENODATA for one that is not')
def flags(folder):
    path = put(f'{folder}/x')
    raises('ENODATA', os.setxattr, path, 'user.a', b'1', os.XATTR_REPLACE)
    os.setxattr(path, 'user.a', b'1', os.XATTR_CREATE)
    raises('EEXIST', os.setxattr, path, 'user.a', b'2', os.XATTR_CREATE)
    os.setxattr(path, 'user.a', b'3', os.XATTR_REPLACE)
    equal(os.getxattr(path, 'user.a'), b'3')


@cases('an xattr value of {0} bytes is kept exactly', [0, 1, 255, 1000, 3000])
def sizes(folder, size):
    path = put(f'{folder}/x')
    value = bytes(i * 7 % 256 for i in range(size))
    os.setxattr(path, 'user.value', value)
    equal(os.getxattr(path, 'user.value'), value)


@case('an xattr name of 255 bytes is kept, one of 256 gives ERANGE, a value over 64 KiB E2BIG')
def limits(folder):
    path = put(f'{folder}/x')
    name = 'user.' + 'n' * 250
    os.setxattr(path, name, b'v')
    assert name in os.listxattr(path)
    raises('ERANGE', os.setxattr, path, name + 'n', b'v')
    raises('E2BIG', os.setxattr, path, 'user.big', b'x' * 65537)


@case('a hundred xattrs on one file')
def many(folder):
    path = put(f'{folder}/x')
    for i in range(100):
        os.setxattr(path, f'user.n{i:03}', str(i).encode())
    equal(sorted(n for n in os.listxattr(path) if n.startswith('user.')),
          [f'user.n{i:03}' for i in range(100)])
    equal(os.getxattr(path, 'user.n057'), b'57')


@case('xattr names and values are bytes, and one file does not show those of another')
def exact(folder):
    one, two = put(f'{folder}/1'), put(f'{folder}/2')
    name = b'user.\xff\xfe name=\x01'
    os.setxattr(one, name, b'\0\xff\0')
    equal(os.getxattr(one, name), b'\0\xff\0')
    equal([n for n in os.listxattr(two) if n.startswith('user.')], [])


@case('setting an xattr moves ctime, not mtime')
def times(folder):
    path = put(f'{folder}/x')
    changes(path, lambda: os.setxattr(path, 'user.a', b'1'), 'ctime')
    changes(path, lambda: os.removexattr(path, 'user.a'), 'ctime')


@case('user xattrs are refused on symlinks and FIFOs with EPERM')
def refused_kinds(folder):
    for kind in ('dangling symlink', 'fifo', 'device'):
        make(kind, f'{folder}/{kind}')
        raises('EPERM', os.setxattr, f'{folder}/{kind}', 'user.a', b'1', follow_symlinks=False)


@case('user xattrs follow the permission to read and write')
def permissions(folder):
    path = put(f'{folder}/x', mode=0o600)
    os.setxattr(path, 'user.a', b'1')
    as_user(NOBODY, lambda: raises('EACCES', os.getxattr, path, 'user.a'))
    os.chmod(path, 0o644)
    as_user(NOBODY, lambda: os.getxattr(path, 'user.a'))
    as_user(NOBODY, lambda: raises('EACCES', os.setxattr, path, 'user.a', b'2'))


@case('trusted xattrs are root\'s alone, and an unknown namespace gives EOPNOTSUPP')
def namespaces(folder):
    path = put(f'{folder}/x', mode=0o666)
    os.setxattr(path, 'trusted.a', b'1')
    equal(os.getxattr(path, 'trusted.a'), b'1')
    as_user(NOBODY, lambda: raises('ENODATA|EPERM', os.getxattr, path, 'trusted.a'))
    as_user(NOBODY, lambda: raises('EPERM', os.setxattr, path, 'trusted.b', b'1'))
    raises('EOPNOTSUPP', os.setxattr, path, 'nothing.a', b'1')


@case('xattrs through an open and unlinked file')
def through_descriptor(folder):
    path = put(f'{folder}/x')
    fd = os.open(path, os.O_RDWR)
    os.setxattr(fd, 'user.a', b'1')
    os.unlink(path)
    equal(os.getxattr(fd, 'user.a'), b'1')
    os.setxattr(fd, 'user.b', b'2')
    equal(sorted(n for n in os.listxattr(fd) if n.startswith('user.')), ['user.a', 'user.b'])
    os.close(fd)


@case('security.capability is kept, and a write by another user removes it')
def capability(folder):
    path = put(f'{folder}/x', b'data', 0o777)
    value = bytes.fromhex('0100000200040000000000000000000000000000')
    os.setxattr(path, 'security.capability', value)
    equal(os.getxattr(path, 'security.capability'), value)

    def write():
        fd = os.open(path, os.O_WRONLY)
        os.write(fd, b'x')
        os.close(fd)
    as_user(NOBODY, write)
    raises('ENODATA', os.getxattr, path, 'security.capability')


@case('POSIX ACLs either work or are refused with EOPNOTSUPP, never kept without effect')
def acls(folder):
    path = put(f'{folder}/x', b'secret', 0o600)
    # version 2; user::rw-, user:65534:r--, group::---, mask::r--, other::---
    entries = ((1, 6, 0xffffffff), (2, 4, NOBODY), (4, 0, 0xffffffff), (16, 4, 0xffffffff),
               (32, 0, 0xffffffff))
    value = (2).to_bytes(4, 'little') + b''.join(
        tag.to_bytes(2, 'little') + bits.to_bytes(2, 'little') + who.to_bytes(4, 'little')
        for tag, bits, who in entries)
    try:
        os.setxattr(path, 'system.posix_acl_access', value)
    except OSError:
        raises('EOPNOTSUPP', os.setxattr, path, 'system.posix_acl_access', value)
        return
    as_user(NOBODY, lambda: os.close(os.open(path, os.O_RDONLY)))
