// A session's life and its tables.
#include "session.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cstdlib>
#include <cstring>

namespace pcfs {
namespace {

std::mutex registryMutex;
std::map<uint32_t, std::weak_ptr<Session>> registry;
std::atomic<uint32_t> nextId{1};

// Threads of ours take no signals: Node keeps them all.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace

Session::Session(Options options, std::function<void()> wake)
    : id_(nextId++),
      options_(std::move(options)),
      wake_(std::move(wake)),
      inodes_(options_.maxInodes),
      dirs_(options_.maxDirents),
      journal_([this](uint64_t id) { emit(EventType::kJournalLow, double(id)); }),
      undo_(options_.undoDir) {}

std::shared_ptr<Session> Session::open(Options options, std::function<void()> wake) {
  std::shared_ptr<Session> session(new Session(std::move(options), std::move(wake)));
  session->start();
  std::lock_guard<std::mutex> lock(registryMutex);
  registry[session->id_] = session;
  return session;
}

std::shared_ptr<Session> Session::byId(uint32_t id) {
  std::lock_guard<std::mutex> lock(registryMutex);
  auto it = registry.find(id);
  auto session = it == registry.end() ? nullptr : it->second.lock();
  if (!session) fail(ENOENT, "no such session");
  return session;
}

void Session::start() {
  stopFd_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stopFd_.valid()) fail(errno, "eventfd");
  if (options_.transportFd >= 0) {
    fd_ = Fd(options_.transportFd);
    fcntl(fd_.get(), F_SETFL, fcntl(fd_.get(), F_GETFL) | O_NONBLOCK);
  } else {
    char *real = realpath(options_.mount.mountpoint.c_str(), nullptr);
    if (!real) fail(errno, options_.mount.mountpoint);
    options_.mount.mountpoint = real;
    free(real);
    fd_ = mountFuse(options_.mount);
    device_ = mountedDevice(options_.mount.mountpoint);
    if (geteuid() == 0) raiseReadAhead(device_, 1024);
  }
  jsAliveNs_ = monoNs();
  SignalsBlocked blocked;
  for (uint32_t i = 0; i < options_.maxReaders; i++)
    threads_.emplace_back([this] { readerMain(); });
  threads_.emplace_back([this] { syncMain(); });
  threads_.emplace_back([this] { notifyMain(); });
  threads_.emplace_back([this] { guardMain(); });
}

Session::~Session() { close(); }

void Session::close() {
  if (closed_.exchange(true)) return;
  stopping_ = true;
  slots_.stop();
  const uint64_t one = 1;
  if (write(stopFd_.get(), &one, sizeof one) < 0) PCFS_ASSERT(errno == EAGAIN);
  { std::lock_guard<std::mutex> lock(tokenMutex_); }
  tokenCv_.notify_all();
  { std::lock_guard<std::mutex> lock(mutex_); }
  ioCv_.notify_all();
  { std::lock_guard<std::mutex> lock(syncMutex_); }
  syncCv_.notify_all();
  { std::lock_guard<std::mutex> lock(notifyMutex_); }
  notifyCv_.notify_all();
  { std::lock_guard<std::mutex> lock(guardMutex_); }
  guardCv_.notify_all();
  // The notify thread may be in the kernel, waiting for a lock whose holder waits for an answer
  // that no longer comes: breaking the connection frees both.
  if (options_.transportFd < 0 && !ended_) {
    const std::string &path = options_.mount.mountpoint;
    if (mountedDevice(path) == device_) abortFuse(path, device_);
    if (mountedDevice(path) == device_) unmountFuse(path, true);  // not what lay under it
  }
  for (std::thread &thread : threads_) thread.join();
  threads_.clear();
  fd_.reset();
  std::lock_guard<std::mutex> lock(registryMutex);
  registry.erase(id_);
}

int Session::unmount(bool lazy) {
  if (options_.transportFd >= 0 || ended_) return 0;
  return unmountFuse(options_.mount.mountpoint, lazy);
}

int Session::abort() {
  if (options_.transportFd >= 0) {
    shutdown(fd_.get(), SHUT_RDWR);
    return 0;
  }
  return ended_ ? 0 : abortFuse(options_.mount.mountpoint, device_);
}

void Session::settle(Inode &inode) {
  const uint64_t ino = inode.ino();
  if (inodes_.settle(inode)) emit(EventType::kOrphanGone, double(ino));
}

Inode &Session::known(uint64_t ino) {
  Inode *inode = inodes_.findKnown(ino);
  if (!inode) fail(ENOENT, "inode " + std::to_string(ino) + " is not in the table");
  return *inode;
}

void Session::putInodes(const uint8_t *records, size_t count) {
  std::lock_guard<std::mutex> lock(mutex_);
  for (size_t i = 0; i < count; i++) {
    InodeRecord record;
    memcpy(&record, records + i * sizeof record, sizeof record);
    if (record.ino == 0) fail(EINVAL, "inode 0");
    Inode &inode = inodes_.obtain(record.ino);
    const bool force = (record.flags & kRecordForce) != 0;
    record.flags &= kRecordPlain | kRecordReadOnly;
    if (inode.known && inode.hasLocalState() && !force) {
      record.size = inode.record.size;
      record.mtimeNs = inode.record.mtimeNs;
      record.ctimeNs = inode.record.ctimeNs;
      record.baseEnd = inode.record.baseEnd;
      record.baseEpoch = inode.record.baseEpoch;
      record.allocatedBytes = inode.record.allocatedBytes;
    }
    inode.record = record;
    inode.known = true;
    // Not told of as an orphan: a file made without a name is put before it is opened.
    inodes_.settle(inode);
    inode.orphanTold = false;
  }
}

bool Session::getInode(uint64_t ino, InodeRecord *record) {
  std::lock_guard<std::mutex> lock(mutex_);
  Inode *inode = inodes_.findKnown(ino);
  if (inode) *record = inode->record;
  return inode != nullptr;
}

void Session::setAttr(uint64_t ino, uint32_t mask, const InodeRecord &record) {
  std::lock_guard<std::mutex> lock(mutex_);
  Inode &inode = known(ino);
  InodeRecord &to = inode.record;
  if (mask & kAttrMode) to.mode = record.mode;
  if (mask & kAttrUid) to.uid = record.uid;
  if (mask & kAttrGid) to.gid = record.gid;
  if (mask & kAttrAtime) to.atimeNs = record.atimeNs;
  if (mask & kAttrMtime) to.mtimeNs = record.mtimeNs;
  if (mask & kAttrCtime) to.ctimeNs = record.ctimeNs;
  if (mask & kAttrNlink) to.nlink = record.nlink;
  if (mask & kAttrRdev) to.rdev = record.rdev;
  if (mask & kAttrAllocated) to.allocatedBytes = record.allocatedBytes;
  if (mask & kAttrBtime) to.btimeNs = record.btimeNs;
  if (mask & kAttrFlags) to.flags = record.flags & kRecordPlain;
  settle(inode);
}

bool Session::dropInode(uint64_t ino) {
  std::unique_lock<std::mutex> lock(mutex_);
  waitIdle(lock, ino);
  Inode *inode = inodes_.find(ino);
  if (!inode) return true;
  if (LocalState *local = inode->local.get()) {
    const bool live = !inode->known || inode->record.nlink > 0;
    if (live && (local->isFrozen || !local->dirty.empty())) return false;
    dropUndo(*local);
    if (local->file) local->file->bindings--;
    inode->local.reset();
  }
  inode->known = false;
  settle(*inode);
  return true;
}

void Session::putDir(uint64_t ino, const uint8_t *packed, size_t length, size_t count,
                     uint64_t parent) {
  std::lock_guard<std::mutex> lock(mutex_);
  DirTable &table = dirs_.obtain(ino);
  table.parent = parent;
  table.beginReplace();
  size_t at = 0;
  bool whole = true;
  for (size_t i = 0; i < count && whole; i++) {
    whole = at + 10 <= length && at + 10 + packed[at + 9] <= length && packed[at + 9] > 0;
    if (!whole) break;
    uint64_t child;
    memcpy(&child, packed + at, sizeof child);
    const char *name = reinterpret_cast<const char *>(packed + at + 10);
    table.replacePut({name, packed[at + 9]}, child, packed[at + 8]);
    at += 10 + packed[at + 9];
  }
  table.endReplace();
  table.stale = false;
  table.complete = whole;
  dirs_.grown(ino);
  if (!whole) fail(EINVAL, "packed directory is cut short");
}

void Session::addDirent(uint64_t parent, std::string_view name, uint64_t ino, uint8_t dtype) {
  if (name.empty() || name.size() > 255) fail(EINVAL, "length of a name");
  std::lock_guard<std::mutex> lock(mutex_);
  DirTable &table = dirs_.obtain(parent);
  if (table.stale) return;  // a listing will be put before any name of it counts again
  table.put(name, ino, dtype);
  dirs_.grown(parent);
}

void Session::removeDirent(uint64_t parent, std::string_view name) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (DirTable *table = dirs_.find(parent)) table->remove(name);
}

void Session::setParent(uint64_t ino, uint64_t parent) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (DirTable *table = dirs_.find(ino)) table->parent = parent;
}

void Session::dropDir(uint64_t ino) {
  std::lock_guard<std::mutex> lock(mutex_);
  dirs_.drop(ino);
}

bool Session::hasDir(uint64_t ino) {
  std::lock_guard<std::mutex> lock(mutex_);
  DirTable *table = dirs_.find(ino);
  return table && table->complete;
}

}  // namespace pcfs
