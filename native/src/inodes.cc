#include "inodes.h"

namespace pcfs {

Inode *InodeTable::find(uint64_t ino) {
  auto it = inodes_.find(ino);
  return it == inodes_.end() ? nullptr : &it->second;
}

Inode *InodeTable::findKnown(uint64_t ino) {
  Inode *inode = find(ino);
  return inode && inode->known ? inode : nullptr;
}

Inode &InodeTable::obtain(uint64_t ino) {
  Inode &inode = inodes_[ino];
  inode.record.ino = ino;
  return inode;
}

void InodeTable::list(Inode &inode) {
  if (inode.listed) return;
  inode.listed = true;
  idle_++;
  inode.older = newest_;
  inode.newer = nullptr;
  if (newest_) newest_->newer = &inode;
  newest_ = &inode;
  if (!oldest_) oldest_ = &inode;
}

void InodeTable::unlist(Inode &inode) {
  if (!inode.listed) return;
  inode.listed = false;
  idle_--;
  (inode.older ? inode.older->newer : oldest_) = inode.newer;
  (inode.newer ? inode.newer->older : newest_) = inode.older;
  inode.older = inode.newer = nullptr;
}

bool InodeTable::settle(Inode &inode) {
  if (inode.local && !inode.hasLocalState() && inode.local->idle() && inode.local->valid.empty())
    inode.local.reset();
  const bool idle = !inode.referenced() && !inode.local;
  if (!inode.known && idle) {
    unlist(inode);
    inodes_.erase(inode.ino());
    return false;
  }
  const bool orphan = inode.known && inode.record.nlink == 0 && !inode.referenced();
  const bool tell = orphan && !inode.orphanTold;
  inode.orphanTold = orphan;
  if (idle && !orphan && inode.ino() != 1) {
    list(inode);
  } else {
    unlist(inode);
  }
  // The bound is kept by one eviction per insert. Where the kernel refers to nearly all of them,
  // the few idle ones are those that JavaScript has just put here to answer with: they stay.
  while (inodes_.size() > maxInodes_ && idle_ > keepIdle_) {
    Inode &victim = *oldest_;
    unlist(victim);
    inodes_.erase(victim.ino());
  }
  return tell;
}

}  // namespace pcfs
