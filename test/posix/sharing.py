"""Several processes at one file: appends, locks, mapped counters, visible writes."""
import fcntl
import mmap
import os
import signal
import struct
import time

from lib import case, check, equal, get, libc, put, raises


def forked(function):
    """Runs a function in a child; returns its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            function()
            os._exit(0)
        except BaseException as error:  # the exit code tells the parent
            os.write(2, f'{error}\n'.encode())
            os._exit(1)
    return pid


def joined(pids):
    equal([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids], [0] * len(pids))


@case('two processes appending lose no record and tear none')
def two_appenders(folder):
    path = put(f'{folder}/log')

    def appender(letter):
        def act():
            fd = os.open(path, os.O_WRONLY | os.O_APPEND)
            for i in range(500):
                os.write(fd, f'{letter}{i:06}{letter * 93}'.encode())
            os.close(fd)
        return act
    joined([forked(appender('a')), forked(appender('b'))])
    data = get(path)
    equal(len(data), 2 * 500 * 100)
    records = [data[i:i + 100].decode() for i in range(0, len(data), 100)]
    for letter in 'ab':
        mine = [record for record in records if record[0] == letter]
        equal(mine, [f'{letter}{i:06}{letter * 93}' for i in range(500)])


@case('what one process wrote another reads at once')
def visible(folder):
    path = put(f'{folder}/f')
    fd = os.open(path, os.O_RDONLY)
    for i in range(50):
        text = str(i).encode() * 100
        joined([forked(lambda text=text: put(path, text))])
        equal(os.pread(fd, 1000, 0), text)
        equal(os.fstat(fd).st_size, len(text))
    os.close(fd)


@case('names made, renamed and removed by one process are seen by another at once')
def names_visible(folder):
    for i in range(30):
        joined([forked(lambda i=i: os.mkdir(f'{folder}/d{i}'))])
        assert os.path.isdir(f'{folder}/d{i}')
        joined([forked(lambda i=i: os.rename(f'{folder}/d{i}', f'{folder}/e{i}'))])
        raises('ENOENT', os.stat, f'{folder}/d{i}')
        equal(os.listdir(folder), [f'e{i}'])
        joined([forked(lambda i=i: os.rmdir(f'{folder}/e{i}'))])
        raises('ENOENT', os.stat, f'{folder}/e{i}')


@case('mapped writers in two processes both keep their halves')
def mapped_writers(folder):
    path = put(f'{folder}/f', bytes(1 << 20))

    def writer(parity):
        def act():
            fd = os.open(path, os.O_RDWR)
            view = mmap.mmap(fd, 1 << 20)
            for i in range(parity, 1 << 14, 2):
                struct.pack_into('<Q', view, i * 64, i)
            view.flush()
            view.close()
            os.close(fd)
        return act
    joined([forked(writer(0)), forked(writer(1))])
    data = get(path)
    equal([struct.unpack_from('<Q', data, i * 64)[0] for i in range(1 << 14)], list(range(1 << 14)))


@case('flock: exclusive keeps out, shared lets in, close frees')
def flocks(folder):
    path = put(f'{folder}/f')
    one, two = os.open(path, os.O_RDWR), os.open(path, os.O_RDWR)
    fcntl.flock(one, fcntl.LOCK_SH)
    fcntl.flock(two, fcntl.LOCK_SH | fcntl.LOCK_NB)
    raises('EAGAIN', fcntl.flock, one, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(two)
    fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
    two = os.open(path, os.O_RDWR)
    raises('EAGAIN', fcntl.flock, two, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.close(one)
    fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(two)


@case('a waiting flock is given when the holder dies')
def flock_wait(folder):
    path = put(f'{folder}/f')
    reader, writer = os.pipe()

    def holder():
        fd = os.open(path, os.O_RDWR)
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.write(writer, b'1')
        time.sleep(0.2)
    pid = forked(holder)
    os.read(reader, 1)
    fd = os.open(path, os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    joined([pid])
    for end in (fd, reader, writer):
        os.close(end)


@case('fcntl locks keep other processes out of their range only')
def record_locks(folder):
    path = put(f'{folder}/f', bytes(1000))
    fd = os.open(path, os.O_RDWR)
    fcntl.lockf(fd, fcntl.LOCK_EX, 100, 50)

    def other():
        mine = os.open(path, os.O_RDWR)
        raises('EAGAIN|EACCES', fcntl.lockf, mine, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 149)
        raises('EAGAIN|EACCES', fcntl.lockf, mine, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, 50)
        fcntl.lockf(mine, fcntl.LOCK_EX | fcntl.LOCK_NB, 50, 0)
        fcntl.lockf(mine, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 150)
    joined([forked(other)])
    fcntl.lockf(fd, fcntl.LOCK_UN, 100, 50)

    def again():
        mine = os.open(path, os.O_RDWR)
        fcntl.lockf(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
    joined([forked(again)])
    os.close(fd)


@case('fcntl locks go with the first close of the file by their process')
def locks_until_close(folder):
    path = put(f'{folder}/f', bytes(100))
    fd, another = os.open(path, os.O_RDWR), os.open(path, os.O_RDONLY)
    fcntl.lockf(fd, fcntl.LOCK_EX)
    os.close(another)

    def other():
        fcntl.lockf(os.open(path, os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
    joined([forked(other)])
    os.close(fd)


@case('open file description locks belong to the description')
def description_locks(folder):
    path = put(f'{folder}/f', bytes(100))
    one, two = os.open(path, os.O_RDWR), os.open(path, os.O_RDWR)
    lock = struct.pack('hhqqi4x', fcntl.F_WRLCK, os.SEEK_SET, 0, 10, 0)
    set_lock = 37  # F_OFD_SETLK, which Python 3.11 does not name
    fcntl.fcntl(one, set_lock, lock)
    raises('EAGAIN|EACCES', fcntl.fcntl, two, set_lock, lock)
    os.close(one)
    fcntl.fcntl(two, set_lock, lock)
    os.close(two)


@case('many processes creating in one directory get every name once')
def concurrent_creates(folder):
    def maker(who):
        def act():
            for i in range(100):
                try:
                    os.close(os.open(f'{folder}/{i}', os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                    os.close(os.open(f'{folder}/won-{i}-{who}', os.O_CREAT | os.O_WRONLY))
                except FileExistsError:
                    pass
        return act
    joined([forked(maker(who)) for who in range(4)])
    names = os.listdir(folder)
    equal(len(names), 200)
    equal(len({name.split('-')[1] for name in names if name.startswith('won')}), 100)


@case('a signal does not make creating, renaming, linking or removing fail with EINTR')
def no_interruptions(folder):
    old = signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.siginterrupt(signal.SIGUSR1, True)
    me = os.getpid()

    def nuisance():
        while os.getppid() == me:
            os.kill(me, signal.SIGUSR1)
            time.sleep(0.0005)
    pid = forked(nuisance)
    name = os.fsencode(folder)
    try:
        # Through libc: Python itself would try again after EINTR.
        for i in range(300):
            check(libc.mkdir(b'%s/d%d' % (name, i), 0o755))
            fd = check(libc.open(b'%s/d%d/f' % (name, i), os.O_CREAT | os.O_WRONLY, 0o644))
            check(libc.write(fd, b'data', 4))
            check(libc.close(fd))
            check(libc.rename(b'%s/d%d/f' % (name, i), b'%s/f%d' % (name, i)))
            check(libc.symlink(b'f', b'%s/s%d' % (name, i)))
            check(libc.rmdir(b'%s/d%d' % (name, i)))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        signal.signal(signal.SIGUSR1, old)
    equal(len(os.listdir(folder)), 600)


@case('concurrent renames over one name leave exactly one winner and no name behind')
def concurrent_renames(folder):
    def mover(who):
        def act():
            for i in range(100):
                os.rename(put(f'{folder}/tmp-{who}', f'{who}:{i}'.encode() * 50), f'{folder}/final')
                data = get(f'{folder}/final')
                assert len(data) in (150, 200), f'torn: {len(data)} bytes'
        return act
    joined([forked(mover(who)) for who in range(4)])
    equal(os.listdir(folder), ['final'])
