// Mounting and unmounting: mount(2) for root, fusermount3 for everybody else.
#pragma once

#include <string>

#include "util.h"

namespace pcfs {

struct MountSpec {
  std::string mountpoint, fsname;
  bool allowOther = false, suid = false, dev = false, readOnly = false;
};

// Mounts and returns the connection. Throws Errno.
Fd mountFuse(const MountSpec &spec);

// "maj:min" of what is mounted at the path, without touching it (it may hang); empty: nothing is.
std::string mountedDevice(const std::string &mountpoint);

// Returns 0 or an errno. May block while the kernel writes dirty pages back: not on the JavaScript
// thread.
int unmountFuse(const std::string &mountpoint, bool lazy);

// Breaks the connection: fusectl when it is there, otherwise umount -f. Returns 0 or an errno.
int abortFuse(const std::string &mountpoint, const std::string &device);

// Larger read-ahead, root only; failure is harmless.
void raiseReadAhead(const std::string &device, unsigned kilobytes);

}  // namespace pcfs
