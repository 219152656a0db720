// Directories' names: complete listings and partial knowledge. Belongs to the session mutex.
// A cookie (readdir offset) names an entry for as long as the table lives: cookies only grow, an
// entry keeps its own, compaction keeps them, and a table with open handles is never evicted. So a
// readdir that runs while names come and go sees every name that stays exactly once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pcfs {

struct Dirent {
  uint64_t ino, cookie;
  uint32_t nameOffset;
  uint8_t nameLength, dtype;
  bool live;
};

// "." has cookie 1, ".." cookie 2.
constexpr uint64_t kFirstCookie = 3;

class DirTable {
 public:
  bool complete = false;
  bool stale = false;         // forgotten while handles were open: only its cookies count
  bool cacheGranted = false;  // the kernel's cached listing, if any, has this table's cookies
  uint64_t parent = 0;
  uint32_t handles = 0;
  std::list<uint64_t>::iterator recent;  // owned by DirCache
  size_t counted = 0;                    // owned by DirCache

  const Dirent *find(std::string_view name) const;
  // Adds, or changes what the name refers to.
  void put(std::string_view name, uint64_t ino, uint8_t dtype);
  bool remove(std::string_view name);
  std::string_view name(const Dirent &entry) const {
    return {names_.data() + entry.nameOffset, entry.nameLength};
  }
  // Index of the first entry (live or not) whose cookie is greater than `cookie`.
  size_t after(uint64_t cookie) const;
  const std::vector<Dirent> &entries() const { return entries_; }
  size_t live() const { return live_; }
  // Replacing all: begin, put each, end. What was not put is removed.
  void beginReplace();
  void replacePut(std::string_view name, uint64_t ino, uint8_t dtype);
  void endReplace();

 private:
  size_t bucketOf(std::string_view name) const;  // of the entry, or of where it would go
  size_t indexOf(std::string_view name) const;   // into entries_, or kNone
  void rehash(size_t buckets);
  void compact();
  static constexpr size_t kNone = ~size_t(0);
  std::vector<Dirent> entries_;     // ascending cookies
  std::vector<char> names_;
  std::vector<uint32_t> buckets_;   // index + 1; 0 empty; kGone removed. Open addressing
  std::vector<bool> kept_;          // while replacing
  size_t live_ = 0, used_ = 0;      // used_: buckets that are not empty
  uint64_t nextCookie_ = kFirstCookie;
};

class DirCache {
 public:
  explicit DirCache(size_t maxEntries) : maxEntries_(maxEntries) {}
  DirTable *find(uint64_t ino);  // marks it as recently used
  DirTable &obtain(uint64_t ino);
  // Forgets the names; keeps the table for its cookies while handles are open.
  void drop(uint64_t ino);
  // To be called after entries were added to `ino`.
  void grown(uint64_t ino);
  size_t size() const { return tables_.size(); }

 private:
  std::unordered_map<uint64_t, std::unique_ptr<DirTable>> tables_;
  std::list<uint64_t> recent_;  // newest first
  size_t maxEntries_, entries_ = 0;
};

}  // namespace pcfs
