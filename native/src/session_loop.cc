// Reading requests and sending answers. Leader and followers: exactly one reader holds the token
// and reads /dev/fuse (two that poll it are both woken for every request, measured slower); before
// it blocks on a disk it hands the token to a follower.
#include <poll.h>
#include <pthread.h>
#include <sys/uio.h>

#include "session.h"

namespace pcfs {

void Session::readerMain() {
  pthread_setname_np(pthread_self(), "pcfs-reader");
  Turn turn;
  turn.reader = true;
  while (takeToken()) {
    turn.leader = true;
    leaderLoop(turn);
    handOff(turn);
  }
}

bool Session::takeToken() {
  std::unique_lock<std::mutex> lock(tokenMutex_);
  tokenCv_.wait(lock, [this] { return stopping_ || ended_ || !tokenHeld_; });
  if (stopping_ || ended_) return false;
  tokenHeld_ = true;
  return true;
}

void Session::handOff(Turn &turn) {
  if (!turn.leader) return;
  turn.leader = false;
  {
    std::lock_guard<std::mutex> lock(tokenMutex_);
    tokenHeld_ = false;
  }
  tokenCv_.notify_one();
}

// Runs until it has handed the token off (a request wanted to block), or everything ends.
void Session::leaderLoop(Turn &turn) {
  uint32_t slot = kNoSlot;
  while (turn.leader && !stopping_ && !ended_) {
    if (resumedCount_ > 0 && handleResumed(turn)) continue;
    if (slot == kNoSlot) slot = slots_.acquire();
    if (slot == kNoSlot) break;
    const ssize_t n = readRequest(slots_.at(slot));
    if (n > 0) handleRead(turn, &slot, uint32_t(n));
  }
  if (slot != kNoSlot) slots_.release(slot);
}

bool Session::handleResumed(Turn &turn) {
  uint32_t slot;
  {
    std::lock_guard<std::mutex> lock(resumeMutex_);
    if (resumed_.empty()) return false;
    slot = resumed_.front();
    resumed_.pop_front();
    resumedCount_--;
  }
  const auto *in = reinterpret_cast<const fuse_in_header *>(slots_.at(slot));
  handleRead(turn, &slot, in->len);
  if (slot != kNoSlot) slots_.release(slot);
  return true;
}

// Afterwards *slot is the reader's again, or kNoSlot when JavaScript has it.
void Session::handleRead(Turn &turn, uint32_t *slot, uint32_t length) {
  uint8_t *bytes = slots_.at(*slot);
  const auto *in = reinterpret_cast<const fuse_in_header *>(bytes);
  // The kernel hands over whole requests only; anything else is a test's or a kernel's bug.
  if (length < sizeof *in || in->len != length) return;
  statRequests_++;
  const Request request{*slot, bytes, in, &turn};
  if (dispatch(request) == Outcome::kAnswered) return;
  if (isOwnThread(in->pid)) {  // it would wait for itself for ever
    statEdeadlk_++;
    answerError(request, EDEADLK);
    return;
  }
  statToJs_++;
  spinUseless_ = true;  // whoever asked waits for JavaScript now, which takes longer than a spin
  slots_.queueForJs(*slot, length);
  *slot = kNoSlot;
  wakeJs();
}

// Returns the length of a request, or 0 when there is none and the caller should look around.
ssize_t Session::readRequest(uint8_t *into) {
  const ssize_t n = read(fd_.get(), into, kSlotBytes);
  if (n > 0) return n;
  if (n == 0) {
    ended(0, 0);
    return 0;
  }
  switch (errno) {
    case EAGAIN:
      waitReadable();
      return 0;
    case EINTR:
    case ENOENT:  // the request was interrupted before we read it
      return 0;
    case ENODEV:
      ended(0, 0);
      return 0;
    case ECONNABORTED:
    case ECONNRESET:
      ended(1, 0);
      return 0;
    default:
      ended(2, errno);
      return 0;
  }
}

// A short spin first, as waking an idle CPU costs more than most requests; given up when it keeps
// failing, tried again now and then.
bool Session::waitReadable() {
  pollfd fds[2] = {{fd_.get(), POLLIN, 0}, {stopFd_.get(), POLLIN, 0}};
  const bool useless = std::exchange(spinUseless_, false);
  if (options_.spinUs > 0 && !useless && (spinScore_ > 0 || ++spinSkipped_ >= 16)) {
    spinSkipped_ = 0;
    const int64_t until = monoNs() + int64_t(options_.spinUs) * 1000;
    do {
      if (poll(fds, 2, 0) > 0 || resumedCount_ > 0) {
        if (spinScore_ < 8) spinScore_++;
        drainWakeups(fds[1]);
        return true;
      }
    } while (monoNs() < until);
    if (spinScore_ > 0) spinScore_--;
  }
  if (poll(fds, 2, -1) < 0 && errno != EINTR) return false;
  drainWakeups(fds[1]);
  return true;
}

// An undrained wake-up would make every later poll return at once.
void Session::drainWakeups(const pollfd &wakeups) {
  uint64_t count;
  if (!(wakeups.revents & POLLIN) || stopping_) return;
  if (read(stopFd_.get(), &count, sizeof count) < 0) PCFS_ASSERT(errno == EAGAIN);
}

int Session::sendVector(const iovec *parts, int count) {
  for (;;) {
    if (writev(fd_.get(), parts, count) >= 0) return 0;
    if (errno == EINTR) continue;
    if (errno != EAGAIN || stopping_) return errno;  // ENOENT: the request was interrupted
    pollfd room{fd_.get(), POLLOUT, 0};              // only a test's socket can be full
    poll(&room, 1, 100);
  }
}

int Session::send(uint64_t unique, int error, const void *data, size_t length) {
  fuse_out_header out{};
  out.len = uint32_t(sizeof out + length);
  out.error = error;
  out.unique = unique;
  const iovec parts[2] = {{&out, sizeof out}, {const_cast<void *>(data), length}};
  return sendVector(parts, length ? 2 : 1);
}

void Session::ended(int reason, int error) {
  if (ended_.exchange(true)) return;
  { std::lock_guard<std::mutex> lock(tokenMutex_); }
  tokenCv_.notify_all();
  emit(EventType::kEnded, reason, error);
}

void Session::wakeJs() {
  eventsWaiting_ = 0;
  if (!wakePending_.exchange(true)) wake_();
}

void Session::emit(EventType type, double value, double argument) {
  {
    std::lock_guard<std::mutex> lock(eventMutex_);
    if (type == EventType::kMarked) {
      markedEvent_ = uint64_t(value);
    } else {
      events_.push_back({type, value, argument});
    }
  }
  // What only matters to the next commit waits for the next wake-up, at the latest the MARK of its
  // own bytes: a hop to JavaScript for every new file would cost more than the write.
  const bool canWait = type == EventType::kDirtied || type == EventType::kOrphanGone;
  if (!canWait || ++eventsWaiting_ >= kMaxWaitingEvents) wakeJs();
}

}  // namespace pcfs
