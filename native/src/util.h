// Small words everybody uses: errors with an errno, owned file descriptors, clocks.
#pragma once

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <utility>

namespace pcfs {

// An operating error; becomes a JavaScript Error whose code is the errno's name.
struct Errno {
  int code;
  std::string message;
};

[[noreturn]] inline void fail(int code, std::string message) {
  throw Errno{code, std::move(message)};
}

// A broken invariant: the process stops with a line that names it; nothing acknowledged is lost.
[[noreturn]] void broken(const char *what, const char *file, int line);
#define PCFS_ASSERT(condition) \
  do {                         \
    if (!(condition)) ::pcfs::broken(#condition, __FILE__, __LINE__); \
  } while (0)

// Owns a file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd &operator=(Fd &&other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  Fd(const Fd &) = delete;
  Fd &operator=(const Fd &) = delete;
  ~Fd() { reset(); }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

inline int64_t clockNs(clockid_t clock) {
  timespec ts;
  clock_gettime(clock, &ts);
  return int64_t(ts.tv_sec) * 1000000000 + ts.tv_nsec;
}
inline int64_t nowNs() { return clockNs(CLOCK_REALTIME); }
inline int64_t monoNs() { return clockNs(CLOCK_MONOTONIC); }

// Both go on after short transfers and EINTR. Return how many bytes were transferred; when that is
// less than `length`, errno tells why (0 = end of file).
uint64_t preadAll(int fd, void *into, uint64_t length, uint64_t offset);
uint64_t pwriteAll(int fd, const void *from, uint64_t length, uint64_t offset);

// The name of an errno as Node spells it ("ENOENT"), or "EIO".
const char *errnoName(int code);

}  // namespace pcfs
