"""
What a person and their programs do in a mount, in a process of its own: run as
`agent.py DIRECTORY OPERATION ARGUMENTS`, the arguments and the answer being one JSON object.

Content is made of chunks `<id:length:payload>` whose payload follows from the id, so that it can be
told whether the content of each write is still somewhere, whole.
"""
import ctypes, errno, hashlib, json, os, random, re, signal, stat, sys, time

CHUNK = re.compile(rb'<([0-9a-f]{12}):(\d{1,7}):')
# Somebody cut the network or killed the daemon; or another device's change came in between.
PASSING = {errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.EHOSTUNREACH, errno.ETIMEDOUT,
           errno.EINTR, errno.ENODEV, errno.ECANCELED}
# What is so for the name by now: it was another a moment ago.
DEFINITE = {errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR,
            errno.EINVAL, errno.ESTALE, errno.EMLINK, errno.ENAMETOOLONG, errno.ELOOP}


def payload(name, length):
    return hashlib.shake_128(name.encode()).hexdigest((length + 1) // 2)[:length]


def chunk(name, length):
    return f'<{name}:{length}:{payload(name, length)}>'.encode()


def chunks_of(content):
    """(start, end, id) of each whole chunk."""
    found = []
    for match in CHUNK.finditer(content):
        name, length = match[1].decode(), int(match[2])
        end = match.end() + length + 1
        if content[match.start():end] == chunk(name, length):
            found.append((match.start(), end, name))
    return found


def read(path):
    with open(path, 'rb', buffering=0) as file:
        parts = []
        while part := file.read(1 << 20):
            parts.append(part)
        return b''.join(parts)


def enter(directory):
    """Makes the mount the working directory, so that nothing is ever written beside it."""
    os.chdir(directory)
    if os.stat('.').st_dev == os.stat(os.path.dirname(directory)).st_dev:
        raise OSError(errno.ENOTCONN, 'not mounted')


LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, RENAME_NOREPLACE = -100, 1


def rename_to_free(path, to):
    """A rename that replaces nothing, also when another device's file has just come there."""
    if LIBC.renameat2(AT_FDCWD, os.fsencode(path), AT_FDCWD, os.fsencode(to), RENAME_NOREPLACE):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path, None, to)


class Worker:
    """Random operations on whatever is there, as its own listings show it."""

    def __init__(self, seed, tag, depth=3):
        self.random = random.Random(seed)
        self.tag = tag
        self.depth = depth
        self.count = 0
        self.written, self.superseded, self.done, self.failed = [], [], {}, {}
        self.unexpected, self.log = [], []
        # Something may have been destroyed that came from elsewhere at that very moment.
        self.doubts = 0

    def note(self, *words):
        self.log.append(f'{time.time():.4f} ' + ' '.join(map(str, words)))

    def look(self):
        """Directories, files and symlinks, by paths from the mount's root."""
        dirs, files, links = ['.'], [], []
        for where in dirs:
            for entry in os.scandir(where):
                path = os.path.normpath(os.path.join(where, entry.name))
                if entry.is_dir(follow_symlinks=False):
                    dirs.append(path)
                elif entry.is_symlink():
                    links.append(path)
                else:
                    files.append(path)
        return dirs, files, links

    def fresh(self, length=None):
        self.count += 1
        name = hashlib.md5(f'{self.tag}:{self.count}'.encode()).hexdigest()[:12]
        if length is None:
            kind = self.random.random()
            top = 300 if kind < 0.75 else 20_000 if kind < 0.93 else 200_000
            length = self.random.randint(10, top)
        return name, chunk(name, length)

    def maybe_sync(self, fd):
        if self.random.random() < 0.5:
            os.fsync(fd)

    def unchanged(self, path):
        """Content of a file and a check, to be made at the last moment, that it is still that."""
        before = os.stat(path, follow_symlinks=False)
        content = read(path)

        def check():
            now = os.stat(path, follow_symlinks=False)
            same = (now.st_ino, now.st_size, now.st_mtime_ns)
            if same != (before.st_ino, before.st_size, before.st_mtime_ns):
                raise OSError(errno.ESTALE, 'another device changed it')
        check()
        return content, check

    def write(self, path, flags, data, name):
        fd = os.open(path, flags, 0o644)
        try:
            if os.write(fd, data) != len(data):
                raise OSError(errno.EIO, 'a short write')
            self.written.append(name)
            self.note('write', path, os.fstat(fd).st_ino, name)
            self.maybe_sync(fd)
        finally:
            os.close(fd)

    def change(self, path, expected, act):
        """Changes a file in place, and looks whether it was what it seemed to be."""
        try:
            act()
            if read(path) == expected:
                return
        except OSError as error:
            if error.errno in DEFINITE:
                raise
        self.doubts += 1

    def remove(self, path, kept, act):
        """
        Does what takes a file away. What it had at that moment, and not a moment before, is told by
        a descriptor of it.
        """
        fd = os.open(path, os.O_RDONLY)
        try:
            act()
            gone = {name for _, _, name in chunks_of(read(f'/proc/self/fd/{fd}'))}
            self.superseded.extend(gone - {name for _, _, name in chunks_of(kept)})
            self.note('remove', path, os.fstat(fd).st_ino, *gone)
        except OSError as error:
            self.doubts += error.errno not in DEFINITE
            raise
        finally:
            os.close(fd)

    def name(self, dirs, kind):
        where = self.random.choice(dirs)
        pool = 'abcdefgh' if kind == 'file' else 'ijkl'
        return os.path.normpath(os.path.join(where, f'{kind}-{self.random.choice(pool)}'))

    def op_create(self, dirs, files, links):
        name, data = self.fresh()
        self.write(self.name(dirs, 'file'), os.O_CREAT | os.O_EXCL | os.O_WRONLY, data, name)

    def op_append(self, dirs, files, links):
        name, data = self.fresh()
        self.write(self.random.choice(files), os.O_WRONLY | os.O_APPEND, data, name)

    def op_overwrite(self, dirs, files, links):
        path = self.random.choice(files)
        content, check = self.unchanged(path)
        start, end, old = self.random.choice(chunks_of(content))
        body = end - start - len(f'<{old}:{0}:>')
        length = next(n for n in range(body, body - 9, -1) if len(f'{n}') + n == body + 1)
        name, data = self.fresh(length)
        self.superseded.append(old)
        fd = os.open(path, os.O_WRONLY)
        try:
            check()
            self.note('overwrite', path, os.fstat(fd).st_ino, old, name)
            self.change(path, content[:start] + data + content[end:],
                        lambda: os.pwrite(fd, data, start))
            self.maybe_sync(fd)
        finally:
            os.close(fd)

    def op_truncate(self, dirs, files, links):
        path = self.random.choice(files)
        content, check = self.unchanged(path)
        found = chunks_of(content)
        cut = self.random.randrange(len(found))
        check()
        self.superseded.extend(name for _, _, name in found[cut:])
        self.note('truncate', path, *(name for _, _, name in found[cut:]))
        length = found[cut][0]
        self.change(path, content[:length], lambda: os.truncate(path, length))

    def op_save(self, dirs, files, links):
        """As an editor saves: the whole, written anew beside it and renamed over it."""
        path = self.random.choice(files)
        content, check = self.unchanged(path)
        name, data = self.fresh(40)
        aside = f'{path[:200]}.{name}~'
        self.write(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, content + data, name)
        check()
        self.remove(path, content, lambda: os.rename(aside, path))

    def op_mkdir(self, dirs, files, links):
        shallow = [path for path in dirs if path.count('/') < self.depth - 1]
        os.mkdir(self.name(shallow, 'dir'))

    def op_rename(self, dirs, files, links):
        path, to = self.random.choice(files), self.name(dirs, 'file')
        rename_to_free(path, to)
        self.note('rename', path, to, os.stat(to).st_ino)

    def op_replace(self, dirs, files, links):
        path, to = self.random.sample(files, 2)
        self.unchanged(to)
        self.remove(to, b'', lambda: os.rename(path, to))
        self.note('replace', path, to)

    def op_movedir(self, dirs, files, links):
        path, to = self.random.choice(dirs[1:]), self.name(dirs, 'dir')
        os.rename(path, to)
        self.note('movedir', path, to)

    def op_unlink(self, dirs, files, links):
        path = self.random.choice(files)
        self.unchanged(path)
        self.remove(path, b'', lambda: os.unlink(path))

    def op_rmdir(self, dirs, files, links):
        os.rmdir(self.random.choice(dirs[1:]))

    def op_link(self, dirs, files, links):
        os.link(self.random.choice(files), self.name(dirs, 'file'))

    def op_symlink(self, dirs, files, links):
        os.symlink(f'target {self.random.randrange(100)}', self.name(dirs, 'link'))

    def op_unlink_symlink(self, dirs, files, links):
        os.unlink(self.random.choice(links))

    def op_chmod(self, dirs, files, links):
        os.chmod(self.random.choice(files + dirs[1:]),
                 self.random.choice([0o700, 0o750, 0o755, 0o777]))

    WEIGHTS = {'create': 22, 'append': 18, 'overwrite': 8, 'truncate': 3, 'save': 7, 'mkdir': 7,
               'rename': 9, 'replace': 3, 'movedir': 7, 'unlink': 4, 'rmdir': 4, 'link': 4,
               'symlink': 3, 'unlink_symlink': 1, 'chmod': 6}

    def step(self, directory):
        op = self.random.choices(list(self.WEIGHTS), list(self.WEIGHTS.values()))[0]
        try:
            enter(directory)
            getattr(self, 'op_' + op)(*self.look())
            self.done[op] = self.done.get(op, 0) + 1
        except (IndexError, ValueError, StopIteration):
            pass  # there is nothing yet to do it with
        except OSError as error:
            code = errno.errorcode.get(error.errno, str(error.errno))
            self.failed[code] = self.failed.get(code, 0) + 1
            if error.errno not in PASSING and error.errno not in DEFINITE:
                self.unexpected.append(f'{op}: {error}')
        finally:
            os.chdir('/')

    def report(self):
        return {'written': self.written, 'superseded': self.superseded, 'done': self.done,
                'failed': self.failed, 'unexpected': self.unexpected, 'log': self.log,
                'doubts': self.doubts}


def work(directory, seed, tag, ms, pause_ms):
    """Random operations for so long."""
    worker = Worker(seed, tag)
    end = time.monotonic() + ms / 1000
    while time.monotonic() < end:
        worker.step(directory)
        time.sleep(worker.random.random() * pause_ms / 1000)
    return worker.report()


def tree(directory, content):
    """Everything below: what and, when asked for, the content's hash; and whole chunks in it."""
    enter(directory)
    entries, names = {}, set()
    waiting = ['.']
    for where in waiting:
        for entry in os.scandir(where):
            path = os.path.normpath(os.path.join(where, entry.name))
            about = entry.stat(follow_symlinks=False)
            what = f'{stat.filemode(about.st_mode)} {about.st_nlink}'
            if stat.S_ISDIR(about.st_mode):
                waiting.append(path)
                what = stat.filemode(about.st_mode)
            elif stat.S_ISLNK(about.st_mode):
                what += f' -> {os.readlink(path)}'
            else:
                what += f' {about.st_size} {about.st_mtime_ns}'
                if content:
                    data = read(path)
                    what += ' ' + hashlib.sha256(data).hexdigest()
                    names.update(name for _, _, name in chunks_of(data))
            entries[path] = what
    return {'entries': entries, 'chunks': sorted(names)}


def pulse(directory, ms):
    """Ordinary work in a folder of one's own, over and over; the slowest round, in ms."""
    enter(directory)
    os.makedirs('pulse', exist_ok=True)
    end, slowest, rounds = time.monotonic() + ms / 1000, 0.0, 0
    while time.monotonic() < end:
        began = time.monotonic()
        path = f'pulse/{rounds % 50}'
        with open(path, 'wb') as file:
            file.write(b'x' * 5000)
            file.flush()
            os.fsync(file.fileno())
        assert read(path) == b'x' * 5000
        os.rename(path, path + '~')
        os.listdir('pulse')
        os.unlink(path + '~')
        slowest = max(slowest, time.monotonic() - began)
        rounds += 1
        time.sleep(0.02)
    return {'rounds': rounds, 'slowestMs': round(slowest * 1000)}


if __name__ == '__main__':
    where, operation, arguments = sys.argv[1:]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    print(json.dumps(globals()[operation](where, **json.loads(arguments))))
