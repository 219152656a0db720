// Group commit. One round: fdatasync of every local file written since the last one, then a MARK
// entry that covers everything up to the round's begin, then fdatasync of the journal, then the
// answers to all who waited. Data first: an entry that a MARK covers never names bytes that a power
// loss could take.
#include <pthread.h>

#include <algorithm>
#include <chrono>

#include "session.h"

namespace pcfs {
namespace {

constexpr int64_t kFullPatienceNs = 5000000000;

}  // namespace

void Session::sync() {
  {
    std::lock_guard<std::mutex> lock(syncMutex_);
    syncAsked_ = true;
  }
  syncCv_.notify_one();
}

void Session::syncMain() {
  pthread_setname_np(pthread_self(), "pcfs-sync");
  int64_t lastNs = monoNs();
  int64_t fullSinceNs = 0;  // 0: the journal had room for the last MARK
  std::unique_lock<std::mutex> lock(syncMutex_);
  while (!stopping_) {
    if (syncWaiters_.empty() && !syncAsked_) {
      const int64_t intervalNs = options_.syncIntervalMs * 1000000;
      const auto wanted = [this] { return stopping_ || syncAsked_ || !syncWaiters_.empty(); };
      if (intervalNs > 0) {
        const int64_t restNs = std::max<int64_t>(lastNs + intervalNs - monoNs(), 1000000);
        syncCv_.wait_for(lock, std::chrono::nanoseconds(restNs), wanted);
      } else {
        syncCv_.wait(lock, wanted);
      }
      if (stopping_) break;
    }
    SyncWaiters waiters;
    waiters.swap(syncWaiters_);
    syncAsked_ = false;
    lock.unlock();
    const bool done = syncRound(waiters);
    lastNs = monoNs();
    lock.lock();
    if (done) {
      fullSinceNs = 0;
      continue;
    }
    // The journal is full: JavaScript was told and brings a segment. Those who wait go on waiting.
    // Unless the disk stays full: then an fsync fails, rather than wait for who knows how long.
    if (fullSinceNs == 0) fullSinceNs = lastNs;
    if (lastNs - fullSinceNs > kFullPatienceNs) {
      answerSync(waiters, ENOSPC);
    } else {
      syncWaiters_.insert(syncWaiters_.begin(), waiters.begin(), waiters.end());
    }
    syncAsked_ = true;
    syncCv_.wait_for(lock, std::chrono::milliseconds(20), [this] { return stopping_.load(); });
  }
  answerSync(syncWaiters_, EIO);
  syncWaiters_.clear();
}

// Returns false when there is no room for the MARK.
bool Session::syncRound(const SyncWaiters &waiters) {
  std::vector<std::shared_ptr<LocalFile>> files;
  uint64_t covered;
  bool work;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    covered = journal_.lastSeq();
    work = journal_.isOpen() && journal_.lastWorkSeq() > durableSeq_;
    if (work || !waiters.empty()) files.swap(unsyncedFiles_);
    for (const auto &file : files) file->unsynced = false;
  }
  if (journalLost_) {
    answerSync(waiters, EIO);
    return true;
  }
  if (!work && files.empty()) {
    answerSync(waiters, 0);
    return true;
  }
  statSyncs_++;
  int error = syncFiles(std::move(files));
  faultPoint(kFaultSyncData);
  if (!error && work) {
    try {
      const MarkEntry mark{covered, nowNs()};
      journal_.append(EntryType::kMark, &mark, sizeof mark);
    } catch (const Errno &failed) {
      if (failed.code == EAGAIN) return false;
      error = failed.code;
    }
    faultPoint(kFaultSyncMark);
    if (!error) error = journal_.sync();
    if (error) {
      // The kernel drops what it could not write, so a later success would prove nothing: from now
      // on no MARK is made and every fsync fails, until the next mount reads what is there.
      journalLost_ = true;
      emit(EventType::kSyncFailed, error, 0);
    } else {
      durableSeq_ = covered;
      emit(EventType::kMarked, double(covered));
    }
    faultPoint(kFaultSyncDone);
  }
  answerSync(waiters, error ? EIO : 0);
  return true;
}

int Session::syncFiles(std::vector<std::shared_ptr<LocalFile>> files) {
  int result = 0;
  if (files.size() > 1)  // start them all, then wait for each
    for (const auto &file : files) sync_file_range(file->fd.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
  for (const auto &file : files) {
    if (fdatasync(file->fd.get()) == 0) continue;
    const int error = result = errno;
    emit(EventType::kSyncFailed, error, file->id);
    std::lock_guard<std::mutex> lock(mutex_);
    file->syncError = EIO;
    markUnsynced(file);
  }
  if (!result) return 0;
  std::lock_guard<std::mutex> lock(mutex_);  // no MARK in this round: the others count again too
  for (const auto &file : files) markUnsynced(file);
  return result;
}

void Session::answerSync(const SyncWaiters &waiters, int error) {
  for (const auto &[unique, ino] : waiters) {
    const int remembered = takeSyncError(ino);
    send(unique, -(error ? error : remembered), nullptr, 0);
  }
}

int Session::takeSyncError(uint64_t ino) {
  std::lock_guard<std::mutex> lock(mutex_);
  Inode *inode = inodes_.find(ino);
  if (!inode || !inode->local || !inode->local->file) return 0;
  return std::exchange(inode->local->file->syncError, 0);
}

Outcome Session::onFsync(const Request &request) {
  {
    std::lock_guard<std::mutex> lock(syncMutex_);
    syncWaiters_.emplace_back(request.in->unique, request.in->nodeid);
  }
  syncCv_.notify_one();
  return Outcome::kAnswered;  // by the sync thread
}

}  // namespace pcfs
