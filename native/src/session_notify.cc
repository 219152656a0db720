// Telling the kernel to forget. A notification takes the inode's or directory's lock in the kernel,
// and whoever holds that may wait for an answer of ours: so only this thread sends them, it holds
// no lock of ours while it does, and nobody ever waits for it.
#include <pthread.h>
#include <sys/uio.h>

#include "session.h"

#include <algorithm>

namespace pcfs {
namespace {
// More names than this that wait are replaced by one notice for all names there are.
constexpr size_t kMaxNotices = 65536;
}  // namespace

void Session::queueNotice(Notice notice) {
  {
    std::lock_guard<std::mutex> lock(notifyMutex_);
    if (!noticesQueued_.insert(notice).second) return;  // the same one waits already
    notices_.push_back(std::move(notice));
    if (notices_.size() > kMaxNotices && protoMinor_ >= kMinorIncEpoch) {
      const auto isName = [](const Notice &n) { return !n.name.empty() || n.ino == 0; };
      notices_.erase(std::remove_if(notices_.begin(), notices_.end(), isName), notices_.end());
      notices_.push_front(Notice{0, std::string(), 0, 0});
      noticesQueued_ = std::set<Notice>(notices_.begin(), notices_.end());
    }
  }
  notifyCv_.notify_one();
}

void Session::invalidateEntry(uint64_t parent, std::string_view name) {
  if (name.empty() || name.size() > 255) fail(EINVAL, "length of a name");
  queueNotice({parent, std::string(name), 0, 0});
  // The kernel's cached listing: dropped by INVAL_ENTRY only if it had the name.
  queueNotice({parent, std::string(), 0, 0});
}

void Session::invalidateInode(uint64_t ino, int64_t offset, int64_t length) {
  queueNotice({ino, std::string(), offset, length});
}

int Session::sendNotice(const Notice &notice) {
  fuse_out_header out{};
  if (notice.ino == 0) {
    out.error = kNotifyIncEpoch;
    out.len = sizeof out;
    const iovec part{&out, sizeof out};
    return sendVector(&part, 1);
  }
  if (notice.name.empty()) {
    fuse_notify_inval_inode_out body{};
    body.ino = notice.ino;
    body.off = notice.offset;
    body.len = notice.length;
    out.error = FUSE_NOTIFY_INVAL_INODE;
    out.len = sizeof out + sizeof body;
    const iovec parts[2] = {{&out, sizeof out}, {&body, sizeof body}};
    return sendVector(parts, 2);
  }
  fuse_notify_inval_entry_out body{};
  body.parent = notice.ino;
  body.namelen = uint32_t(notice.name.size());
  out.error = FUSE_NOTIFY_INVAL_ENTRY;
  out.len = uint32_t(sizeof out + sizeof body + notice.name.size() + 1);
  const iovec parts[3] = {{&out, sizeof out},
                          {&body, sizeof body},
                          {const_cast<char *>(notice.name.c_str()), notice.name.size() + 1}};
  return sendVector(parts, 3);
}

void Session::notifyMain() {
  pthread_setname_np(pthread_self(), "pcfs-notify");
  std::unique_lock<std::mutex> lock(notifyMutex_);
  for (;;) {
    notifyCv_.wait(lock, [this] { return stopping_ || !notices_.empty(); });
    if (stopping_) return;
    const Notice notice = std::move(notices_.front());
    notices_.pop_front();
    // From here on the same notice counts as new again: this one may be too early for it.
    noticesQueued_.erase(notice);
    lock.unlock();
    sendNotice(notice);  // ENOENT: the kernel does not know it, which is as good
    statNotices_++;
    lock.lock();
  }
}

}  // namespace pcfs
