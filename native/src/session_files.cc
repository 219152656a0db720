// Opening and closing of files.
#include <sys/stat.h>

#include "session.h"

namespace pcfs {

void Session::countOpen(Inode &inode, bool writer, bool directory) {
  inode.opens++;
  if (writer) inode.writeOpens++;
  if (directory) dirs_.obtain(inode.ino()).handles++;
  settle(inode);
}

void Session::closeFile(uint64_t ino, bool writer, bool directory) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (directory) {
    DirTable *table = dirs_.find(ino);
    if (table && table->handles > 0 && --table->handles == 0 && table->stale) dirs_.drop(ino);
  }
  Inode *inode = inodes_.find(ino);
  if (!inode || inode->opens == 0) return;
  inode->opens--;
  if (writer && inode->writeOpens > 0) inode->writeOpens--;
  const bool dirty = inode->local && !inode->local->dirty.empty();
  if (inode->opens == 0 && dirty && !inode->releasedTold) {
    inode->releasedTold = true;
    emit(EventType::kReleased, double(ino));
  }
  settle(*inode);
}

Outcome Session::onOpen(const Request &request) {
  const auto *in = request.body<fuse_open_in>();
  if (!in) return answerError(request, EINVAL);
  if (in->flags & O_TRUNC) return Outcome::kToJs;
  const bool writer = (in->flags & O_ACCMODE) != O_RDONLY;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    Inode *inode = inodes_.findKnown(request.in->nodeid);
    if (!inode || !S_ISREG(inode->record.mode)) return Outcome::kToJs;
    countOpen(*inode, writer, false);
  }
  OpenOut out{};
  // The kernel's copy is always right: every change from elsewhere is pushed by a notification.
  out.open_flags = kOpenKeepCache | kOpenParallelDirectWrites | (writer ? 0 : kOpenNoFlush);
  if (answer(request, &out, sizeof out) == ENOENT) closeFile(request.in->nodeid, writer, false);
  return Outcome::kAnswered;
}

Outcome Session::onRelease(const Request &request) {
  const auto *in = request.body<fuse_release_in>();
  if (!in) return answerError(request, EINVAL);
  closeFile(request.in->nodeid, (in->flags & O_ACCMODE) != O_RDONLY, false);
  answer(request, nullptr, 0);
  return Outcome::kAnswered;
}

int Session::takeSyncError(uint64_t ino) {
  std::lock_guard<std::mutex> lock(mutex_);
  Inode *inode = inodes_.find(ino);
  if (!inode || !inode->local || !inode->local->file) return 0;
  return std::exchange(inode->local->file->syncError, 0);
}

Outcome Session::onFlush(const Request &request) {
  const int error = takeSyncError(request.in->nodeid);
  if (error) return answerError(request, error);
  answer(request, nullptr, 0);
  return Outcome::kAnswered;
}

Outcome Session::onFsync(const Request &request) {
  {
    std::lock_guard<std::mutex> lock(syncMutex_);
    syncWaiters_.emplace_back(request.in->unique, request.in->nodeid);
  }
  syncCv_.notify_one();
  return Outcome::kAnswered;  // by the sync thread
}

}  // namespace pcfs
