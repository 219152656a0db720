"""Listing: every entry once, seeks, changes meanwhile, odd names, depth."""
import ctypes
import os
import stat

from lib import case, cases, check, equal, get, libc, put, raises

libc.opendir.restype = ctypes.c_void_p
libc.readdir.restype = ctypes.c_void_p
libc.telldir.restype = ctypes.c_long


class Dirent(ctypes.Structure):
    _fields_ = [('ino', ctypes.c_uint64), ('off', ctypes.c_int64), ('reclen', ctypes.c_ushort),
                ('type', ctypes.c_ubyte), ('name', ctypes.c_char * 256)]


class Stream:
    """opendir, readdir, telldir, seekdir, rewinddir of the C library."""

    def __init__(self, path):
        self.handle = ctypes.c_void_p(libc.opendir(os.fsencode(path)))
        if not self.handle:
            check(-1)

    def next(self):
        entry = libc.readdir(self.handle)
        if not entry:
            return None
        return ctypes.string_at(entry + 19)

    def rest(self):
        names = []
        while (name := self.next()) is not None:
            names.append(name)
        return names

    def tell(self):
        return libc.telldir(self.handle)

    def seek(self, place):
        libc.seekdir(self.handle, ctypes.c_long(place))

    def rewind(self):
        libc.rewinddir(self.handle)

    def close(self):
        libc.closedir(self.handle)


def fill(folder, count):
    for i in range(count):
        os.close(os.open(f'{folder}/f{i:05}', os.O_CREAT | os.O_WRONLY))


@case('a listing has every entry once, "." and ".." among them, with kinds and inode numbers')
def complete(folder):
    os.mkdir(f'{folder}/d')
    put(f'{folder}/f')
    os.symlink('f', f'{folder}/l')
    os.mkfifo(f'{folder}/p')
    stream = Stream(folder)
    equal(sorted(stream.rest()), [b'.', b'..', b'd', b'f', b'l', b'p'])
    stream.close()
    for entry in os.scandir(folder):
        found = os.lstat(entry.path)
        equal(entry.inode(), found.st_ino, entry.name)
        equal(entry.is_dir(follow_symlinks=False), stat.S_ISDIR(found.st_mode))
        equal(entry.is_symlink(), stat.S_ISLNK(found.st_mode))


@case('a directory of 10,000 entries lists each once while half of them are removed')
def concurrent_unlink(folder):
    fill(folder, 10_000)
    stream = Stream(folder)
    seen = [stream.next() for _ in range(100)]
    for i in range(0, 10_000, 2):
        os.unlink(f'{folder}/f{i:05}')
    seen += stream.rest()
    stream.close()
    names = [name for name in seen if name not in (b'.', b'..')]
    equal(len(names), len(set(names)), 'names seen twice')
    kept = {f'f{i:05}'.encode() for i in range(1, 10_000, 2)}
    equal(kept - set(names), set(), 'names not seen')
    equal(len(os.listdir(folder)), 5000)


@case('removing every entry while listing, as rm -r does, empties the directory')
def remove_while_listing(folder):
    fill(folder, 3000)
    stream = Stream(folder)
    while (name := stream.next()) is not None:
        if name not in (b'.', b'..'):
            os.unlink(os.fsencode(folder) + b'/' + name)
    stream.close()
    equal(os.listdir(folder), [])


@case('entries made while listing disturb no other entry')
def create_while_listing(folder):
    fill(folder, 2000)
    stream = Stream(folder)
    seen = [stream.next() for _ in range(50)]
    for i in range(2000):
        os.close(os.open(f'{folder}/new{i:05}', os.O_CREAT | os.O_WRONLY))
    seen += stream.rest()
    stream.close()
    old = [name for name in seen if name.startswith(b'f')]
    equal((len(old), len(set(old))), (2000, 2000))
    equal(len(seen), len(set(seen)), 'names seen twice')


@case('seekdir goes back to where telldir was, also after other entries went')
def seek(folder):
    fill(folder, 1000)
    stream = Stream(folder)
    for _ in range(300):
        stream.next()
    place = stream.tell()
    rest = stream.rest()
    stream.seek(place)
    equal(stream.rest(), rest)
    doomed = [name for name in rest[200:300]]
    for name in doomed:
        os.unlink(os.fsencode(folder) + b'/' + name)
    stream.seek(place)
    again = stream.rest()
    equal([name for name in again if name not in doomed],
          [name for name in rest if name not in doomed])
    stream.close()


@case('seekdir to each place gives the entry that came there')
def seek_each(folder):
    fill(folder, 100)
    stream = Stream(folder)
    places = []
    while True:
        place = stream.tell()
        name = stream.next()
        if name is None:
            break
        places.append((place, name))
    for place, name in places[::7]:
        stream.seek(place)
        equal(stream.next(), name)
    stream.close()


@case('rewinddir shows what has been made and removed since')
def rewind(folder):
    put(f'{folder}/a')
    stream = Stream(folder)
    stream.rest()
    put(f'{folder}/b')
    os.unlink(f'{folder}/a')
    stream.rewind()
    equal(sorted(stream.rest()), [b'.', b'..', b'b'])
    stream.close()


@cases('the name {0} is kept exactly', [
    (repr(name)[2:-1], name) for name in (
        b'\xff\xfe\x80', b'caf\xc3\xa9', b'cafe\xcc\x81', b'new\nline', b'\x01\x7f', b' ', b'-rf',
        b'a\\b', b'...', b'.hidden', b'*?[', b'\xed\xa0\x80', b'\xf0\x9f\x98\x80', b"'\"$(x)",
        b'x' * 255, b'\xc3\xa9' * 127 + b'x', b'COM1.', b'.fuse_hidden0001', b'name (conflict)')])
def exact_names(folder, _label, name):
    path = os.fsencode(folder) + b'/' + name
    put(path, name)
    equal(os.listdir(os.fsencode(folder)), [name])
    equal(get(path), name)
    os.rename(path, os.fsencode(folder) + b'/moved')
    os.rename(os.fsencode(folder) + b'/moved', path)
    os.unlink(path)
    os.mkdir(path)
    put(path + b'/in')
    equal(os.listdir(path), [b'in'])


@case('names that differ only in case or in Unicode form are different files')
def distinct_names(folder):
    names = [b'a', b'A', 'é'.encode(), 'e\u0301'.encode(), 'ß'.encode(), b'ss', b'SS']
    for name in names:
        put(os.fsencode(folder) + b'/' + name, name)
    equal(sorted(os.listdir(os.fsencode(folder))), sorted(names))
    for name in names:
        equal(get(os.fsencode(folder) + b'/' + name), name)


@case('a path of 4,095 bytes works, and a tree deeper than that is reached step by step')
def deep(folder):
    name = 'd' * 200
    path = folder
    while len(path) + 201 < 4000:
        path = f'{path}/{name}'
        os.mkdir(path)
    last = f'{path}/{"f" * (4095 - len(path) - 1)}' if 4095 - len(path) - 1 <= 255 else None
    if last is None:
        path = f'{path}/{"e" * (4095 - len(path) - 102)}'
        os.mkdir(path)
        last = f'{path}/{"f" * (4095 - len(path) - 1)}'
    equal(len(last), 4095)
    put(last, b'deep')
    equal(get(last), b'deep')
    raises('ENAMETOOLONG', os.stat, last + 'f')
    os.chdir(path)
    for _ in range(30):
        os.mkdir(name)
        os.chdir(name)
    put('bottom', b'very deep')
    equal(get('bottom'), b'very deep')
    for _ in range(30):
        os.chdir('..')
    equal(os.stat('.').st_ino, os.stat(path).st_ino)


@case('500 nested directories can be made, listed and removed')
def nested(folder):
    os.chdir(folder)
    for _ in range(500):
        os.mkdir('n')
        os.chdir('n')
    for _ in range(500):
        os.chdir('..')
        os.rmdir('n')
    equal(os.listdir(folder), [])


@case('a directory of 20,000 entries keeps each one findable after renames and removals')
def large(folder):
    fill(folder, 20_000)
    for i in range(0, 20_000, 3):
        os.rename(f'{folder}/f{i:05}', f'{folder}/g{i:05}')
    for i in range(1, 20_000, 3):
        os.unlink(f'{folder}/f{i:05}')
    equal(len(os.listdir(folder)), 20_000 - len(range(1, 20_000, 3)))
    for i in range(0, 20_000, 997):
        exists = {0: 'g', 2: 'f'}.get(i % 3)
        equal([n for n in 'fg' if os.path.exists(f'{folder}/{n}{i:05}')],
              [exists] if exists else [])
