// One mount: the reader threads, the tables, the journal, and what JavaScript asks of them.
//
// Locks, in the order in which they may be taken: tokenMutex_ alone; mutex_ (tables and content
// state; never held across disk I/O but short page-cache transfers), then any one of: the
// journal's, eventMutex_, the slots', the undo file's, syncMutex_, notifyMutex_, resumeMutex_,
// tokenMutex_.
#pragma once

#include <poll.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "compat.h"
#include "dirents.h"
#include "inodes.h"
#include "journal.h"
#include "local_file.h"
#include "mounting.h"
#include "slots.h"
#include "util.h"

namespace pcfs {

struct Options {
  MountSpec mount;
  uint32_t maxReaders = 3, spinUs = 30, requestTimeoutS = 0;
  int64_t watchdogMs = 60000, syncIntervalMs = 1000;
  double entryTtlS = 3600, attrTtlS = 3600, negativeTtlS = 3600;
  size_t maxInodes = 400000, maxDirents = 1000000;
  std::string undoDir;
  int transportFd = -1;
};

enum class EventType : int {
  kDirtied = 1,
  kMarked = 2,
  kJournalLow = 3,
  kOrphanGone = 4,
  kInterrupted = 5,
  kEnded = 6,
  kSyncFailed = 7
};
struct Event {
  EventType type;
  double value, argument;
};

// Whether this thread holds the reader token, so that whoever is about to block can pass it on.
struct Turn {
  bool reader = false, leader = false;
};

// One request that is being worked on natively, in its slot.
struct Request {
  uint32_t slot;
  uint8_t *bytes;
  const fuse_in_header *in;
  Turn *turn;
  template <typename T>
  const T *body() const {
    return in->len >= sizeof(*in) + sizeof(T)
               ? reinterpret_cast<const T *>(bytes + sizeof(fuse_in_header))
               : nullptr;
  }
  const uint8_t *tail(size_t after) const { return bytes + sizeof(fuse_in_header) + after; }
  size_t tailLength(size_t after) const {
    const size_t skip = sizeof(fuse_in_header) + after;
    return in->len > skip ? in->len - skip : 0;
  }
  uint8_t *replyArea() const { return bytes + kHeaderArea; }  // kMaxWrite bytes
};

enum class Outcome { kAnswered, kToJs };

struct LocalPiece {
  uint64_t start, end;
  bool hole;
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  // `wake` gets JavaScript to call takeRequests and takeEvents; from any thread, never blocks.
  static std::shared_ptr<Session> open(Options options, std::function<void()> wake);
  static std::shared_ptr<Session> byId(uint32_t id);
  ~Session();
  uint32_t id() const { return id_; }
  const std::shared_ptr<Slab> &slab() const { return slots_.slab(); }

  // JavaScript's side of requests (session_answers.cc).
  void jsAlive();       // JavaScript runs
  void wakeDelivered();  // onWork is about to be called
  uint32_t takeRequests(uint32_t *into, uint32_t count);
  uint32_t takeEvents(double *into, uint32_t triples);
  bool replyError(uint32_t slot, int error);
  bool replyEntry(uint32_t slot, uint64_t ino);
  bool replyNegative(uint32_t slot);
  bool replyAttr(uint32_t slot, uint64_t ino);
  bool replyCreate(uint32_t slot, uint64_t ino, uint64_t fh, uint32_t flags);
  bool replyData(uint32_t slot, const void *data, size_t length);
  bool resume(uint32_t slot);

  // Tables (session.cc).
  void putInodes(const uint8_t *records, size_t count);
  bool getInode(uint64_t ino, InodeRecord *record);
  bool getFrozen(uint64_t ino, InodeRecord *record);
  void setAttr(uint64_t ino, uint32_t mask, const InodeRecord &record);
  void setBase(uint64_t ino, uint64_t baseEnd, uint64_t baseEpoch);
  bool dropInode(uint64_t ino);
  void putDir(uint64_t ino, const uint8_t *packed, size_t length, size_t count, uint64_t parent);
  void addDirent(uint64_t parent, std::string_view name, uint64_t ino, uint8_t dtype);
  void removeDirent(uint64_t parent, std::string_view name);
  void setParent(uint64_t ino, uint64_t parent);
  void dropDir(uint64_t ino);
  bool hasDir(uint64_t ino);

  // Content (session_content.cc).
  void addFile(uint32_t fileId, Fd fd);
  void removeFile(uint32_t fileId);
  void bind(uint64_t ino, uint32_t fileId, uint64_t base, uint64_t limit, bool journaled);
  bool binding(uint64_t ino, uint32_t *fileId, uint64_t *base, uint64_t *limit);
  uint64_t rebind(uint64_t ino, uint32_t fileId, uint64_t base, uint64_t limit);
  bool unbind(uint64_t ino);
  void setRanges(uint64_t ino, int kind, const double *pairs, size_t count);
  std::vector<Range> ranges(uint64_t ino, int kind);
  uint64_t dirtyBytes(const std::vector<uint64_t> &inos);
  void setWriteBudget(int64_t bytes);
  uint64_t truncate(uint64_t ino, uint64_t size, int64_t timeNs);
  uint64_t zeroRange(uint64_t ino, uint64_t offset, uint64_t length, uint64_t newSize,
                     int64_t timeNs);
  bool nextLocal(uint64_t ino, uint64_t offset, LocalPiece *piece);
  bool fill(uint64_t ino, uint64_t offset, const uint8_t *data, uint64_t length,
            uint64_t baseEpoch);

  // Freezing (session_freeze.cc).
  uint64_t freeze(const std::vector<uint64_t> &inos);
  void thaw(uint64_t ino, bool ingested);
  std::vector<Range> readFrozen(uint64_t ino, uint64_t offset, uint8_t *into, uint64_t length);
  int64_t nextFrozenData(uint64_t ino, uint64_t offset);

  // Journal and sync (session_sync.cc).
  Journal &journal() { return journal_; }
  uint64_t durableSeq() const { return durableSeq_; }
  void sync();

  // Kernel caches (session_notify.cc).
  void invalidateEntry(uint64_t parent, std::string_view name);
  void invalidateInode(uint64_t ino, int64_t offset, int64_t length);

  // Life (session.cc, session_guards.cc).
  void setFault(const std::string &name, int countdown);
  int unmount(bool lazy);  // blocks; not on the JavaScript thread
  int abort();
  void close();
  std::map<std::string, double> stats();

 private:
  Session(Options options, std::function<void()> wake);
  void start();

  // Loop (session_loop.cc).
  void readerMain();
  void leaderLoop(Turn &turn);
  bool takeToken();
  void handOff(Turn &turn);  // no-op unless it leads
  ssize_t readRequest(uint8_t *into);
  bool waitReadable();
  void drainWakeups(const pollfd &wakeups);
  void handleRead(Turn &turn, uint32_t *slot, uint32_t length);
  bool handleResumed(Turn &turn);
  int send(uint64_t unique, int error, const void *data, size_t length);
  int sendVector(const struct iovec *parts, int count);
  int answer(const Request &request, const void *data, size_t length) {
    return send(request.in->unique, 0, data, length);
  }
  Outcome answerError(const Request &request, int error) {
    send(request.in->unique, -error, nullptr, 0);
    return Outcome::kAnswered;
  }
  void ended(int reason, int error);
  void wakeJs();
  void emit(EventType type, double value, double argument = 0);

  // Requests (session_init.cc, session_names.cc, session_data.cc, session_sync.cc).
  Outcome dispatch(const Request &request);
  Outcome onInit(const Request &request);
  Outcome onLookup(const Request &request);
  Outcome onForget(const Request &request);
  Outcome onBatchForget(const Request &request);
  Outcome onGetattr(const Request &request);
  Outcome onStatx(const Request &request);
  Outcome onOpendir(const Request &request);
  Outcome onReaddir(const Request &request, bool plus);
  Outcome onReleasedir(const Request &request);
  Outcome onXattr(const Request &request);
  Outcome onFsync(const Request &request);
  Outcome onRead(const Request &request);
  Outcome onWrite(const Request &request);
  Outcome onInterrupt(const Request &request);
  void forget(uint64_t ino, uint64_t count);
  void fillAttr(const Inode &inode, fuse_attr *attr) const;
  void fillEntry(const Inode &inode, fuse_entry_out *entry) const;
  void settle(Inode &inode);
  void closeDirectory(uint64_t ino);
  bool withSlot(uint32_t slot, const std::function<void(const Request &)> &act);
  void countEntry(uint64_t ino, fuse_entry_out *entry);
  void rememberName(const Request &request, uint64_t ino);
  int takeSyncError(uint64_t ino);

  // Content helpers. All want mutex_ held.
  void attachLocal(Inode &inode, const std::shared_ptr<LocalFile> &to, uint64_t base,
                   uint64_t limit, bool journaled);
  Inode &known(uint64_t ino);
  void waitIdle(std::unique_lock<std::mutex> &lock, uint64_t ino);
  void beginWriting(LocalState &local);
  void endWriting(LocalState &local);
  void saveUndo(std::unique_lock<std::mutex> &lock, LocalState &local, uint64_t start,
                uint64_t end);
  void dropUndo(LocalState &local);
  uint64_t noteWritten(Inode &inode, uint64_t start, uint64_t end);
  void markUnsynced(const std::shared_ptr<LocalFile> &file);
  std::shared_ptr<LocalFile> file(uint32_t fileId);
  std::vector<Range> undoGaps(const LocalState &local, uint64_t start, uint64_t end) const;
  Outcome finishWrite(const Request &request, Inode &inode, uint64_t offset, uint64_t written);

  // Threads of their own.
  using SyncWaiters = std::vector<std::pair<uint64_t, uint64_t>>;  // (unique, ino)
  void syncMain();
  bool syncRound(const SyncWaiters &waiters);
  int syncFiles(std::vector<std::shared_ptr<LocalFile>> files);
  void answerSync(const SyncWaiters &waiters, int error);
  void notifyMain();
  void guardMain();
  bool isOwnThread(uint32_t pid) const;
  void faultPoint(int point);

  const uint32_t id_;
  Options options_;
  std::string device_;  // maj:min of the mount
  std::function<void()> wake_;
  Fd fd_, stopFd_;
  Slots slots_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stopping_{false}, ended_{false}, closed_{false}, initDone_{false};
  std::atomic<uint32_t> protoMinor_{0};

  std::mutex tokenMutex_;
  std::condition_variable tokenCv_;
  bool tokenHeld_ = false;
  int spinScore_ = 4;  // leader only, as the next two
  uint32_t spinSkipped_ = 0;
  bool spinUseless_ = false;

  std::mutex mutex_;
  std::condition_variable ioCv_;  // a write or pin ended
  InodeTable inodes_;
  DirCache dirs_;
  std::unordered_map<uint32_t, std::shared_ptr<LocalFile>> files_;
  std::vector<std::shared_ptr<LocalFile>> unsyncedFiles_;
  int64_t writeBudget_ = INT64_MAX;
  uint32_t writers_ = 0;   // inodes with `writing`
  bool freezing_ = false;  // no write may begin
  std::atomic<int64_t> slowUntilNs_{0};  // page-cache writes are being throttled

  Journal journal_;
  UndoFile undo_;

  std::mutex guardMutex_;
  std::condition_variable guardCv_;

  std::mutex eventMutex_;
  std::deque<Event> events_;
  uint64_t markedEvent_ = 0;
  std::atomic<bool> wakePending_{false};
  std::atomic<int64_t> jsAliveNs_{0};

  std::mutex resumeMutex_;
  std::deque<uint32_t> resumed_;
  std::atomic<uint32_t> resumedCount_{0};
  static constexpr uint32_t kMaxWaitingEvents = 1024;
  std::atomic<uint32_t> eventsWaiting_{0};

  std::mutex syncMutex_;
  std::condition_variable syncCv_;
  SyncWaiters syncWaiters_;
  bool syncAsked_ = false;
  bool journalLost_ = false;  // sync thread only
  std::atomic<uint64_t> durableSeq_{0};

  struct Notice {
    uint64_t ino;      // 0: all names
    std::string name;  // empty: an inode
    int64_t offset, length;
    bool operator<(const Notice &o) const {
      return std::tie(ino, name, offset, length) < std::tie(o.ino, o.name, o.offset, o.length);
    }
  };
  void queueNotice(Notice notice);
  int sendNotice(const Notice &notice);
  std::mutex notifyMutex_;
  std::condition_variable notifyCv_;
  std::deque<Notice> notices_;
  std::set<Notice> noticesQueued_;

  std::array<std::atomic<int>, 5> faults_{};
  std::atomic<uint64_t> statRequests_{0}, statToJs_{0}, statReads_{0}, statWrites_{0},
      statReadBytes_{0}, statWrittenBytes_{0}, statNotices_{0}, statSyncs_{0}, statEdeadlk_{0},
      statExpired_{0}, statInterrupts_{0};
};

// Fault points.
enum Fault { kFaultWriteData, kFaultWriteJournal, kFaultSyncData, kFaultSyncMark, kFaultSyncDone };

}  // namespace pcfs
