// Local plain files that hold inodes' bytes, and the undo file that keeps what a freeze saw.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "ranges.h"
#include "util.h"

namespace pcfs {

struct LocalFile {
  uint32_t id;
  Fd fd;
  uint32_t bindings = 0;              // inodes bound to it; session mutex
  bool unsynced = false;              // written since the last sync round took it; session mutex
  int syncError = 0;                  // from a background sync, reported once; session mutex
};

// One append-only anonymous file for all inodes: old bytes of frozen ranges that were overwritten.
// It is emptied when nothing in it is used. Its own mutex is innermost.
class UndoFile {
 public:
  explicit UndoFile(std::string directory) : directory_(std::move(directory)) {}
  // Copies [offset, offset + length) of `fd` into the undo file; returns where. Throws Errno.
  uint64_t save(int fd, uint64_t offset, uint64_t length);
  // Reads back.
  bool read(uint64_t undoOffset, void *into, uint64_t length);
  void release(uint64_t bytes);

 private:
  void create();
  std::string directory_;
  std::mutex mutex_;
  Fd fd_;
  uint64_t end_ = 0, used_ = 0;
};

// Where the old bytes of file range [start, end) are.
struct UndoPiece {
  uint64_t end, undoOffset;
};
using UndoMap = std::map<uint64_t, UndoPiece>;  // by start; disjoint

// Copies between files, by the kernel when it can. Returns 0 or an errno.
int copyBytes(int from, uint64_t fromOffset, int to, uint64_t toOffset, uint64_t length);

// Makes [offset, offset + length) read as zeros and gives the space back. Returns 0 or an errno.
int punchHole(int fd, uint64_t offset, uint64_t length);

}  // namespace pcfs
