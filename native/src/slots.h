// Where requests lie. A slot is 4 KiB (headers) + 1 MiB (a WRITE's bytes). Who owns it:
//   free -> native (a reader reads into it and works on it) -> free
//                                \-> queued (waits for JavaScript) -> taken (JavaScript) -> free
// `expired`: the watchdog answered what JavaScript holds; the slot is free when it lets go.
// Own mutex inside; innermost. `native` slots are touched by their owner only.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

namespace pcfs {

constexpr uint32_t kSlots = 64;
constexpr uint32_t kNativeSlots = 16;  // never lent to JavaScript
constexpr uint32_t kHeaderArea = 4096;
constexpr uint32_t kMaxWrite = 1u << 20;
constexpr uint32_t kSlotBytes = kHeaderArea + kMaxWrite;
constexpr uint32_t kNoSlot = ~0u;

enum class SlotState : uint8_t { kFree, kNative, kQueued, kTaken, kExpired };

// Anonymous memory, touched lazily; lives as long as JavaScript's ArrayBuffer or the session.
class Slab {
 public:
  Slab();
  ~Slab();
  Slab(const Slab &) = delete;
  Slab &operator=(const Slab &) = delete;
  uint8_t *slot(uint32_t index) const { return memory_ + size_t(index) * kSlotBytes; }
  uint8_t *data() const { return memory_; }
  static constexpr size_t bytes() { return size_t(kSlots) * kSlotBytes; }

 private:
  uint8_t *memory_;
};

// A request that waits outside of a slot because JavaScript's slots are all in use.
struct Parked {
  std::vector<uint8_t> bytes;
  int64_t sinceNs;
};

class Slots {
 public:
  Slots();
  const std::shared_ptr<Slab> &slab() const { return slab_; }
  uint8_t *at(uint32_t index) const { return slab_->slot(index); }

  // A free slot for a reader; waits when there is none until one is free or `stop` (then kNoSlot).
  uint32_t acquire();
  void stop();
  void release(uint32_t index);  // native -> free

  // native -> queued; when JavaScript has its share the request is parked and the slot freed.
  // Waits when even that is full. One that was JavaScript's never waits nor parks. Returns false
  // after `stop`.
  bool queueForJs(uint32_t index, uint32_t length);
  // queued -> taken.
  uint32_t take(uint32_t *into, uint32_t count);
  // taken -> native, to be answered by the caller. Returns false when it had expired (it is free
  // now); throws Errno EINVAL when it is not JavaScript's.
  // It counts as JavaScript's until it is free: so natively owned ones are never more than readers,
  // and a reader that waits for a free slot waits for nothing but another reader.
  bool reclaim(uint32_t index);
  bool anyWaiting() const;   // queued or taken or parked
  bool anyTakeable() const;  // take() would give something

  // Watchdog: uniques of all requests older than `beforeNs`; they are the caller's to answer.
  std::vector<uint64_t> expire(int64_t beforeNs);
  // INTERRUPT: a queued or parked request whose caller is dying is removed (returns true: answer
  // EINTR). A taken one: its slot goes to *taken.
  bool interrupt(uint64_t unique, bool (*dying)(uint32_t pid), uint32_t *taken);
  uint32_t inUse() const;

 private:
  uint64_t uniqueOf(const uint8_t *request) const;
  void lendLocked(uint32_t index, int64_t sinceNs);
  void freeLocked(uint32_t index);
  void unparkLocked();

  std::shared_ptr<Slab> slab_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::array<SlotState, kSlots> state_;
  std::array<int64_t, kSlots> sinceNs_;
  std::array<bool, kSlots> lentSlot_;
  std::vector<uint32_t> free_;  // last in, first out: few pages stay warm
  std::deque<uint32_t> queue_;
  std::deque<Parked> parked_;
  size_t parkedBytes_ = 0;
  uint32_t lent_ = 0;  // how many of lentSlot_
  bool stopped_ = false;
};

}  // namespace pcfs
