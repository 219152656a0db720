// What keeps a mount from hanging: the watchdog, the self-request guard, INTERRUPT. And fault
// points and counters.
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>

#include <algorithm>
#include <chrono>

#include "session.h"

namespace pcfs {

// A request from a thread of this process that JavaScript must answer would wait for itself.
// pid 0 is the kernel's own (write-back) or a process of another pid namespace.
bool Session::isOwnThread(uint32_t pid) const {
  return pid != 0 && syscall(SYS_tgkill, getpid(), pid, 0) == 0;
}

namespace {

// Whether a caller will never see an answer: it is gone, or SIGKILL is pending (which is what any
// deadly signal becomes). A program that merely got a timer's signal must not see EINTR from
// chmod(2) or from reading a file: no other filesystem gives it, and hardly a program expects it.
bool isDying(uint32_t pid) {
  if (pid == 0) return false;  // of another pid namespace
  FILE *status = fopen(("/proc/" + std::to_string(pid) + "/status").c_str(), "re");
  if (!status) return errno == ENOENT;
  char line[256];
  unsigned long long pending = 0;
  while (fgets(line, sizeof line, status))
    if (sscanf(line, "SigPnd: %llx", &pending) == 1) break;
  fclose(status);
  return pending & (1ull << (SIGKILL - 1));
}

}  // namespace

Outcome Session::onInterrupt(const Request &request) {
  const auto *in = request.body<fuse_interrupt_in>();
  if (!in) return Outcome::kAnswered;
  statInterrupts_++;
  uint32_t taken = kNoSlot;
  if (slots_.interrupt(in->unique, isDying, &taken)) {
    send(in->unique, -EINTR, nullptr, 0);
  } else if (taken != kNoSlot) {
    emit(EventType::kInterrupted, taken, double(in->unique));
  }
  return Outcome::kAnswered;  // INTERRUPT has no reply; what is done natively ends by itself
}

// Silence is counted in ticks, so that a stopped (SIGSTOP) process does not look silent afterwards.
void Session::guardMain() {
  pthread_setname_np(pthread_self(), "pcfs-guard");
  if (options_.watchdogMs <= 0) return;
  const int64_t limitNs = options_.watchdogMs * 1000000;
  const int64_t tickNs = std::clamp<int64_t>(limitNs / 8, 5000000, 2000000000);
  int64_t silentNs = 0, aliveNs = jsAliveNs_, lastNs = monoNs();
  std::unique_lock<std::mutex> lock(guardMutex_);
  while (!stopping_) {
    guardCv_.wait_for(lock, std::chrono::nanoseconds(tickNs));
    if (stopping_) break;
    const int64_t now = monoNs();
    const int64_t tickedNs = std::min(now - lastNs, 2 * tickNs);
    lastNs = now;
    if (aliveNs != jsAliveNs_ || !slots_.anyWaiting()) {
      aliveNs = jsAliveNs_;
      silentNs = 0;
    } else {
      silentNs += tickedNs;
    }
    if (!slots_.anyWaiting()) continue;
    if (silentNs <= limitNs) {
      wakeJs();  // asks for a sign of life
      continue;
    }
    for (uint64_t unique : slots_.expire(now - limitNs)) {
      statExpired_++;
      send(unique, -EIO, nullptr, 0);
    }
  }
}

void Session::setFault(const std::string &name, int countdown) {
  static const char *const names[] = {"write.data", "write.journal", "sync.data", "sync.mark",
                                      "sync.done"};
  for (size_t i = 0; i < faults_.size(); i++) {
    if (name != names[i]) continue;
    faults_[i] = countdown;
    return;
  }
  fail(EINVAL, "no fault point " + name);
}

void Session::faultPoint(int point) {
  if (faults_[size_t(point)] > 0 && --faults_[size_t(point)] == 0) raise(SIGKILL);
}

std::map<std::string, double> Session::stats() {
  std::map<std::string, double> all{
      {"requests", double(statRequests_)},
      {"toJs", double(statToJs_)},
      {"reads", double(statReads_)},
      {"writes", double(statWrites_)},
      {"readBytes", double(statReadBytes_)},
      {"writtenBytes", double(statWrittenBytes_)},
      {"notices", double(statNotices_)},
      {"syncs", double(statSyncs_)},
      {"selfRequests", double(statEdeadlk_)},
      {"expired", double(statExpired_)},
      {"interrupts", double(statInterrupts_)},
      {"slotsInUse", double(slots_.inUse())},
      {"protocolMinor", double(protoMinor_)},
  };
  std::lock_guard<std::mutex> lock(mutex_);
  all["inodes"] = double(inodes_.size());
  all["directories"] = double(dirs_.size());
  all["files"] = double(files_.size());
  all["writeBudget"] = writeBudget_ == INT64_MAX ? -1 : double(writeBudget_);
  return all;
}

}  // namespace pcfs
