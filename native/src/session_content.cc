// Local files, bindings, truncation, zeroing and filling.
#include <algorithm>
#include <cstring>

#include "session.h"

namespace pcfs {

std::shared_ptr<LocalFile> Session::file(uint32_t fileId) {
  auto it = files_.find(fileId);
  if (it == files_.end()) fail(ENOENT, "local file " + std::to_string(fileId));
  return it->second;
}

void Session::addFile(uint32_t fileId, Fd fd) {
  std::lock_guard<std::mutex> lock(mutex_);
  auto &slot = files_[fileId];
  if (slot) fail(EEXIST, "local file " + std::to_string(fileId));
  slot = std::make_shared<LocalFile>();
  slot->id = fileId;
  slot->fd = std::move(fd);
  // An earlier process may have left bytes in the page cache that the next MARK will vouch for.
  markUnsynced(slot);
}

void Session::removeFile(uint32_t fileId) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (file(fileId)->bindings > 0) fail(EBUSY, "local file " + std::to_string(fileId));
  files_.erase(fileId);  // closed when the sync thread lets go of it
}

void Session::waitIdle(std::unique_lock<std::mutex> &lock, uint64_t ino) {
  ioCv_.wait(lock, [&] {
    Inode *inode = inodes_.find(ino);
    return stopping_ || !inode || !inode->local || inode->local->idle();
  });
}

void Session::attachLocal(Inode &inode, const std::shared_ptr<LocalFile> &to, uint64_t base,
                          uint64_t limit, bool journaled) {
  if (journaled) {
    const BindEntry entry{inode.ino(), to->id, 0, base, limit};
    journal_.append(EntryType::kBind, &entry, sizeof entry);
  }
  LocalState &local = inode.localState();
  local.file = to;
  local.base = base;
  local.limit = limit;
  to->bindings++;
  settle(inode);
}

void Session::bind(uint64_t ino, uint32_t fileId, uint64_t base, uint64_t limit, bool journaled) {
  std::lock_guard<std::mutex> lock(mutex_);
  Inode &inode = known(ino);
  const auto to = file(fileId);
  if (inode.local && inode.local->file) fail(EBUSY, "inode is bound");
  attachLocal(inode, to, base, limit, journaled);
}

bool Session::binding(uint64_t ino, uint32_t *fileId, uint64_t *base, uint64_t *limit) {
  std::lock_guard<std::mutex> lock(mutex_);
  Inode *inode = inodes_.find(ino);
  if (!inode || !inode->local || !inode->local->file) return false;
  *fileId = inode->local->file->id;
  *base = inode->local->base;
  *limit = inode->local->limit;
  return true;
}

uint64_t Session::rebind(uint64_t ino, uint32_t fileId, uint64_t base, uint64_t limit) {
  std::unique_lock<std::mutex> lock(mutex_);
  waitIdle(lock, ino);
  Inode &inode = known(ino);
  const auto to = file(fileId);
  if (!inode.local || !inode.local->file) fail(ENXIO, "inode is not bound");
  LocalState &local = *inode.local;
  const auto from = local.file;
  RangeSet needed = local.valid;
  for (const Range &range : local.frozen.all())
    for (const Range &part : undoGaps(local, range.start, range.end))
      needed.add(part.start, part.end);
  const std::vector<Range> parts = needed.all();
  if (!parts.empty() && parts.back().end > limit) fail(ENXIO, "the new place is too small");
  beginWriting(local);
  lock.unlock();
  int error = 0;
  for (const Range &part : parts) {
    error = copyBytes(from->fd.get(), local.base + part.start, to->fd.get(), base + part.start,
                      part.end - part.start);
    if (error) break;
  }
  lock.lock();
  endWriting(local);
  if (error) fail(error, "copying to another local file");
  const BindEntry entry{ino, fileId, 0, base, limit};
  const uint64_t seq = journal_.append(EntryType::kBind, &entry, sizeof entry);
  from->bindings--;
  to->bindings++;
  local.file = to;
  local.base = base;
  local.limit = limit;
  markUnsynced(to);
  return seq;
}

bool Session::unbind(uint64_t ino) {
  std::lock_guard<std::mutex> lock(mutex_);
  Inode *inode = inodes_.find(ino);
  if (!inode || !inode->local) return true;
  LocalState &local = *inode->local;
  if (!local.idle() || local.isFrozen || !local.dirty.empty()) return false;
  if (local.file) local.file->bindings--;
  local.file.reset();
  local.valid.clear();
  settle(*inode);
  return true;
}

void Session::setRanges(uint64_t ino, int kind, const double *pairs, size_t count) {
  std::unique_lock<std::mutex> lock(mutex_);
  waitIdle(lock, ino);
  LocalState &local = known(ino).localState();
  if (!local.file) fail(ENXIO, "inode is not bound");
  RangeSet set;
  for (size_t i = 0; i + 1 < count; i += 2) set.add(uint64_t(pairs[i]), uint64_t(pairs[i + 1]));
  if (kind == 0) {
    local.valid.swap(set);
  } else {
    local.dirty.swap(set);
  }
  local.valid.addAll(local.dirty);
}

std::vector<Range> Session::ranges(uint64_t ino, int kind) {
  std::lock_guard<std::mutex> lock(mutex_);
  Inode *inode = inodes_.find(ino);
  if (!inode || !inode->local) return {};
  const LocalState &local = *inode->local;
  return kind == 0 ? local.valid.all() : kind == 1 ? local.dirty.all() : local.frozen.all();
}

uint64_t Session::dirtyBytes(const std::vector<uint64_t> &inos) {
  std::lock_guard<std::mutex> lock(mutex_);
  uint64_t sum = 0;
  for (uint64_t ino : inos) {
    Inode *inode = inodes_.find(ino);
    if (inode && inode->local) sum += inode->local->dirty.bytes();
  }
  return sum;
}

void Session::setWriteBudget(int64_t bytes) {
  std::lock_guard<std::mutex> lock(mutex_);
  writeBudget_ = bytes;
}

void Session::setBase(uint64_t ino, uint64_t baseEnd, uint64_t baseEpoch) {
  std::lock_guard<std::mutex> lock(mutex_);
  Inode &inode = known(ino);
  // A truncation since the freeze, maybe followed by an extension, cut the cut's bytes off.
  if (inode.local && inode.local->isFrozen) baseEnd = std::min(baseEnd, inode.local->frozenFloor);
  inode.record.baseEnd = baseEnd;
  inode.record.baseEpoch = baseEpoch;
}

uint64_t Session::truncate(uint64_t ino, uint64_t size, int64_t timeNs) {
  std::unique_lock<std::mutex> lock(mutex_);
  waitIdle(lock, ino);
  Inode &inode = known(ino);
  const TruncateEntry entry{ino, size, timeNs};
  const uint64_t seq = journal_.append(EntryType::kTruncate, &entry, sizeof entry);
  InodeRecord &record = inode.record;
  if (size < record.size) {
    if (inode.local) {
      inode.local->valid.remove(size, UINT64_MAX);
      inode.local->dirty.remove(size, UINT64_MAX);
      inode.local->frozenFloor = std::min(inode.local->frozenFloor, size);
    }
    record.baseEnd = std::min(record.baseEnd, size);
    record.allocatedBytes = std::min(record.allocatedBytes, (size + 4095) & ~uint64_t(4095));
  }
  record.size = size;
  record.mtimeNs = record.ctimeNs = timeNs;
  settle(inode);
  return seq;
}

uint64_t Session::zeroRange(uint64_t ino, uint64_t offset, uint64_t length, uint64_t newSize,
                            int64_t timeNs) {
  std::unique_lock<std::mutex> lock(mutex_);
  waitIdle(lock, ino);
  Inode &inode = known(ino);
  const uint64_t size = std::max(inode.record.size, newSize);
  const uint64_t end = std::max(offset, std::min(offset + length, size));
  if (!inode.local || !inode.local->covers(end)) fail(ENXIO, "inode is not bound that far");
  if (!journal_.hasRoom(sizeof(WriteEntry))) fail(EAGAIN, "the journal is full");
  LocalState &local = *inode.local;
  beginWriting(local);
  int error = 0;
  try {
    saveUndo(lock, local, offset, end);
    lock.unlock();
    if (end > offset) error = punchHole(local.file->fd.get(), local.base + offset, end - offset);
    lock.lock();
  } catch (const Errno &undoError) {
    error = undoError.code;
  }
  endWriting(local);
  if (error) fail(error, "zeroing a range");
  const WriteEntry entry{ino,    local.file->id, 0,    local.base + offset,
                         offset, end - offset,   size, timeNs};
  const uint64_t seq = journal_.append(EntryType::kZero, &entry, sizeof entry);
  markUnsynced(local.file);
  InodeRecord &record = inode.record;
  if (end > offset) noteWritten(inode, offset, end);
  record.allocatedBytes -= std::min(record.allocatedBytes, end - offset);
  record.size = size;
  record.mtimeNs = record.ctimeNs = timeNs;
  return seq;
}

bool Session::nextLocal(uint64_t ino, uint64_t offset, LocalPiece *piece) {
  std::lock_guard<std::mutex> lock(mutex_);
  Inode *inode = inodes_.find(ino);
  if (!inode || !inode->local || !inode->local->file) return false;
  const LocalState &local = *inode->local;
  Range range;
  if (!local.valid.nextAt(offset, &range)) return false;
  const int fd = local.file->fd.get();
  const off_t at = off_t(local.base + range.start);
  const off_t data = lseek(fd, at, SEEK_DATA);
  if (data != at) {  // -1 with ENXIO: nothing but a hole from here on
    const uint64_t end = data < 0 ? range.end : uint64_t(data) - local.base;
    *piece = {range.start, std::min(range.end, end), true};
  } else {
    const off_t hole = lseek(fd, at, SEEK_HOLE);
    const uint64_t end = hole < 0 ? range.end : uint64_t(hole) - local.base;
    *piece = {range.start, std::min(range.end, end), false};
  }
  return true;
}

bool Session::fill(uint64_t ino, uint64_t offset, const uint8_t *data, uint64_t length,
                   uint64_t baseEpoch) {
  std::unique_lock<std::mutex> lock(mutex_);
  Inode *inode;
  for (;;) {
    inode = inodes_.findKnown(ino);
    if (!inode || !inode->local || !inode->local->file) return false;
    if (inode->record.baseEpoch != baseEpoch) return false;
    if (!freezing_ && !inode->local->writing) break;
    ioCv_.wait(lock);
    if (stopping_) return false;
  }
  LocalState &local = *inode->local;
  const uint64_t end = std::min({offset + length, inode->record.baseEnd, inode->record.size,
                                 local.limit});
  if (end <= offset) return true;
  const std::vector<Range> parts = local.valid.missing(offset, end);
  beginWriting(local);
  int error = 0;
  lock.unlock();
  for (const Range &part : parts) {
    const uint64_t bytes = part.end - part.start;
    if (pwriteAll(local.file->fd.get(), data + (part.start - offset), bytes,
                  local.base + part.start) == bytes)
      continue;
    error = errno;
    break;
  }
  lock.lock();
  // The base may have been replaced meanwhile (setBase does not wait): these bytes are not its.
  const bool same = inode->record.baseEpoch == baseEpoch;
  if (!error && same)
    for (const Range &part : parts) local.valid.add(part.start, part.end);
  endWriting(local);
  if (error) fail(error, "filling a local file");
  return same;
}

}  // namespace pcfs
