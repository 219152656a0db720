#include "dirents.h"

#include <algorithm>
#include <cstring>
#include <functional>

namespace pcfs {
namespace {
constexpr uint32_t kGone = 0xffffffff;
}

size_t DirTable::bucketOf(std::string_view name) const {
  const size_t mask = buckets_.size() - 1;
  size_t firstGone = kNone;
  for (size_t at = std::hash<std::string_view>{}(name) & mask;; at = (at + 1) & mask) {
    const uint32_t value = buckets_[at];
    if (value == 0) return firstGone != kNone ? firstGone : at;
    if (value == kGone) {
      if (firstGone == kNone) firstGone = at;
    } else if (this->name(entries_[value - 1]) == name) {
      return at;
    }
  }
}

size_t DirTable::indexOf(std::string_view name) const {
  if (buckets_.empty()) return kNone;
  const uint32_t value = buckets_[bucketOf(name)];
  return value == 0 || value == kGone ? kNone : value - 1;
}

const Dirent *DirTable::find(std::string_view name) const {
  const size_t index = indexOf(name);
  return index == kNone ? nullptr : &entries_[index];
}

void DirTable::rehash(size_t buckets) {
  buckets_.assign(buckets, 0);
  used_ = 0;
  for (size_t i = 0; i < entries_.size(); i++) {
    if (!entries_[i].live) continue;
    buckets_[bucketOf(name(entries_[i]))] = uint32_t(i + 1);
    used_++;
  }
}

void DirTable::put(std::string_view name, uint64_t ino, uint8_t dtype) {
  const size_t index = indexOf(name);
  if (index != kNone) {
    entries_[index].ino = ino;
    entries_[index].dtype = dtype;
    return;
  }
  if ((used_ + 1) * 4 > buckets_.size() * 3)
    rehash(std::max<size_t>(8, buckets_.size() * (live_ * 2 >= buckets_.size() ? 2 : 1)));
  Dirent entry{ino, nextCookie_++, uint32_t(names_.size()), uint8_t(name.size()), dtype, true};
  names_.insert(names_.end(), name.begin(), name.end());
  entries_.push_back(entry);
  if (!kept_.empty()) kept_.push_back(true);
  const size_t bucket = bucketOf(name);
  if (buckets_[bucket] == 0) used_++;
  buckets_[bucket] = uint32_t(entries_.size());
  live_++;
}

bool DirTable::remove(std::string_view name) {
  if (buckets_.empty()) return false;
  const size_t bucket = bucketOf(name);
  if (buckets_[bucket] == 0 || buckets_[bucket] == kGone) return false;
  entries_[buckets_[bucket] - 1].live = false;
  buckets_[bucket] = kGone;
  live_--;
  if (entries_.size() > 64 && live_ * 2 < entries_.size()) compact();
  return true;
}

void DirTable::compact() {
  std::vector<Dirent> entries;
  std::vector<char> names;
  entries.reserve(live_);
  for (const Dirent &old : entries_) {
    if (!old.live) continue;
    Dirent entry = old;
    const std::string_view oldName = name(old);
    entry.nameOffset = uint32_t(names.size());
    names.insert(names.end(), oldName.begin(), oldName.end());
    entries.push_back(entry);
  }
  entries_.swap(entries);
  names_.swap(names);
  size_t buckets = 8;
  while (live_ * 2 > buckets) buckets *= 2;
  rehash(buckets);
}

size_t DirTable::after(uint64_t cookie) const {
  auto it = std::upper_bound(entries_.begin(), entries_.end(), cookie,
                             [](uint64_t c, const Dirent &entry) { return c < entry.cookie; });
  return size_t(it - entries_.begin());
}

void DirTable::beginReplace() { kept_.assign(entries_.size() + 1, false); }

void DirTable::replacePut(std::string_view name, uint64_t ino, uint8_t dtype) {
  const size_t index = indexOf(name);
  if (index != kNone) kept_[index + 1] = true;
  put(name, ino, dtype);
}

void DirTable::endReplace() {
  for (size_t i = 0; i < entries_.size(); i++) {
    if (!entries_[i].live || kept_[i + 1]) continue;
    buckets_[bucketOf(name(entries_[i]))] = kGone;
    entries_[i].live = false;
    live_--;
  }
  kept_.clear();
  if (entries_.size() > 64 && live_ * 2 < entries_.size()) compact();
}

DirTable *DirCache::find(uint64_t ino) {
  auto it = tables_.find(ino);
  if (it == tables_.end()) return nullptr;
  recent_.splice(recent_.begin(), recent_, it->second->recent);
  return it->second.get();
}

DirTable &DirCache::obtain(uint64_t ino) {
  if (DirTable *table = find(ino)) return *table;
  recent_.push_front(ino);
  auto &table = tables_[ino];
  table = std::make_unique<DirTable>();
  table->recent = recent_.begin();
  return *table;
}

void DirCache::drop(uint64_t ino) {
  auto it = tables_.find(ino);
  if (it == tables_.end()) return;
  if (it->second->handles > 0) {
    it->second->complete = false;
    it->second->stale = true;
    return;
  }
  entries_ -= it->second->counted;
  recent_.erase(it->second->recent);
  tables_.erase(it);
}

void DirCache::grown(uint64_t ino) {
  DirTable *table = find(ino);
  if (!table) return;
  entries_ += table->entries().size() - table->counted;
  table->counted = table->entries().size();
  // From the oldest on, never the one at hand nor one that is open. Bounded: each is seen once.
  auto it = recent_.end();
  while (entries_ > maxEntries_ && it != recent_.begin()) {
    --it;
    const uint64_t victim = *it;
    if (victim == ino || tables_[victim]->handles > 0) continue;
    ++it;  // drop erases the element before
    drop(victim);
  }
}

}  // namespace pcfs
