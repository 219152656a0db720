#include "local_file.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace pcfs {

void broken(const char *what, const char *file, int line) {
  fprintf(stderr, "pcfs native: broken invariant: %s (%s:%d)\n", what, file, line);
  abort();
}

uint64_t preadAll(int fd, void *into, uint64_t length, uint64_t offset) {
  uint64_t done = 0;
  while (done < length) {
    const ssize_t n = pread(fd, static_cast<uint8_t *>(into) + done, length - done,
                            off_t(offset + done));
    if (n > 0) {
      done += uint64_t(n);
    } else if (n == 0) {
      errno = 0;
      break;
    } else if (errno != EINTR) {
      break;
    }
  }
  return done;
}

uint64_t pwriteAll(int fd, const void *from, uint64_t length, uint64_t offset) {
  uint64_t done = 0;
  while (done < length) {
    const ssize_t n = pwrite(fd, static_cast<const uint8_t *>(from) + done, length - done,
                             off_t(offset + done));
    if (n > 0) {
      done += uint64_t(n);
    } else if (n == 0) {
      errno = EIO;
      break;
    } else if (errno != EINTR) {
      break;
    }
  }
  return done;
}

namespace {

constexpr uint64_t kCopyBytes = 256 * 1024;

// Plain loop; a hole or the end of the source is copied as zeros.
int copyByHand(int from, uint64_t fromOffset, int to, uint64_t toOffset, uint64_t length) {
  std::vector<uint8_t> buffer(std::min(length, kCopyBytes));
  while (length) {
    const uint64_t part = std::min<uint64_t>(length, buffer.size());
    const uint64_t got = preadAll(from, buffer.data(), part, fromOffset);
    if (got < part) {
      if (errno) return errno;
      memset(buffer.data() + got, 0, part - got);
    }
    errno = EIO;
    if (pwriteAll(to, buffer.data(), part, toOffset) != part) return errno;
    fromOffset += part;
    toOffset += part;
    length -= part;
  }
  return 0;
}

}  // namespace

int copyBytes(int from, uint64_t fromOffset, int to, uint64_t toOffset, uint64_t length) {
  while (length > kCopyBytes) {  // short ones are quicker by hand
    off_t in = off_t(fromOffset), out = off_t(toOffset);
    const ssize_t n = copy_file_range(from, &in, to, &out, length, 0);
    if (n <= 0) break;  // other file system, end of the source, not supported: by hand
    fromOffset += uint64_t(n);
    toOffset += uint64_t(n);
    length -= uint64_t(n);
  }
  return length ? copyByHand(from, fromOffset, to, toOffset, length) : 0;
}

int punchHole(int fd, uint64_t offset, uint64_t length) {
  if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off_t(offset), off_t(length)) == 0)
    return 0;
  if (errno != EOPNOTSUPP && errno != ENOSYS) return errno;
  const std::vector<uint8_t> zeros(std::min(length, kCopyBytes), 0);
  while (length) {
    const uint64_t part = std::min<uint64_t>(length, zeros.size());
    errno = EIO;
    if (pwriteAll(fd, zeros.data(), part, offset) != part) return errno;
    offset += part;
    length -= part;
  }
  return 0;
}

void UndoFile::create() {
  if (fd_.valid()) return;
  if (!directory_.empty())
    fd_ = Fd(open(directory_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!fd_.valid()) fd_ = Fd(memfd_create("pcfs-undo", MFD_CLOEXEC));
  if (!fd_.valid()) fail(errno, "undo file");
}

uint64_t UndoFile::save(int fd, uint64_t offset, uint64_t length) {
  uint64_t at;
  int undo;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    create();
    at = end_;
    end_ += length;
    used_ += length;
    undo = fd_.get();
  }
  const int error = copyBytes(fd, offset, undo, at, length);
  if (error) {
    release(length);
    fail(error, "undo copy");
  }
  return at;
}

bool UndoFile::read(uint64_t undoOffset, void *into, uint64_t length) {
  int undo;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    undo = fd_.get();
  }
  return preadAll(undo, into, length, undoOffset) == length;
}

void UndoFile::release(uint64_t bytes) {
  std::lock_guard<std::mutex> lock(mutex_);
  PCFS_ASSERT(bytes <= used_);
  used_ -= bytes;
  if (used_ == 0 && fd_.valid()) {
    end_ = 0;
    if (ftruncate(fd_.get(), 0) != 0) fd_.reset();
  }
}

}  // namespace pcfs
