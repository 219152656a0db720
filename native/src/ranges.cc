#include "ranges.h"

#include <algorithm>

namespace pcfs {

RangeSet::Map::const_iterator RangeSet::firstEndingAfter(uint64_t position) const {
  auto it = map_.upper_bound(position);
  if (it != map_.begin()) {
    auto before = std::prev(it);
    if (before->second > position) return before;
  }
  return it;
}

uint64_t RangeSet::add(uint64_t start, uint64_t end) {
  if (start >= end) return 0;
  uint64_t fresh = end - start, newEnd = end;
  auto it = map_.upper_bound(start);
  auto grown = map_.end();
  if (it != map_.begin() && std::prev(it)->second >= start) {  // touches or overlaps: grow that one
    grown = std::prev(it);
    if (grown->second >= end) return 0;
    fresh -= grown->second - start;
  }
  while (it != map_.end() && it->first <= end) {  // swallow what begins within or touches the end
    fresh -= std::min(it->second, end) - it->first;
    newEnd = std::max(newEnd, it->second);
    it = map_.erase(it);
  }
  if (grown != map_.end()) {
    grown->second = newEnd;
  } else {
    map_.emplace_hint(it, start, newEnd);
  }
  return fresh;
}

uint64_t RangeSet::remove(uint64_t start, uint64_t end) {
  if (start >= end) return 0;
  uint64_t removed = 0;
  auto it = firstEndingAfter(start);
  while (it != map_.end() && it->first < end) {
    const uint64_t a = it->first, b = it->second;
    removed += std::min(b, end) - std::max(a, start);
    auto next = std::next(it);
    map_.erase(it);
    if (a < start) map_.emplace(a, start);
    if (b > end) map_.emplace(end, b);
    it = next;
  }
  return removed;
}

void RangeSet::addAll(const RangeSet &other) {
  for (const auto &[start, end] : other.map_) add(start, end);
}

uint64_t RangeSet::bytes() const {
  uint64_t sum = 0;
  for (const auto &[start, end] : map_) sum += end - start;
  return sum;
}

bool RangeSet::covers(uint64_t start, uint64_t end) const {
  if (start >= end) return true;
  auto it = firstEndingAfter(start);
  return it != map_.end() && it->first <= start && it->second >= end;
}

bool RangeSet::intersects(uint64_t start, uint64_t end) const {
  if (start >= end) return false;
  auto it = firstEndingAfter(start);
  return it != map_.end() && it->first < end;
}

std::vector<Range> RangeSet::within(uint64_t start, uint64_t end) const {
  std::vector<Range> parts;
  for (auto it = firstEndingAfter(start); it != map_.end() && it->first < end; ++it)
    parts.push_back({std::max(it->first, start), std::min(it->second, end)});
  return parts;
}

std::vector<Range> RangeSet::missing(uint64_t start, uint64_t end) const {
  std::vector<Range> parts;
  uint64_t at = start;
  for (auto it = firstEndingAfter(start); it != map_.end() && it->first < end; ++it) {
    if (it->first > at) parts.push_back({at, it->first});
    at = std::max(at, it->second);
  }
  if (at < end) parts.push_back({at, end});
  return parts;
}

bool RangeSet::nextAt(uint64_t position, Range *out) const {
  auto it = firstEndingAfter(position);
  if (it == map_.end()) return false;
  *out = {std::max(it->first, position), it->second};
  return true;
}

std::vector<Range> RangeSet::all() const {
  std::vector<Range> parts;
  parts.reserve(map_.size());
  for (const auto &[start, end] : map_) parts.push_back({start, end});
  return parts;
}

}  // namespace pcfs
