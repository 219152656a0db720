// Freezing: the ingester reads an inode's dirty bytes exactly as they were at one moment, while
// writes go on. A write that hits a frozen byte first copies the old one to the undo file and notes
// that under the mutex BEFORE it overwrites. So a reader may read the local file without stopping
// writers, if it looks at the notes again afterwards: what was overwritten is noted by then.
#include <algorithm>
#include <cstring>

#include "session.h"

namespace pcfs {

// The parts of [start, end) that are frozen and not yet copied.
std::vector<Range> Session::undoGaps(const LocalState &local, uint64_t start, uint64_t end) const {
  std::vector<Range> gaps;
  for (const Range &part : local.frozen.within(start, end)) {
    uint64_t at = part.start;
    auto it = local.undo.upper_bound(at);
    if (it != local.undo.begin() && std::prev(it)->second.end > at) --it;
    for (; it != local.undo.end() && it->first < part.end; ++it) {
      if (it->first > at) gaps.push_back({at, it->first});
      at = std::max(at, it->second.end);
    }
    if (at < part.end) gaps.push_back({at, part.end});
  }
  return gaps;
}

// The caller has beginWriting; the lock is dropped while copying and held again afterwards.
void Session::saveUndo(std::unique_lock<std::mutex> &lock, LocalState &local, uint64_t start,
                       uint64_t end) {
  if (local.frozen.empty()) return;
  for (const Range &gap : undoGaps(local, start, end)) {
    const auto file = local.file;
    const uint64_t base = local.base;
    lock.unlock();
    uint64_t at = 0;
    int error = 0;
    try {
      at = undo_.save(file->fd.get(), base + gap.start, gap.end - gap.start);
    } catch (const Errno &failed) {
      error = failed.code;
    }
    lock.lock();
    if (error) fail(error, "undo copy");
    local.undo.emplace(gap.start, UndoPiece{gap.end, at});
  }
}

void Session::dropUndo(LocalState &local) {
  uint64_t bytes = 0;
  for (const auto &[start, piece] : local.undo) bytes += piece.end - start;
  local.undo.clear();
  if (bytes) undo_.release(bytes);
}

uint64_t Session::freeze(const std::vector<uint64_t> &inos) {
  std::unique_lock<std::mutex> lock(mutex_);
  freezing_ = true;  // no write begins; those under way end
  ioCv_.wait(lock, [this] { return writers_ == 0 || stopping_; });
  freezing_ = false;
  ioCv_.notify_all();
  for (uint64_t ino : inos) {
    Inode &inode = known(ino);
    if (inode.local && inode.local->isFrozen)
      fail(EBUSY, "inode " + std::to_string(ino) + " is frozen already");
  }
  for (uint64_t ino : inos) {
    Inode &inode = known(ino);
    LocalState &local = inode.localState();
    local.isFrozen = true;
    local.frozen.clear();
    local.frozen.swap(local.dirty);
    local.frozenSize = local.frozenFloor = inode.record.size;
    local.frozenMtimeNs = inode.record.mtimeNs;
    local.frozenCtimeNs = inode.record.ctimeNs;
    local.frozenBaseEnd = inode.record.baseEnd;
    local.frozenBaseEpoch = inode.record.baseEpoch;
    settle(inode);
  }
  return journal_.lastWorkSeq();
}

bool Session::getFrozen(uint64_t ino, InodeRecord *record) {
  std::lock_guard<std::mutex> lock(mutex_);
  Inode *inode = inodes_.find(ino);
  if (!inode || !inode->local || !inode->local->isFrozen) return false;
  const LocalState &local = *inode->local;
  *record = inode->record;
  record->size = local.frozenSize;
  record->mtimeNs = local.frozenMtimeNs;
  record->ctimeNs = local.frozenCtimeNs;
  record->baseEnd = local.frozenBaseEnd;
  record->baseEpoch = local.frozenBaseEpoch;
  return true;
}

void Session::thaw(uint64_t ino, bool ingested) {
  std::unique_lock<std::mutex> lock(mutex_);
  waitIdle(lock, ino);
  Inode *inode = inodes_.find(ino);
  if (!inode || !inode->local || !inode->local->isFrozen) return;
  LocalState &local = *inode->local;
  if (!ingested) {
    // What was cut off since by a truncation is not dirty again.
    for (const Range &range : local.frozen.all())
      for (const Range &part : local.valid.within(range.start, range.end))
        local.dirty.add(part.start, part.end);
    emit(EventType::kDirtied, double(ino));
  }
  dropUndo(local);
  local.frozen.clear();
  local.isFrozen = false;
  settle(*inode);
}

std::vector<Range> Session::readFrozen(uint64_t ino, uint64_t offset, uint8_t *into,
                                       uint64_t length) {
  struct Piece {
    uint64_t start, end, undoOffset;
  };
  std::unique_lock<std::mutex> lock(mutex_);
  Inode *inode = inodes_.find(ino);
  if (!inode || !inode->local || !inode->local->isFrozen) return {};
  LocalState &local = *inode->local;
  const std::vector<Range> parts = local.frozen.within(offset, offset + length);
  if (parts.empty()) return parts;
  const auto saved = [&] {
    std::vector<Piece> pieces;
    for (const auto &[start, piece] : local.undo) {
      const uint64_t a = std::max(start, offset), b = std::min(piece.end, offset + length);
      if (a < b) pieces.push_back({a, b, piece.undoOffset + (a - start)});
    }
    return pieces;
  };
  std::vector<Range> plain;
  for (const Range &part : parts)
    for (const Range &gap : undoGaps(local, part.start, part.end)) plain.push_back(gap);
  local.pins++;
  const auto file = local.file;
  const uint64_t base = local.base;
  lock.unlock();
  bool good = true;
  for (const Range &part : plain) {
    uint8_t *at = into + (part.start - offset);
    const uint64_t bytes = part.end - part.start;
    const uint64_t got = preadAll(file->fd.get(), at, bytes, base + part.start);
    if (got < bytes && errno) good = false;
    memset(at + got, 0, bytes - got);
  }
  lock.lock();
  const std::vector<Piece> pieces = saved();
  lock.unlock();
  for (const Piece &piece : pieces)
    good = undo_.read(piece.undoOffset, into + (piece.start - offset), piece.end - piece.start) &&
           good;
  lock.lock();
  local.pins--;
  ioCv_.notify_all();
  if (!good) fail(EIO, "reading frozen bytes");
  return parts;
}

int64_t Session::nextFrozenData(uint64_t ino, uint64_t offset) {
  std::lock_guard<std::mutex> lock(mutex_);
  Inode *inode = inodes_.find(ino);
  if (!inode || !inode->local || !inode->local->isFrozen) return -1;
  const LocalState &local = *inode->local;
  Range range;
  while (local.frozen.nextAt(offset, &range)) {
    // Copied pieces count as data, whatever they held.
    auto it = local.undo.upper_bound(range.start);
    if (it != local.undo.begin() && std::prev(it)->second.end > range.start)
      return int64_t(range.start);
    const uint64_t end = it == local.undo.end() ? range.end : std::min(range.end, it->first);
    const off_t data = lseek(local.file->fd.get(), off_t(local.base + range.start), SEEK_DATA);
    if (data >= 0 && uint64_t(data) < local.base + end) return int64_t(uint64_t(data) - local.base);
    if (data < 0 && errno != ENXIO) return int64_t(range.start);
    offset = end;
  }
  return -1;
}

}  // namespace pcfs
