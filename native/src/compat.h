// The kernel's FUSE protocol. Debian's <linux/fuse.h> is 7.38; what is newer, and every struct that
// grew since, is declared here with names of our own. Source: include/uapi/linux/fuse.h (BSD-2).
#pragma once

#include <linux/fuse.h>

#include <cstdint>

namespace pcfs {

constexpr uint32_t kMinorVersion = 45;  // what we speak; the kernel takes the smaller

// INIT flags, 64 bits (flags | flags2 << 32).
constexpr uint64_t kInitAsyncRead = 1ull << 0;
constexpr uint64_t kInitBigWrites = 1ull << 5;
constexpr uint64_t kInitReaddirplus = 1ull << 13;
constexpr uint64_t kInitReaddirplusAuto = 1ull << 14;
constexpr uint64_t kInitAsyncDio = 1ull << 15;
constexpr uint64_t kInitParallelDirops = 1ull << 18;
constexpr uint64_t kInitMaxPages = 1ull << 22;
constexpr uint64_t kInitCacheSymlinks = 1ull << 23;
constexpr uint64_t kInitExplicitInvalData = 1ull << 25;
constexpr uint64_t kInitHandleKillprivV2 = 1ull << 28;
constexpr uint64_t kInitExt = 1ull << 30;
constexpr uint64_t kInitHasExpireOnly = 1ull << 35;
constexpr uint64_t kInitDirectIoAllowMmap = 1ull << 36;
constexpr uint64_t kInitRequestTimeout = 1ull << 42;

struct InitOut {
  uint32_t major, minor, max_readahead, flags;
  uint16_t max_background, congestion_threshold;
  uint32_t max_write, time_gran;
  uint16_t max_pages, map_alignment;
  uint32_t flags2, max_stack_depth;
  uint16_t request_timeout, unused[11];
};
static_assert(sizeof(InitOut) == 64);

// fuse_open_out with backing_id (7.40) where the padding was.
struct OpenOut {
  uint64_t fh;
  uint32_t open_flags;
  int32_t backing_id;
};
static_assert(sizeof(OpenOut) == 16);

constexpr uint32_t kOpenKeepCache = 1u << 1;
constexpr uint32_t kOpenCacheDir = 1u << 3;

constexpr int kNotifyIncEpoch = 8;  // 7.44: all names that the kernel has are to be asked again
constexpr uint32_t kMinorIncEpoch = 44;

constexpr uint32_t kOpStatx = 52;  // 7.39
constexpr uint32_t kOpLast = 52;   // anything newer is ENOSYS

struct StatxIn {
  uint32_t getattr_flags, reserved;
  uint64_t fh;
  uint32_t sx_flags, sx_mask;
};
struct SxTime {
  int64_t tv_sec;
  uint32_t tv_nsec;
  int32_t reserved;
};
struct Statx {
  uint32_t mask, blksize;
  uint64_t attributes;
  uint32_t nlink, uid, gid;
  uint16_t mode, spare0;
  uint64_t ino, size, blocks, attributes_mask;
  SxTime atime, btime, ctime, mtime;
  uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
  uint64_t spare2[14];
};
static_assert(sizeof(Statx) == 256);
struct StatxOut {
  uint64_t attr_valid;
  uint32_t attr_valid_nsec, flags;
  uint64_t spare[2];
  Statx stat;
};
static_assert(sizeof(StatxOut) == 288);

}  // namespace pcfs
