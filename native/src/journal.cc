#include "journal.h"

#include <cstring>

#include "crc32c.h"

namespace pcfs {
namespace {

constexpr uint64_t kHeaderBytes = 64;
constexpr size_t kMaxSpares = 4;

struct SegmentHeader {
  char magic[8];
  uint32_t version, headerLength;
  uint64_t segmentId, firstSeq, salt, zero[3];
};
static_assert(sizeof(SegmentHeader) == kHeaderBytes);

struct EntryHeader {
  uint32_t crc, payloadLength;
  uint64_t seq;
  uint8_t type, zero[7];
};
static_assert(sizeof(EntryHeader) == 24);

uint64_t entryBytes(uint64_t payloadLength) {
  return (sizeof(EntryHeader) + payloadLength + 7) & ~uint64_t(7);
}

}  // namespace

void Journal::writeHeader(Segment &segment) {
  SegmentHeader header{};
  memcpy(header.magic, "PCFSJRNL", 8);
  header.version = 1;
  header.headerLength = kHeaderBytes;
  header.segmentId = segment.id;
  header.firstSeq = nextSeq_;
  header.salt = salt_;
  errno = EIO;
  if (pwriteAll(segment.fd.get(), &header, sizeof header, 0) != sizeof header)
    fail(errno, "journal segment header cannot be written");
  segment.offset = kHeaderBytes;
}

void Journal::open(Fd fd, uint64_t segmentId, uint64_t fileOffset, uint64_t limit,
                   uint64_t nextSeq, uint64_t salt) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (current_) fail(EBUSY, "the journal is open");
  if (nextSeq == 0) fail(EINVAL, "journal sequences begin at 1");
  auto segment = std::make_shared<Segment>();
  segment->fd = std::move(fd);
  segment->id = segmentId;
  segment->offset = fileOffset;
  segment->limit = limit;
  nextSeq_ = nextSeq;
  salt_ = salt;
  seed_ = crc32c(0, &salt, sizeof salt);
  if (fileOffset == 0) {
    writeHeader(*segment);
  } else if (fileOffset < kHeaderBytes || fileOffset % 8 != 0) {
    fail(EINVAL, "journal file offset");
  }
  // What an earlier process appended may not be durable yet, so the first sync covers it too.
  unsynced_.push_back(segment);
  lastWorkSeq_ = nextSeq - 1;
  current_ = std::move(segment);
}

void Journal::addSpare(Fd fd, uint64_t segmentId, uint64_t limit) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (spares_.size() >= kMaxSpares) fail(EBUSY, "the journal has enough spare segments");
  if (limit < 2 * kHeaderBytes) fail(EINVAL, "journal segment limit");
  auto segment = std::make_shared<Segment>();
  segment->fd = std::move(fd);
  segment->id = segmentId;
  segment->offset = kHeaderBytes;
  segment->limit = limit;
  spares_.push_back(std::move(segment));
}

bool Journal::isOpen() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return current_ != nullptr;
}

bool Journal::hasRoom(uint64_t payloadLength) const {
  std::lock_guard<std::mutex> lock(mutex_);
  const uint64_t bytes = entryBytes(payloadLength);
  if (!current_) return false;
  return fits(*current_, bytes) || (!spares_.empty() && fits(*spares_.front(), bytes));
}

void Journal::switchSegment() {
  writeHeader(*spares_.front());
  current_ = spares_.front();
  spares_.pop_front();
  unsynced_.push_back(current_);
  onSwitch_(current_->id);
}

uint64_t Journal::append(EntryType type, const void *payload, size_t length) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!current_) fail(EAGAIN, "the journal is not open");
  const uint64_t bytes = entryBytes(length);
  if (!fits(*current_, bytes)) {
    if (spares_.empty()) fail(EAGAIN, "the journal segment is full and there is no spare one");
    if (!fits(*spares_.front(), bytes)) fail(EFBIG, "journal entry longer than a segment");
    switchSegment();
  }
  buffer_.assign(bytes, 0);
  EntryHeader header{};
  header.payloadLength = uint32_t(length);
  header.seq = nextSeq_;
  header.type = uint8_t(type);
  memcpy(buffer_.data(), &header, sizeof header);
  if (length) memcpy(buffer_.data() + sizeof header, payload, length);
  const uint32_t crc = crc32c(seed_, buffer_.data() + 4, bytes - 4);
  memcpy(buffer_.data(), &crc, sizeof crc);
  errno = EIO;
  if (pwriteAll(current_->fd.get(), buffer_.data(), bytes, current_->offset) != bytes)
    fail(errno ? errno : EIO, "journal append");  // the next append overwrites the torn entry
  current_->offset += bytes;
  if (type != EntryType::kMark) lastWorkSeq_ = nextSeq_;
  if (unsynced_.empty() || unsynced_.back() != current_) unsynced_.push_back(current_);
  return nextSeq_++;
}

uint64_t Journal::lastSeq() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return nextSeq_ - 1;
}

uint64_t Journal::lastWorkSeq() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return lastWorkSeq_;
}

int Journal::sync() {
  std::vector<std::shared_ptr<Segment>> segments;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    segments.swap(unsynced_);
  }
  for (size_t i = 0; i < segments.size(); i++) {
    if (fdatasync(segments[i]->fd.get()) == 0) continue;
    const int error = errno;
    std::lock_guard<std::mutex> lock(mutex_);
    unsynced_.insert(unsynced_.begin(), segments.begin() + long(i), segments.end());
    return error;
  }
  return 0;
}

}  // namespace pcfs
