// A set of byte positions as disjoint, non-touching, ascending ranges [start, end). Not locked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace pcfs {

struct Range {
  uint64_t start, end;
};

class RangeSet {
 public:
  // Returns how many bytes were new.
  uint64_t add(uint64_t start, uint64_t end);
  // Returns how many bytes were removed.
  uint64_t remove(uint64_t start, uint64_t end);
  void addAll(const RangeSet &other);
  void clear() { map_.clear(); }
  bool empty() const { return map_.empty(); }
  size_t count() const { return map_.size(); }
  uint64_t bytes() const;
  bool covers(uint64_t start, uint64_t end) const;
  bool intersects(uint64_t start, uint64_t end) const;
  // The parts of [start, end) that are in the set / not in the set, ascending.
  std::vector<Range> within(uint64_t start, uint64_t end) const;
  std::vector<Range> missing(uint64_t start, uint64_t end) const;
  // The first part at or after `position` (its start may be cut to position); false: none.
  bool nextAt(uint64_t position, Range *out) const;
  std::vector<Range> all() const;
  void swap(RangeSet &other) { map_.swap(other.map_); }

 private:
  using Map = std::map<uint64_t, uint64_t>;  // start -> end
  // The first range whose end is after `position`.
  Map::const_iterator firstEndingAfter(uint64_t position) const;
  Map map_;
};

}  // namespace pcfs
