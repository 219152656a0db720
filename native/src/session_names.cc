// Names and attributes: lookup, forget, getattr, directories.
#include <dirent.h>
#include <sys/stat.h>

#include <cmath>
#include <cstring>

#include "session.h"

#include <string_view>

namespace pcfs {
namespace {

constexpr uint32_t kBlockBytes = 4096;
constexpr int64_t kSecond = 1000000000;

uint64_t secondsOf(int64_t ns) { return uint64_t(ns / kSecond - (ns % kSecond < 0 ? 1 : 0)); }
uint32_t nanosOf(int64_t ns) { return uint32_t((ns % kSecond + kSecond) % kSecond); }

void setTtl(double seconds, uint64_t *whole, uint32_t *nanos) {
  *whole = uint64_t(seconds);
  *nanos = uint32_t((seconds - std::floor(seconds)) * 1e9);
}

// A name in a request ends with a NUL; empty when it does not.
std::string_view nameOf(const Request &request, size_t after) {
  const char *name = reinterpret_cast<const char *>(request.tail(after));
  const size_t room = request.tailLength(after);
  const size_t length = strnlen(name, room);
  return length < room ? std::string_view(name, length) : std::string_view();
}

// As the kernel's new_encode_dev packs device numbers.
uint32_t majorOf(uint32_t rdev) { return (rdev & 0xfff00) >> 8; }
uint32_t minorOf(uint32_t rdev) { return (rdev & 0xff) | ((rdev >> 12) & 0xfff00); }

SxTime sxTime(int64_t ns) { return {int64_t(secondsOf(ns)), nanosOf(ns), 0}; }

}  // namespace

void Session::fillAttr(const Inode &inode, fuse_attr *attr) const {
  const InodeRecord &r = inode.record;
  memset(attr, 0, sizeof *attr);
  attr->ino = r.ino;
  attr->size = r.size;
  attr->blocks = (r.allocatedBytes + 511) / 512;
  attr->atime = secondsOf(r.atimeNs);
  attr->mtime = secondsOf(r.mtimeNs);
  attr->ctime = secondsOf(r.ctimeNs);
  attr->atimensec = nanosOf(r.atimeNs);
  attr->mtimensec = nanosOf(r.mtimeNs);
  attr->ctimensec = nanosOf(r.ctimeNs);
  attr->mode = r.mode;
  attr->nlink = r.nlink;
  attr->uid = r.uid;
  attr->gid = r.gid;
  attr->rdev = r.rdev;
  attr->blksize = kBlockBytes;
}

void Session::fillEntry(const Inode &inode, fuse_entry_out *entry) const {
  memset(entry, 0, sizeof *entry);
  entry->nodeid = inode.ino();
  setTtl(options_.entryTtlS, &entry->entry_valid, &entry->entry_valid_nsec);
  setTtl(options_.attrTtlS, &entry->attr_valid, &entry->attr_valid_nsec);
  fillAttr(inode, &entry->attr);
}

Outcome Session::onLookup(const Request &request) {
  const std::string_view name = nameOf(request, 0);
  if (name.size() > 255) return answerError(request, ENAMETOOLONG);
  fuse_entry_out entry;
  memset(&entry, 0, sizeof entry);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    DirTable *table = dirs_.find(request.in->nodeid);
    if (!table || table->stale) return Outcome::kToJs;
    if (const Dirent *dirent = table->find(name)) {
      Inode *inode = inodes_.findKnown(dirent->ino);
      if (!inode) return Outcome::kToJs;
      inode->nlookup++;
      settle(*inode);
      fillEntry(*inode, &entry);
    } else {
      if (!table->complete) return Outcome::kToJs;
      if (options_.negativeTtlS <= 0) return answerError(request, ENOENT);
      setTtl(options_.negativeTtlS, &entry.entry_valid, &entry.entry_valid_nsec);
    }
  }
  if (answer(request, &entry, sizeof entry) == ENOENT && entry.nodeid) forget(entry.nodeid, 1);
  return Outcome::kAnswered;
}

void Session::forget(uint64_t ino, uint64_t count) {
  std::lock_guard<std::mutex> lock(mutex_);
  Inode *inode = inodes_.find(ino);
  if (!inode || count == 0) return;
  inode->nlookup -= std::min(inode->nlookup, count);
  settle(*inode);
}

Outcome Session::onForget(const Request &request) {
  if (const auto *in = request.body<fuse_forget_in>()) forget(request.in->nodeid, in->nlookup);
  return Outcome::kAnswered;  // FORGET has no reply
}

Outcome Session::onBatchForget(const Request &request) {
  const auto *in = request.body<fuse_batch_forget_in>();
  if (!in) return Outcome::kAnswered;
  const size_t count = std::min<size_t>(
      in->count, request.tailLength(sizeof *in) / sizeof(fuse_forget_one));
  const auto *list = reinterpret_cast<const fuse_forget_one *>(request.tail(sizeof *in));
  for (size_t i = 0; i < count; i++) forget(list[i].nodeid, list[i].nlookup);
  return Outcome::kAnswered;
}

Outcome Session::onGetattr(const Request &request) {
  fuse_attr_out out;
  memset(&out, 0, sizeof out);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const Inode *inode = inodes_.findKnown(request.in->nodeid);
    if (!inode) return Outcome::kToJs;
    fillAttr(*inode, &out.attr);
  }
  setTtl(options_.attrTtlS, &out.attr_valid, &out.attr_valid_nsec);
  answer(request, &out, sizeof out);
  return Outcome::kAnswered;
}

// The kernel asks for security.capability before the first write to a file, and ls for others.
Outcome Session::onXattr(const Request &request) {
  const auto *in = request.body<fuse_getxattr_in>();
  if (!in) return answerError(request, EINVAL);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const Inode *inode = inodes_.findKnown(request.in->nodeid);
    if (!inode || !(inode->record.flags & kRecordPlain)) return Outcome::kToJs;
  }
  if (request.in->opcode == FUSE_GETXATTR) {
    const char *name = reinterpret_cast<const char *>(in + 1);
    const size_t length = request.in->len - sizeof *request.in - sizeof *in;
    const std::string_view given(name, strnlen(name, length));
    if (given.rfind("security.", 0) != 0 && given.rfind("user.", 0) != 0) return Outcome::kToJs;
    return answerError(request, ENODATA);
  }
  const fuse_getxattr_out none{};
  answer(request, &none, in->size == 0 ? sizeof none : 0);
  return Outcome::kAnswered;
}

Outcome Session::onStatx(const Request &request) {
  StatxOut out;
  memset(&out, 0, sizeof out);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const Inode *inode = inodes_.findKnown(request.in->nodeid);
    if (!inode) return Outcome::kToJs;
    const InodeRecord &r = inode->record;
    Statx &sx = out.stat;
    sx.mask = STATX_BASIC_STATS | STATX_BTIME;
    sx.blksize = kBlockBytes;
    sx.nlink = r.nlink;
    sx.uid = r.uid;
    sx.gid = r.gid;
    sx.mode = uint16_t(r.mode);
    sx.ino = r.ino;
    sx.size = r.size;
    sx.blocks = (r.allocatedBytes + 511) / 512;
    sx.atime = sxTime(r.atimeNs);
    sx.btime = sxTime(r.btimeNs);
    sx.ctime = sxTime(r.ctimeNs);
    sx.mtime = sxTime(r.mtimeNs);
    sx.rdev_major = majorOf(r.rdev);
    sx.rdev_minor = minorOf(r.rdev);
  }
  setTtl(options_.attrTtlS, &out.attr_valid, &out.attr_valid_nsec);
  answer(request, &out, sizeof out);
  return Outcome::kAnswered;
}

Outcome Session::onOpendir(const Request &request) {
  OpenOut out{};
  {
    std::lock_guard<std::mutex> lock(mutex_);
    DirTable *table = dirs_.find(request.in->nodeid);
    if (!table || !table->complete) return Outcome::kToJs;
    // A listing that the kernel cached earlier has cookies of a table that is gone: not kept.
    out.open_flags = kOpenCacheDir | (table->cacheGranted ? kOpenKeepCache : 0);
    table->cacheGranted = true;
    table->handles++;
  }
  if (answer(request, &out, sizeof out) == ENOENT) closeDirectory(request.in->nodeid);
  return Outcome::kAnswered;
}

void Session::closeDirectory(uint64_t ino) {
  std::lock_guard<std::mutex> lock(mutex_);
  DirTable *table = dirs_.find(ino);
  if (table && table->handles > 0 && --table->handles == 0 && table->stale) dirs_.drop(ino);
}

Outcome Session::onReleasedir(const Request &request) {
  closeDirectory(request.in->nodeid);
  answer(request, nullptr, 0);
  return Outcome::kAnswered;
}

namespace {

// Packs directory entries as the kernel wants them.
class DirentPacker {
 public:
  DirentPacker(uint8_t *into, size_t room, bool plus) : into_(into), room_(room), plus_(plus) {}
  // `entry` is copied for READDIRPLUS. Returns false when there is no more room.
  bool add(std::string_view name, uint64_t ino, uint64_t cookie, uint32_t type,
           const fuse_entry_out &entry) {
    const size_t head = (plus_ ? sizeof(fuse_entry_out) : 0) + FUSE_NAME_OFFSET;
    const size_t bytes = (head + name.size() + 7) & ~size_t(7);
    if (used_ + bytes > room_) return false;
    uint8_t *at = into_ + used_;
    memset(at + head + name.size(), 0, bytes - head - name.size());
    if (plus_) {
      memcpy(at, &entry, sizeof entry);
      at += sizeof entry;
    }
    fuse_dirent dirent{};
    dirent.ino = ino;
    dirent.off = cookie;
    dirent.namelen = uint32_t(name.size());
    dirent.type = type;
    memcpy(at, &dirent, FUSE_NAME_OFFSET);
    memcpy(at + FUSE_NAME_OFFSET, name.data(), name.size());
    used_ += bytes;
    return true;
  }
  size_t used() const { return used_; }

 private:
  uint8_t *into_;
  size_t room_, used_ = 0;
  bool plus_;
};

}  // namespace

Outcome Session::onReaddir(const Request &request, bool plus) {
  const auto *in = request.body<fuse_read_in>();
  if (!in) return answerError(request, EINVAL);
  DirentPacker packer(request.replyArea(), std::min(in->size, kMaxWrite), plus);
  std::vector<uint64_t> counted;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    DirTable *table = dirs_.find(request.in->nodeid);
    if (!table || !table->complete) return Outcome::kToJs;
    const fuse_entry_out none{};
    bool room = true;
    if (in->offset < 1) room = packer.add(".", request.in->nodeid, 1, DT_DIR, none);
    if (in->offset < 2 && room) room = packer.add("..", table->parent, 2, DT_DIR, none);
    const auto &entries = table->entries();
    for (size_t i = table->after(std::max<uint64_t>(in->offset, 2)); room && i < entries.size();
         i++) {
      const Dirent &dirent = entries[i];
      if (!dirent.live) continue;
      fuse_entry_out entry{};
      Inode *inode = plus ? inodes_.findKnown(dirent.ino) : nullptr;
      if (inode) fillEntry(*inode, &entry);
      room = packer.add(table->name(dirent), dirent.ino, dirent.cookie, dirent.dtype, entry);
      if (!room || !inode) continue;
      inode->nlookup++;
      settle(*inode);
      counted.push_back(dirent.ino);
    }
  }
  if (answer(request, request.replyArea(), packer.used()) == ENOENT)
    for (uint64_t ino : counted) forget(ino, 1);
  return Outcome::kAnswered;
}

}  // namespace pcfs
