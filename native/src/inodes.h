// The inode table: what getattr answers, who refers to an inode, and its local content.
// All of it belongs to the session mutex. An `Inode &` is good until `settle` is called on it.
#pragma once

#include <algorithm>
#include <memory>
#include <unordered_map>

#include "local_file.h"
#include "ranges.h"

namespace pcfs {

// One record as JavaScript packs it (native.ts, INODE_RECORD).
struct InodeRecord {
  uint64_t ino, size;
  int64_t atimeNs, mtimeNs, ctimeNs, btimeNs;
  uint32_t mode, nlink, uid, gid, rdev, flags;
  uint64_t baseEnd, baseEpoch, allocatedBytes, reserved[2];
};
static_assert(sizeof(InodeRecord) == 112);
constexpr uint32_t kRecordForce = 1;
// The node has no extended attribute, so that the question each first write asks stays native.
constexpr uint32_t kRecordPlain = 2;
// A write to it is EROFS.
constexpr uint32_t kRecordReadOnly = 4;

// Bits of setAttr's mask.
enum AttrMask : uint32_t {
  kAttrMode = 1,
  kAttrUid = 2,
  kAttrGid = 4,
  kAttrAtime = 8,
  kAttrMtime = 16,
  kAttrCtime = 32,
  kAttrNlink = 64,
  kAttrRdev = 128,
  kAttrAllocated = 256,
  kAttrBtime = 512,
  kAttrFlags = 1024
};

// Content of an inode that this device holds in a local file. Invariants: dirty is within valid;
// nothing of valid or dirty is at or beyond the size; undo pieces are within frozen.
struct LocalState {
  std::shared_ptr<LocalFile> file;  // null: not bound
  uint64_t base = 0, limit = 0;
  RangeSet valid, dirty, frozen;
  UndoMap undo;
  bool isFrozen = false;
  uint64_t frozenSize = 0, frozenBaseEnd = 0, frozenBaseEpoch = 0;
  uint64_t frozenFloor = 0;  // the least size since the freeze: beyond it the cut's bytes are gone
  int64_t frozenMtimeNs = 0, frozenCtimeNs = 0;
  bool writing = false;  // somebody writes to the local file without the session mutex
  uint32_t pins = 0;     // somebody reads the local file without the session mutex

  bool covers(uint64_t end) const { return file && end <= limit; }
  bool idle() const { return !writing && pins == 0; }
};

struct Inode {
  InodeRecord record{};
  bool known = false;  // false: only the counts below are true
  bool orphanTold = false;
  uint64_t nlookup = 0;  // what the kernel refers to it by; whoever has it open keeps that above 0
  std::unique_ptr<LocalState> local;
  Inode *older = nullptr, *newer = nullptr;  // of those that may be evicted
  bool listed = false;

  uint64_t ino() const { return record.ino; }
  bool referenced() const { return nlookup > 0; }
  LocalState &localState() {
    if (!local) local = std::make_unique<LocalState>();
    return *local;
  }
  bool hasLocalState() const {
    return local && (local->file || local->isFrozen || !local->dirty.empty());
  }
};

class InodeTable {
 public:
  explicit InodeTable(size_t maxInodes)
      : maxInodes_(maxInodes), keepIdle_(std::min<size_t>(maxInodes / 4, 4096)) {}
  // Null when nothing at all is known; `known` may still be false.
  Inode *find(uint64_t ino);
  Inode *findKnown(uint64_t ino);
  Inode &obtain(uint64_t ino);
  // To be called after an inode's references or local state changed: it may be evicted or erased.
  // Returns true when it is an orphan that nothing refers to any more and nobody was told so.
  bool settle(Inode &inode);
  size_t size() const { return inodes_.size(); }

 private:
  void list(Inode &inode);
  void unlist(Inode &inode);
  std::unordered_map<uint64_t, Inode> inodes_;
  Inode *oldest_ = nullptr, *newest_ = nullptr;
  size_t idle_ = 0;  // how many are listed
  size_t maxInodes_, keepIdle_;
};

}  // namespace pcfs
