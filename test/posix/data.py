"""Content: offsets, truncation, holes, fallocate, seeks, copies, O_APPEND, O_DIRECT, mmap."""
import mmap
import os

from lib import (FALLOC_COLLAPSE, FALLOC_INSERT, FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE,
                 FALLOC_ZERO_RANGE, Skip, case, cases, changes, equal, fallocate, get, put, raises)

BLOCK = 65536


def pattern(size, seed=1):
    """Bytes that differ from block to block."""
    unit = b''.join((i * seed & 0xffffffff).to_bytes(4, 'little') for i in range(4096))
    return b''.join((n ^ seed).to_bytes(4, 'little') + unit
                    for n in range(size // len(unit) + 1))[:size]


def opened(folder, data=b''):
    return os.open(put(f'{folder}/f', data), os.O_RDWR)


@cases('{0} bytes written in pieces of {1} read back exactly', [
    (size, piece) for size in (1, 4095, 4096, 65535, 65536, 65537, 1_000_003)
    for piece in (1000, 65536, 1 << 20)])
def round_trip(folder, size, piece):
    data = pattern(size, piece)
    fd = opened(folder)
    for at in range(0, size, piece):
        equal(os.write(fd, data[at:at + piece]), len(data[at:at + piece]))
    os.close(fd)
    assert get(f'{folder}/f') == data, 'content differs'
    equal(os.stat(f'{folder}/f').st_size, size)


@cases('truncate of {0} bytes to {1} and back shows zeros behind the cut', [
    (size, cut) for size in (10, 5000, BLOCK, 3 * BLOCK + 77)
    for cut in (0, 1, 4096, BLOCK - 1, BLOCK, BLOCK + 1) if cut < size])
def cut_and_grow(folder, size, cut):
    data = pattern(size)
    fd = opened(folder, data)
    os.ftruncate(fd, cut)
    equal(os.fstat(fd).st_size, cut)
    os.ftruncate(fd, size)
    assert os.pread(fd, size + 1, 0) == data[:cut] + bytes(size - cut), 'content differs'
    os.close(fd)


@cases('a write {0} bytes past the end leaves a hole of zeros', [1, 4096, BLOCK, 10 * BLOCK, 1 << 33])
def write_past_end(folder, gap):
    fd = opened(folder, b'head')
    os.pwrite(fd, b'tail', 4 + gap)
    equal(os.fstat(fd).st_size, 8 + gap)
    equal(os.pread(fd, 8, 0), b'head' + bytes(min(gap, 4)) + b'tail'[:max(0, 4 - gap)])
    equal(os.pread(fd, 8, 4 + gap - 1), b'\0tail')
    os.close(fd)


@case('a sparse file takes little space, and du shows what is allocated')
def sparse(folder):
    fd = opened(folder)
    os.ftruncate(fd, 1 << 30)
    assert os.fstat(fd).st_blocks * 512 < 1 << 20, 'a hole takes space'
    os.pwrite(fd, b'x' * BLOCK, 1 << 29)
    os.fsync(fd)
    blocks = os.fstat(fd).st_blocks * 512
    assert BLOCK <= blocks < 4 << 20, f'{blocks} bytes allocated'
    os.close(fd)


@case('sizes up to 1 TiB are kept and read as zeros; beyond the limit EFBIG')
def huge(folder):
    fd = opened(folder)
    os.ftruncate(fd, 1 << 40)
    os.pwrite(fd, b'end', (1 << 40) - 3)
    equal((os.fstat(fd).st_size, os.pread(fd, 10, (1 << 40) - 5)), (1 << 40, b'\0\0end'))
    raises('EFBIG|EINVAL', os.ftruncate, fd, (1 << 63) - 1)
    os.close(fd)


@case('reads at and beyond the end give what there is')
def short_reads(folder):
    fd = opened(folder, b'12345')
    equal((os.pread(fd, 10, 3), os.pread(fd, 10, 5), os.pread(fd, 10, 1 << 40)), (b'45', b'', b''))
    os.close(fd)


@case('an overwrite across block edges changes only its bytes')
def overwrite(folder):
    data = bytearray(pattern(4 * BLOCK))
    fd = opened(folder, bytes(data))
    for at, size in ((BLOCK - 10, 20), (0, 1), (2 * BLOCK - 1, BLOCK + 2), (4 * BLOCK - 1, 1)):
        piece = pattern(size, at + 3)
        os.pwrite(fd, piece, at)
        data[at:at + size] = piece
    os.fsync(fd)
    assert get(f'{folder}/f') == bytes(data), 'content differs'
    os.close(fd)


@case('a descriptor opened for reading refuses writes and the other way round')
def access_modes(folder):
    path = put(f'{folder}/f', b'x')
    reader, writer = os.open(path, os.O_RDONLY), os.open(path, os.O_WRONLY)
    raises('EBADF', os.write, reader, b'y')
    raises('EBADF', os.read, writer, 1)
    raises('EINVAL', os.ftruncate, reader, 0)
    os.close(reader)
    os.close(writer)


@case('punch hole makes zeros, keeps the size, frees space')
def punch(folder):
    data = bytearray(pattern(8 * BLOCK))
    fd = opened(folder, bytes(data))
    os.fsync(fd)
    for at, size in ((BLOCK, 2 * BLOCK), (5 * BLOCK + 100, 333), (7 * BLOCK, 5 * BLOCK)):
        fallocate(fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, at, size)
        end = min(at + size, len(data))
        data[at:end] = bytes(end - at)
    equal(os.fstat(fd).st_size, 8 * BLOCK)
    assert os.pread(fd, 9 * BLOCK, 0) == bytes(data), 'content differs'
    os.close(fd)
    assert get(f'{folder}/f') == bytes(data), 'content differs after reopening'


@case('fallocate grows the size unless told to keep it, and reads zeros')
def allocate(folder):
    fd = opened(folder, b'abc')
    fallocate(fd, FALLOC_KEEP_SIZE, 0, 3 * BLOCK)
    equal(os.fstat(fd).st_size, 3)
    fallocate(fd, 0, 10, 90)
    equal((os.fstat(fd).st_size, os.pread(fd, 200, 0)), (100, b'abc' + bytes(97)))
    changes(f'{folder}/f', lambda: fallocate(fd, 0, 0, 200), 'mtime', 'ctime')
    os.close(fd)


@case('zero range makes zeros with and without growing')
def zero_range(folder):
    data = pattern(3 * BLOCK)
    fd = opened(folder, data)
    fallocate(fd, FALLOC_ZERO_RANGE, 100, BLOCK)
    fallocate(fd, FALLOC_ZERO_RANGE | FALLOC_KEEP_SIZE, 3 * BLOCK - 5, 100)
    expected = data[:100] + bytes(BLOCK) + data[100 + BLOCK:3 * BLOCK - 5] + bytes(5)
    assert os.pread(fd, 4 * BLOCK, 0) == expected, 'content differs'
    fallocate(fd, FALLOC_ZERO_RANGE, 3 * BLOCK, 50)
    equal(os.fstat(fd).st_size, 3 * BLOCK + 50)
    os.close(fd)


@case('collapse and insert range work or say EOPNOTSUPP, and wrong arguments give EINVAL')
def collapse(folder):
    data = pattern(4 * BLOCK)
    fd = opened(folder, data)
    for mode, expected in ((FALLOC_COLLAPSE, data[:BLOCK] + data[2 * BLOCK:]),
                           (FALLOC_INSERT, data[:BLOCK] + bytes(BLOCK) + data[2 * BLOCK:])):
        try:
            fallocate(fd, mode, BLOCK, BLOCK)
        except OSError:
            raises('EOPNOTSUPP', fallocate, fd, mode, BLOCK, BLOCK)
            break
        assert os.pread(fd, 5 * BLOCK, 0) == expected, 'content differs'
    raises('EINVAL|EOPNOTSUPP', fallocate, fd, 0, -1, 10)
    raises('EINVAL|EOPNOTSUPP', fallocate, fd, 0, 0, 0)
    raises('EOPNOTSUPP', fallocate, fd, FALLOC_PUNCH_HOLE, 0, 10)
    os.close(fd)


@case('SEEK_DATA and SEEK_HOLE find what was written, or say all is data')
def seek(folder):
    fd = opened(folder)
    os.ftruncate(fd, 16 * BLOCK)
    os.pwrite(fd, pattern(BLOCK), 4 * BLOCK)
    os.pwrite(fd, pattern(BLOCK), 8 * BLOCK)
    data = os.lseek(fd, 0, os.SEEK_DATA)
    assert data <= 4 * BLOCK, 'data was skipped'
    hole = os.lseek(fd, 4 * BLOCK, os.SEEK_HOLE)
    assert hole >= 5 * BLOCK, 'a hole where data is'
    assert os.lseek(fd, 8 * BLOCK + 5, os.SEEK_DATA) == 8 * BLOCK + 5
    equal(os.lseek(fd, 15 * BLOCK, os.SEEK_HOLE) <= 16 * BLOCK, True)
    raises('ENXIO', os.lseek, fd, 16 * BLOCK, os.SEEK_DATA)
    raises('ENXIO', os.lseek, fd, 16 * BLOCK + 1, os.SEEK_HOLE)
    os.close(fd)


@case('SEEK_DATA skips a large hole')
def seek_skips(folder):
    fd = opened(folder)
    os.pwrite(fd, b'x', 1 << 30)
    os.fsync(fd)
    found = os.lseek(fd, 0, os.SEEK_DATA)
    assert (1 << 30) - BLOCK <= found <= 1 << 30, f'data at {found}'
    equal(os.lseek(fd, 0, os.SEEK_HOLE), 0)
    os.close(fd)


@case('copy_file_range copies exactly, between files and inside one')
def copy_range(folder):
    data = pattern(5 * BLOCK + 33)
    source, target = opened(folder, data), os.open(f'{folder}/t', os.O_CREAT | os.O_RDWR)
    done = 0
    while done < len(data):
        step = os.copy_file_range(source, target, len(data) - done, done, 1000 + done)
        assert step > 0, 'no progress'
        done += step
    equal(os.copy_file_range(source, target, 10, len(data), 0), 0)
    assert get(f'{folder}/t') == bytes(1000) + data, 'content differs'
    copied = os.copy_file_range(target, target, BLOCK, 1000, 4 * BLOCK)
    assert os.pread(target, copied, 4 * BLOCK) == data[:copied], 'content differs inside'
    raises('EINVAL', os.copy_file_range, target, target, BLOCK, 0, 10)
    os.close(source)
    os.close(target)


@case('O_APPEND writes at the end whatever the offset')
def append(folder):
    path = put(f'{folder}/f', b'start')
    fd, other = os.open(path, os.O_RDWR | os.O_APPEND), os.open(path, os.O_RDWR)
    os.lseek(fd, 0, os.SEEK_SET)
    os.write(fd, b'-one')
    os.pwrite(other, b'-two', 9)
    os.write(fd, b'-three')
    equal(get(path), b'start-one-two-three')
    os.close(fd)
    os.close(other)


@case('O_DIRECT writes and reads the same bytes as buffered descriptors')
def direct(folder):
    path = put(f'{folder}/f', pattern(4 * BLOCK))
    try:
        fd = os.open(path, os.O_RDWR | os.O_DIRECT)
    except OSError as error:
        raise Skip('O_DIRECT is refused here') from error
    buffer = mmap.mmap(-1, BLOCK)
    buffer.write(pattern(BLOCK, 9))
    equal(os.pwritev(fd, [buffer], BLOCK), BLOCK)
    assert get(path)[BLOCK:2 * BLOCK] == pattern(BLOCK, 9), 'buffered read differs'
    plain = os.open(path, os.O_WRONLY)
    os.pwrite(plain, b'buffered', 3 * BLOCK)
    os.close(plain)
    equal(os.preadv(fd, [buffer], 3 * BLOCK), BLOCK)
    equal(bytes(buffer[:8]), b'buffered')
    os.close(fd)


@case('a shared mapping and read and write show the same bytes')
def shared_mapping(folder):
    fd = opened(folder, bytes(4 * 4096))
    view = mmap.mmap(fd, 4 * 4096)
    view[5000:5005] = b'mmap!'
    equal(os.pread(fd, 5, 5000), b'mmap!')
    os.pwrite(fd, b'write', 9000)
    equal(view[9000:9005], b'write')
    view.flush()
    view.close()
    os.close(fd)
    equal((get(f'{folder}/f')[5000:5005], get(f'{folder}/f')[9000:9005]), (b'mmap!', b'write'))


@case('a shared mapping moves mtime by the time it is flushed')
def mapping_times(folder):
    fd = opened(folder, bytes(8192))
    view = mmap.mmap(fd, 8192)

    def store():
        view[10:13] = b'abc'
        view.flush()
        os.fsync(fd)
    changes(f'{folder}/f', store, 'mtime', 'ctime')
    view.close()
    os.close(fd)


@case('a mapping outlives its descriptor and the name of its file')
def mapping_survives(folder):
    fd = opened(folder, pattern(3 * 4096))
    view = mmap.mmap(fd, 3 * 4096)
    os.close(fd)
    os.unlink(f'{folder}/f')
    view[4096:4100] = b'live'
    view.flush()
    assert view[:4096] == pattern(3 * 4096)[:4096] and view[4096:4100] == b'live'
    view.close()


@case('bytes in the last page behind the end of a file are not kept')
def mapping_tail(folder):
    fd = opened(folder, b'x' * 100)
    view = mmap.mmap(fd, 0)
    os.ftruncate(fd, 50)
    os.ftruncate(fd, 4096)
    equal(os.pread(fd, 4096, 0), b'x' * 50 + bytes(4046))
    view.close()
    os.close(fd)


@case('a private mapping of a program runs it')
def runs_programs(folder):
    path = put(f'{folder}/true', get('/bin/true'), 0o755)
    equal(os.spawnv(os.P_WAIT, path, [path]), 0)


@case('fsync and fdatasync succeed on files opened any way and on directories')
def syncs(folder):
    path = put(f'{folder}/f', b'x')
    for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
        fd = os.open(path, flags)
        os.fsync(fd)
        os.fdatasync(fd)
        os.close(fd)
    fd = os.open(folder, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    fd = os.open(path, os.O_WRONLY | os.O_SYNC)
    os.write(fd, b'sync')
    os.close(fd)
    equal(get(path), b'sync')


@case('an O_TRUNC open racing with nothing leaves earlier readers at the new size')
def truncate_visible(folder):
    path = put(f'{folder}/f', b'x' * 100_000)
    reader = os.open(path, os.O_RDONLY)
    equal(len(os.pread(reader, 200_000, 0)), 100_000)
    put(path, b'new')
    equal((os.pread(reader, 100, 0), os.fstat(reader).st_size), (b'new', 3))
    os.close(reader)
