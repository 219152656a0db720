// What JavaScript answers. Each answer takes the slot back first, so that exactly one is sent.
#include <cstring>

#include "session.h"

namespace pcfs {

void Session::jsAlive() { jsAliveNs_ = monoNs(); }

void Session::wakeDelivered() {
  wakePending_ = false;
  jsAlive();
}

uint32_t Session::takeRequests(uint32_t *into, uint32_t count) {
  jsAlive();
  return slots_.take(into, count);
}

uint32_t Session::takeEvents(double *into, uint32_t triples) {
  jsAlive();
  uint32_t n = 0;
  {
    std::lock_guard<std::mutex> lock(eventMutex_);
    if (markedEvent_ && n < triples) {
      const double marked[3] = {double(int(EventType::kMarked)), double(markedEvent_), 0};
      memcpy(into + size_t(n++) * 3, marked, sizeof marked);
      markedEvent_ = 0;
    }
    while (n < triples && !events_.empty()) {
      const Event event = events_.front();
      events_.pop_front();
      const double triple[3] = {double(int(event.type)), event.value, event.argument};
      memcpy(into + size_t(n++) * 3, triple, sizeof triple);
    }
  }
  return n;
}

bool Session::withSlot(uint32_t slot, const std::function<void(const Request &)> &act) {
  const bool mine = slots_.reclaim(slot);
  if (mine) {
    Turn turn;
    uint8_t *bytes = slots_.at(slot);
    act({slot, bytes, reinterpret_cast<const fuse_in_header *>(bytes), &turn});
    slots_.release(slot);
  }
  if (slots_.anyTakeable()) wakeJs();
  return mine;
}

bool Session::replyError(uint32_t slot, int error) {
  if (error <= 0 || error > 511) fail(EINVAL, "errno must be positive");
  return withSlot(slot, [&](const Request &request) { answerError(request, error); });
}

bool Session::replyData(uint32_t slot, const void *data, size_t length) {
  if (length > kMaxWrite) fail(EINVAL, "answer longer than 1 MiB");
  return withSlot(slot, [&](const Request &request) { answer(request, data, length); });
}

bool Session::replyNegative(uint32_t slot) {
  if (options_.negativeTtlS <= 0) return replyError(slot, ENOENT);
  fuse_entry_out entry;
  memset(&entry, 0, sizeof entry);
  entry.entry_valid = uint64_t(options_.negativeTtlS);
  entry.entry_valid_nsec =
      uint32_t((options_.negativeTtlS - double(entry.entry_valid)) * 1e9);
  return replyData(slot, &entry, sizeof entry);
}

// Counts a lookup. Throws ENOENT before anything is done.
void Session::countEntry(uint64_t ino, fuse_entry_out *entry) {
  std::lock_guard<std::mutex> lock(mutex_);
  Inode &inode = known(ino);
  inode.nlookup++;
  settle(inode);
  fillEntry(inode, entry);
}

void Session::rememberName(const Request &request, uint64_t ino) {
  size_t skip;
  switch (request.in->opcode) {
    case FUSE_LOOKUP:
    case FUSE_SYMLINK:
      skip = 0;
      break;
    case FUSE_MKNOD:
      skip = sizeof(fuse_mknod_in);
      break;
    case FUSE_MKDIR:
      skip = sizeof(fuse_mkdir_in);
      break;
    case FUSE_LINK:
      skip = sizeof(fuse_link_in);
      break;
    case FUSE_CREATE:
      skip = sizeof(fuse_create_in);
      break;
    default:
      return;
  }
  const char *name = reinterpret_cast<const char *>(request.tail(skip));
  const size_t length = strnlen(name, request.tailLength(skip));
  if (length == 0 || length > 255) return;
  InodeRecord record;
  if (getInode(ino, &record))
    addDirent(request.in->nodeid, {name, length}, ino, uint8_t((record.mode >> 12) & 15));
}

bool Session::replyEntry(uint32_t slot, uint64_t ino) {
  fuse_entry_out entry;
  countEntry(ino, &entry);
  bool sent = false;
  try {
    const bool mine = withSlot(slot, [&](const Request &request) {
      rememberName(request, ino);
      sent = answer(request, &entry, sizeof entry) != ENOENT;
    });
    if (!sent) forget(ino, 1);
    return mine;
  } catch (const Errno &) {
    forget(ino, 1);
    throw;
  }
}

bool Session::replyAttr(uint32_t slot, uint64_t ino) {
  InodeRecord record;
  if (!getInode(ino, &record)) fail(ENOENT, "inode is not in the table");
  return withSlot(slot, [&](const Request &request) {
    const bool statx = request.in->opcode == kOpStatx;
    if ((statx ? onStatx(request) : onGetattr(request)) == Outcome::kToJs)
      answerError(request, EIO);  // another inode than the request's was named
  });
}

bool Session::replyCreate(uint32_t slot, uint64_t ino, uint64_t fh, uint32_t flags) {
  struct {
    fuse_entry_out entry;
    OpenOut open;
  } out{};
  countEntry(ino, &out.entry);
  out.open.fh = fh;
  out.open.open_flags = flags;
  bool sent = false;
  try {
    const bool mine = withSlot(slot, [&](const Request &request) {
      rememberName(request, ino);
      sent = answer(request, &out, sizeof out) != ENOENT;
    });
    if (!sent) forget(ino, 1);
    return mine;
  } catch (const Errno &) {
    forget(ino, 1);
    throw;
  }
}

bool Session::resume(uint32_t slot) {
  constexpr uint32_t kInlineBytes = 64 * 1024;
  if (!slots_.reclaim(slot)) return false;
  uint8_t *bytes = slots_.at(slot);
  const auto *in = reinterpret_cast<const fuse_in_header *>(bytes);
  Turn turn;
  const Request request{slot, bytes, in, &turn};
  const auto *read = in->opcode == FUSE_READ ? request.body<fuse_read_in>() : nullptr;
  if (in->len > kInlineBytes || (read && read->size > kInlineBytes)) {
    // Much to move: a reader does that.
    {
      std::lock_guard<std::mutex> lock(resumeMutex_);
      resumed_.push_back(slot);
      resumedCount_++;
    }
    const uint64_t one = 1;
    if (write(stopFd_.get(), &one, sizeof one) < 0) PCFS_ASSERT(errno == EAGAIN);
    return true;
  }
  if (dispatch(request) == Outcome::kToJs) {
    slots_.queueForJs(slot, in->len);
  } else {
    slots_.release(slot);
  }
  if (slots_.anyTakeable()) wakeJs();
  return true;
}

}  // namespace pcfs
