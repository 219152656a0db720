// INIT, and which request is whose.
#include <cstring>

#include "session.h"

namespace pcfs {

Outcome Session::onInit(const Request &request) {
  const auto *in = request.body<fuse_init_in>();
  if (!in) return answerError(request, EPROTO);
  InitOut out{};
  out.major = FUSE_KERNEL_VERSION;
  out.minor = kMinorVersion;
  if (in->major > FUSE_KERNEL_VERSION) {  // the kernel will ask again with our major
    answer(request, &out, sizeof out);
    return Outcome::kAnswered;
  }
  if (in->major < FUSE_KERNEL_VERSION || in->minor < 31) return answerError(request, EPROTO);
  protoMinor_ = in->minor;
  uint64_t offered = in->flags;
  if (offered & kInitExt) offered |= uint64_t(in->flags2) << 32;
  // Not asked for: WRITEBACK_CACHE (the kernel would own size and mtime), POSIX and FLOCK locks
  // (they are kernel-local without), POSIX_ACL, SETXATTR_EXT, DONT_MASK, and ATOMIC_O_TRUNC: as
  // there is no OPEN, the truncation has to come as a SETATTR.
  uint64_t wanted = kInitAsyncRead | kInitBigWrites | kInitReaddirplus | kInitReaddirplusAuto |
                    kInitAsyncDio | kInitParallelDirops | kInitMaxPages | kInitCacheSymlinks |
                    kInitExplicitInvalData | kInitHandleKillprivV2 | kInitExt |
                    kInitHasExpireOnly | kInitDirectIoAllowMmap;
  if (options_.requestTimeoutS > 0) wanted |= kInitRequestTimeout;
  const uint64_t flags = wanted & offered;
  out.max_readahead = 1u << 20;
  out.flags = uint32_t(flags);
  out.flags2 = uint32_t(flags >> 32);
  out.max_background = 64;
  out.congestion_threshold = 48;
  out.max_write = kMaxWrite;
  out.time_gran = 1;
  out.max_pages = kMaxWrite / 4096;
  if (flags & kInitRequestTimeout) out.request_timeout = uint16_t(options_.requestTimeoutS);
  answer(request, &out, sizeof out);
  initDone_ = true;
  return Outcome::kAnswered;
}

Outcome Session::dispatch(const Request &request) {
  switch (request.in->opcode) {
    case FUSE_INIT:
      return onInit(request);
    case FUSE_LOOKUP:
      return onLookup(request);
    case FUSE_FORGET:
      return onForget(request);
    case FUSE_BATCH_FORGET:
      return onBatchForget(request);
    case FUSE_GETATTR:
      return onGetattr(request);
    case kOpStatx:
      return onStatx(request);
    case FUSE_OPENDIR:
      return onOpendir(request);
    case FUSE_READDIR:
      return onReaddir(request, false);
    case FUSE_READDIRPLUS:
      return onReaddir(request, true);
    case FUSE_RELEASEDIR:
      return onReleasedir(request);
    case FUSE_RELEASE:  // of what CREATE opened before the kernel first heard ENOSYS from OPEN
      answer(request, nullptr, 0);
      return Outcome::kAnswered;
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR:
    case FUSE_SYNCFS:
      return onFsync(request);
    case FUSE_READ:
      return onRead(request);
    case FUSE_WRITE:
      return onWrite(request);
    case FUSE_GETXATTR:
    case FUSE_LISTXATTR:
      return onXattr(request);
    case FUSE_INTERRUPT:
      return onInterrupt(request);
    case FUSE_DESTROY:
      answer(request, nullptr, 0);
      return Outcome::kAnswered;
    case FUSE_SETATTR:
    case FUSE_READLINK:
    case FUSE_SYMLINK:
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_UNLINK:
    case FUSE_RMDIR:
    case FUSE_RENAME:
    case FUSE_RENAME2:
    case FUSE_LINK:
    case FUSE_CREATE:
    case FUSE_TMPFILE:
    case FUSE_STATFS:
    case FUSE_SETXATTR:
    case FUSE_REMOVEXATTR:
    case FUSE_FALLOCATE:
    case FUSE_LSEEK:
    case FUSE_COPY_FILE_RANGE:
      return Outcome::kToJs;
    default:
      // OPEN and FLUSH: the kernel never asks them again, so that opening a cached file costs what
      // it costs on a disk; who refers to an inode is what the lookup count says. ACCESS
      // (default_permissions), locks, IOCTL, POLL, BMAP, and what a newer kernel invents.
      return answerError(request, ENOSYS);
  }
}

}  // namespace pcfs
