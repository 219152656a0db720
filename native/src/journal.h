// The append-only, checksummed journal. One writer at a time (its own mutex, innermost but for
// events); an entry is in the page cache when an append returns and durable after sync().
//
// Segment header, 64 bytes: magic "PCFSJRNL", u32 version 1, u32 header length 64, u64 segmentId,
// u64 firstSeq, u64 salt, zeros. Entry: u32 crc32c (over the 8 salt bytes, then everything after
// the crc field, padding included), u32 payloadLength, u64 seq, u8 type, 7 zero bytes, payload,
// zero padding to 8. Little endian. Sequences rise by one; the journal ends where that or the crc
// fails.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "util.h"

namespace pcfs {

enum class EntryType : uint8_t {
  kWrite = 1,
  kTruncate = 2,
  kZero = 3,
  kMeta = 4,
  kMark = 5,
  kBind = 6
};

// Payloads, exactly as they are on disk.
struct WriteEntry {  // also kZero
  uint64_t ino;
  uint32_t fileId, zero;
  uint64_t localOffset, fileOffset, length, sizeAfter;
  int64_t timeNs;
};
static_assert(sizeof(WriteEntry) == 56);
struct TruncateEntry {
  uint64_t ino, size;
  int64_t timeNs;
};
struct MarkEntry {
  uint64_t coveredSeq;
  int64_t timeNs;
};
struct BindEntry {
  uint64_t ino;
  uint32_t fileId, zero;
  uint64_t base, limit;
};
static_assert(sizeof(BindEntry) == 32);

class Journal {
 public:
  // Called (under the journal's mutex) with the segment id that was switched to.
  explicit Journal(std::function<void(uint64_t)> onSwitch) : onSwitch_(std::move(onSwitch)) {}

  void open(Fd fd, uint64_t segmentId, uint64_t fileOffset, uint64_t limit, uint64_t nextSeq,
            uint64_t salt);
  void addSpare(Fd fd, uint64_t segmentId, uint64_t limit);
  bool isOpen() const;
  // Whether an entry with this payload can be appended now without a new spare.
  bool hasRoom(uint64_t payloadLength) const;
  // Returns the entry's sequence. Throws Errno: EAGAIN no room and no spare, EFBIG too long for a
  // spare segment, or what pwrite says.
  uint64_t append(EntryType type, const void *payload, size_t length);
  uint64_t lastSeq() const;
  // The last sequence that is not a MARK: what there is to make durable.
  uint64_t lastWorkSeq() const;
  // fdatasync of every segment appended to since the last successful sync. Returns 0 or an errno.
  int sync();

 private:
  struct Segment {
    Fd fd;
    uint64_t id, offset, limit;
  };
  void switchSegment();
  bool fits(const Segment &segment, uint64_t bytes) const {
    return segment.offset + bytes <= segment.limit;
  }
  void writeHeader(Segment &segment);

  mutable std::mutex mutex_;
  std::function<void(uint64_t)> onSwitch_;
  std::shared_ptr<Segment> current_;
  std::deque<std::shared_ptr<Segment>> spares_;
  std::vector<std::shared_ptr<Segment>> unsynced_;  // in order; closed when synced and not current
  std::vector<uint8_t> buffer_;
  uint64_t nextSeq_ = 1, lastWorkSeq_ = 0, salt_ = 0;
  uint32_t seed_ = 0;
};

}  // namespace pcfs
