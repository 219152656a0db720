#include "slots.h"

#include <sys/mman.h>

#include <cstring>

#include "compat.h"
#include "util.h"

namespace pcfs {
namespace {
constexpr size_t kMaxParked = 1024;
constexpr size_t kMaxParkedBytes = 8u << 20;
}  // namespace

Slab::Slab() {
  void *memory = mmap(nullptr, bytes(), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) fail(errno, "request slots");
  memory_ = static_cast<uint8_t *>(memory);
}

Slab::~Slab() { munmap(memory_, bytes()); }

Slots::Slots() : slab_(std::make_shared<Slab>()) {
  state_.fill(SlotState::kFree);
  sinceNs_.fill(0);
  lentSlot_.fill(false);
  for (uint32_t i = kSlots; i > 0; i--) free_.push_back(i - 1);
}

uint64_t Slots::uniqueOf(const uint8_t *request) const {
  fuse_in_header in;
  memcpy(&in, request, sizeof in);
  return in.unique;
}

uint32_t Slots::acquire() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return stopped_ || !free_.empty(); });
  if (stopped_) return kNoSlot;
  const uint32_t index = free_.back();
  free_.pop_back();
  PCFS_ASSERT(state_[index] == SlotState::kFree);
  state_[index] = SlotState::kNative;
  return index;
}

void Slots::stop() {
  std::lock_guard<std::mutex> lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
}

void Slots::lendLocked(uint32_t index, int64_t sinceNs) {
  if (!lentSlot_[index]) lent_++;
  lentSlot_[index] = true;
  state_[index] = SlotState::kQueued;
  sinceNs_[index] = sinceNs;
  queue_.push_back(index);
}

void Slots::freeLocked(uint32_t index) {
  if (lentSlot_[index]) lent_--;
  lentSlot_[index] = false;
  state_[index] = SlotState::kFree;
  free_.push_back(index);
  changed_.notify_all();
}

void Slots::release(uint32_t index) {
  std::lock_guard<std::mutex> lock(mutex_);
  PCFS_ASSERT(state_[index] == SlotState::kNative);
  freeLocked(index);
}

bool Slots::queueForJs(uint32_t index, uint32_t length) {
  std::unique_lock<std::mutex> lock(mutex_);
  PCFS_ASSERT(state_[index] == SlotState::kNative);
  changed_.wait(lock, [&] {
    return stopped_ || lentSlot_[index] || lent_ < kSlots - kNativeSlots ||
           (parked_.size() < kMaxParked && parkedBytes_ + length <= kMaxParkedBytes);
  });
  if (stopped_) {
    freeLocked(index);
    return false;
  }
  if (lentSlot_[index] || (lent_ < kSlots - kNativeSlots && parked_.empty())) {
    lendLocked(index, lentSlot_[index] ? sinceNs_[index] : monoNs());
    return true;
  }
  const uint8_t *request = at(index);
  parked_.push_back({std::vector<uint8_t>(request, request + length), monoNs()});
  parkedBytes_ += length;
  freeLocked(index);
  return true;
}

void Slots::unparkLocked() {
  while (!parked_.empty() && lent_ < kSlots - kNativeSlots && !free_.empty()) {
    Parked parked = std::move(parked_.front());
    parked_.pop_front();
    parkedBytes_ -= parked.bytes.size();
    const uint32_t index = free_.back();
    free_.pop_back();
    memcpy(at(index), parked.bytes.data(), parked.bytes.size());
    lendLocked(index, parked.sinceNs);
  }
}

uint32_t Slots::take(uint32_t *into, uint32_t count) {
  std::lock_guard<std::mutex> lock(mutex_);
  unparkLocked();
  uint32_t n = 0;
  while (n < count && !queue_.empty()) {
    const uint32_t index = queue_.front();
    queue_.pop_front();
    state_[index] = SlotState::kTaken;
    into[n++] = index;
  }
  return n;
}

bool Slots::reclaim(uint32_t index) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (index >= kSlots) fail(EINVAL, "no such slot");
  if (state_[index] == SlotState::kExpired) {
    freeLocked(index);
    unparkLocked();
    return false;
  }
  if (state_[index] != SlotState::kTaken) fail(EINVAL, "the slot is not held by JavaScript");
  state_[index] = SlotState::kNative;
  return true;
}

bool Slots::anyWaiting() const {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!queue_.empty() || !parked_.empty()) return true;
  for (SlotState state : state_)
    if (state == SlotState::kTaken) return true;
  return false;
}

bool Slots::anyTakeable() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return !queue_.empty() || (!parked_.empty() && lent_ < kSlots - kNativeSlots);
}

std::vector<uint64_t> Slots::expire(int64_t beforeNs) {
  std::lock_guard<std::mutex> lock(mutex_);
  std::vector<uint64_t> uniques;
  for (size_t i = 0; i < queue_.size();) {
    const uint32_t index = queue_[i];
    if (sinceNs_[index] >= beforeNs) {
      i++;
      continue;
    }
    uniques.push_back(uniqueOf(at(index)));
    queue_.erase(queue_.begin() + long(i));
    freeLocked(index);
  }
  for (uint32_t index = 0; index < kSlots; index++) {
    if (state_[index] != SlotState::kTaken || sinceNs_[index] >= beforeNs) continue;
    uniques.push_back(uniqueOf(at(index)));
    state_[index] = SlotState::kExpired;
  }
  while (!parked_.empty() && parked_.front().sinceNs < beforeNs) {
    uniques.push_back(uniqueOf(parked_.front().bytes.data()));
    parkedBytes_ -= parked_.front().bytes.size();
    parked_.pop_front();
  }
  changed_.notify_all();
  return uniques;
}

bool Slots::interrupt(uint64_t unique, bool (*dying)(uint32_t pid), uint32_t *taken) {
  std::lock_guard<std::mutex> lock(mutex_);
  *taken = kNoSlot;
  const auto pidOf = [](const uint8_t *request) {
    fuse_in_header in;
    memcpy(&in, request, sizeof in);
    return in.pid;
  };
  for (size_t i = 0; i < queue_.size(); i++) {
    const uint32_t index = queue_[i];
    if (uniqueOf(at(index)) != unique) continue;
    if (!dying(pidOf(at(index)))) return false;
    queue_.erase(queue_.begin() + long(i));
    freeLocked(index);
    return true;
  }
  for (size_t i = 0; i < parked_.size(); i++) {
    if (uniqueOf(parked_[i].bytes.data()) != unique) continue;
    if (!dying(pidOf(parked_[i].bytes.data()))) return false;
    parkedBytes_ -= parked_[i].bytes.size();
    parked_.erase(parked_.begin() + long(i));
    return true;
  }
  for (uint32_t index = 0; index < kSlots; index++)
    if (state_[index] == SlotState::kTaken && uniqueOf(at(index)) == unique) *taken = index;
  return false;
}

uint32_t Slots::inUse() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return kSlots - uint32_t(free_.size());
}

}  // namespace pcfs
