// READ and WRITE: the data plane.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>

#include "session.h"

namespace pcfs {
namespace {

constexpr uint64_t kSmall = 32 * 1024;        // up to here a read may be done under the mutex
constexpr uint64_t kLargeWrite = 64 * 1024;   // from here on the token is handed off first
constexpr uint64_t kMaxFileBytes = 8ull << 40;
constexpr int64_t kSlowNs = 1000000;          // a page-cache write that takes longer is throttled
constexpr int64_t kSlowForNs = 100000000;

// Reads what is in the page cache. Returns false when a disk would have to be asked.
bool readCached(int fd, uint8_t *into, uint64_t length, uint64_t offset) {
  while (length) {
    const iovec part{into, length};
    const ssize_t n = preadv2(fd, &part, 1, off_t(offset), RWF_NOWAIT);
    if (n < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    if (n == 0) {  // beyond the end: a hole
      memset(into, 0, length);
      return true;
    }
    into += n;
    offset += uint64_t(n);
    length -= uint64_t(n);
  }
  return true;
}

bool readBlocking(int fd, uint8_t *into, uint64_t length, uint64_t offset) {
  const uint64_t got = preadAll(fd, into, length, offset);
  if (got < length) {
    if (errno) return false;
    memset(into + got, 0, length - got);
  }
  return true;
}

// The mode bits that a write by somebody without privilege must clear.
bool needsKillSuid(uint32_t mode) {
  return (mode & S_ISUID) || (mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP);
}

}  // namespace

Outcome Session::onRead(const Request &request) {
  const auto *in = request.body<fuse_read_in>();
  if (!in) return answerError(request, EINVAL);
  std::unique_lock<std::mutex> lock(mutex_);
  Inode *inode = inodes_.findKnown(request.in->nodeid);
  if (!inode) return Outcome::kToJs;
  const uint64_t offset = in->offset;
  uint64_t length = std::min<uint64_t>(in->size, kMaxWrite);
  length = offset >= inode->record.size ? 0 : std::min(length, inode->record.size - offset);
  const uint64_t end = offset + length;
  uint8_t *into = request.replyArea();
  LocalState *local = inode->local && inode->local->file ? inode->local.get() : nullptr;
  std::vector<Range> missing, parts;
  if (!local) {
    missing.push_back({offset, end});
  } else if (local->valid.covers(offset, end)) {
    parts.push_back({offset, end});
  } else {
    missing = local->valid.missing(offset, end);
    parts = local->valid.within(offset, end);
  }
  for (const Range &hole : missing)
    if (hole.start < std::min(hole.end, inode->record.baseEnd)) return Outcome::kToJs;
  for (const Range &hole : missing) memset(into + (hole.start - offset), 0, hole.end - hole.start);
  statReads_++;
  statReadBytes_ += length;
  if (length == 0 || !local) {
    lock.unlock();
    answer(request, into, length);
    return Outcome::kAnswered;
  }

  const std::shared_ptr<LocalFile> file = local->file;
  const uint64_t base = local->base;
  const auto each = [&](bool (*reader)(int, uint8_t *, uint64_t, uint64_t)) {
    return std::all_of(parts.begin(), parts.end(), [&](const Range &part) {
      return reader(file->fd.get(), into + (part.start - offset), part.end - part.start,
                    base + part.start);
    });
  };
  bool done = length <= kSmall && each(readCached);
  if (!done) {
    local->pins++;
    lock.unlock();
    done = length > kSmall && each(readCached);
    if (!done) {
      handOff(*request.turn);
      done = each(readBlocking);
    }
    lock.lock();
    local->pins--;
    ioCv_.notify_all();
  }
  lock.unlock();
  if (!done) return answerError(request, EIO);
  answer(request, into, length);
  return Outcome::kAnswered;
}

Outcome Session::onWrite(const Request &request) {
  const auto *in = request.body<fuse_write_in>();
  if (!in || in->size > request.tailLength(sizeof *in)) return answerError(request, EINVAL);
  // Parts of one direct write may come in any order: only the kernel knows where each belongs.
  const bool appends = (in->flags & (O_APPEND | O_DIRECT)) == O_APPEND &&
                       !(in->write_flags & FUSE_WRITE_CACHE);
  uint64_t offset = in->offset, end;
  std::unique_lock<std::mutex> lock(mutex_);
  Inode *inode;
  LocalState *local;
  for (;;) {
    inode = inodes_.findKnown(request.in->nodeid);
    if (!inode) return Outcome::kToJs;
    // The kernel may not know yet how long another device made the file: an append at its offset
    // would overwrite what came.
    if (appends) offset = inode->record.size;
    end = offset + in->size;
    if (end < offset || end > kMaxFileBytes) return answerError(request, EFBIG);
    if (inode->record.flags & kRecordReadOnly) return answerError(request, EROFS);
    if ((in->write_flags & FUSE_WRITE_KILL_SUIDGID) && needsKillSuid(inode->record.mode))
      return Outcome::kToJs;
    if (!journal_.hasRoom(sizeof(WriteEntry))) return Outcome::kToJs;
    local = inode->local.get();
    const bool fits = local && local->covers(end);
    if (writeBudget_ < int64_t(in->size) && !(fits && local->dirty.covers(offset, end)))
      return Outcome::kToJs;
    if (!fits) return Outcome::kToJs;
    if (!freezing_ && !local->writing) break;
    handOff(*request.turn);
    ioCv_.wait(lock);
    if (stopping_) return answerError(request, EIO);
  }
  beginWriting(*local);
  const std::shared_ptr<LocalFile> file = local->file;
  const uint64_t base = local->base;
  try {
    saveUndo(lock, *local, offset, end);
  } catch (const Errno &error) {
    endWriting(*local);
    return answerError(request, error.code);
  }
  lock.unlock();
  const int64_t before = monoNs();
  if (in->size >= kLargeWrite || before < slowUntilNs_) handOff(*request.turn);
  const uint64_t written =
      pwriteAll(file->fd.get(), request.tail(sizeof *in), in->size, base + offset);
  const int error = written ? 0 : errno;
  const int64_t after = monoNs();
  if (after - before > kSlowNs) slowUntilNs_ = after + kSlowForNs;
  faultPoint(kFaultWriteData);
  lock.lock();
  if (error) {
    endWriting(*local);
    return answerError(request, error);
  }
  return finishWrite(request, *inode, offset, written);
}

// mutex_ is held by the caller.
Outcome Session::finishWrite(const Request &request, Inode &inode, uint64_t offset,
                             uint64_t written) {
  LocalState &local = *inode.local;
  const uint64_t end = offset + written;
  const int64_t now = nowNs();
  const uint64_t size = std::max(inode.record.size, end);
  const WriteEntry entry{inode.ino(), local.file->id, 0,    local.base + offset,
                         offset,      written,        size, now};
  try {
    journal_.append(EntryType::kWrite, &entry, sizeof entry);
  } catch (const Errno &error) {
    endWriting(local);
    if (error.code == EAGAIN) return Outcome::kToJs;  // the same bytes are written again then
    return answerError(request, error.code);
  }
  markUnsynced(local.file);
  noteWritten(inode, offset, end);
  inode.record.size = size;
  inode.record.mtimeNs = inode.record.ctimeNs = now;
  endWriting(local);
  // The kernel keeps the pages locked until it has the answer: these bytes are where it put them.
  const uint64_t told = request.body<fuse_write_in>()->offset;
  if (told != offset) invalidateInode(inode.ino(), int64_t(std::min(told, offset)), 0);
  faultPoint(kFaultWriteJournal);
  statWrites_++;
  statWrittenBytes_ += written;
  fuse_write_out out{};
  out.size = uint32_t(written);
  answer(request, &out, sizeof out);
  return Outcome::kAnswered;
}

uint64_t Session::noteWritten(Inode &inode, uint64_t start, uint64_t end) {
  LocalState &local = *inode.local;
  const bool clean = local.dirty.empty();
  const uint64_t baseEnd = inode.record.baseEnd;
  local.valid.add(start, std::min(end, baseEnd));
  inode.record.allocatedBytes += local.valid.add(std::max(start, baseEnd), end);
  const uint64_t fresh = local.dirty.add(start, end);
  if (writeBudget_ != INT64_MAX) writeBudget_ -= int64_t(fresh);
  if (clean && !local.dirty.empty()) emit(EventType::kDirtied, double(inode.ino()));
  return fresh;
}

void Session::markUnsynced(const std::shared_ptr<LocalFile> &file) {
  if (file->unsynced) return;
  file->unsynced = true;
  unsyncedFiles_.push_back(file);
}

void Session::beginWriting(LocalState &local) {
  PCFS_ASSERT(!local.writing);
  local.writing = true;
  writers_++;
}

void Session::endWriting(LocalState &local) {
  PCFS_ASSERT(local.writing && writers_ > 0);
  local.writing = false;
  writers_--;
  ioCv_.notify_all();
}

}  // namespace pcfs
