#include "mounting.h"

#include <spawn.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

extern char **environ;

namespace pcfs {
namespace {

constexpr unsigned kMaxRead = 1u << 20;

Fd mountAsRoot(const MountSpec &spec) {
  Fd fd(open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!fd.valid()) fail(errno, "/dev/fuse cannot be opened");
  char data[256];
  snprintf(data, sizeof data,
           "fd=%d,rootmode=40000,user_id=%u,group_id=%u,default_permissions,max_read=%u%s",
           fd.get(), getuid(), getgid(), kMaxRead, spec.allowOther ? ",allow_other" : "");
  unsigned long flags = 0;
  if (!spec.suid) flags |= MS_NOSUID;
  if (!spec.dev) flags |= MS_NODEV;
  if (spec.readOnly) flags |= MS_RDONLY;
  if (mount(spec.fsname.c_str(), spec.mountpoint.c_str(), "fuse.pcfs", flags, data) != 0)
    fail(errno, "mounting on " + spec.mountpoint);
  return fd;
}

// In fusermount3's option string a comma or backslash is escaped.
std::string escaped(const std::string &text) {
  std::string out;
  for (char c : text) {
    if (c == ',' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

// fusermount3 with the child's end of a socket in _FUSE_COMMFD. Returns its exit status or -1.
int runFusermount(std::vector<std::string> arguments, int commFd) {
  std::vector<char *> argv;
  for (auto &argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::string comm = "_FUSE_COMMFD=" + std::to_string(commFd);
  std::vector<char *> env;
  for (char **e = environ; *e; e++)
    if (strncmp(*e, "_FUSE_COMMFD=", 13) != 0) env.push_back(*e);
  if (commFd >= 0) env.push_back(comm.data());
  env.push_back(nullptr);
  // Node blocks nothing, but our threads do: the child starts with a clean mask.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t pid = -1;
  const int error = posix_spawnp(&pid, argv[0], nullptr, &attributes, argv.data(), env.data());
  posix_spawnattr_destroy(&attributes);
  if (error) {
    errno = error;
    return -1;
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

Fd receiveFd(int socket) {
  char byte;
  iovec iov{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n;
  do n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  while (n < 0 && errno == EINTR);
  cmsghdr *header = n > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
  if (!header || header->cmsg_type != SCM_RIGHTS) return Fd();
  int fd;
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return Fd(fd);
}

Fd mountAsUser(const MountSpec &spec) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) fail(errno, "socketpair");
  Fd ours(pair[0]), theirs(pair[1]);
  fcntl(ours.get(), F_SETFD, FD_CLOEXEC);
  std::string options = "default_permissions,subtype=pcfs,max_read=" + std::to_string(kMaxRead) +
                        ",fsname=" + escaped(spec.fsname);
  if (spec.allowOther) options += ",allow_other";
  if (spec.readOnly) options += ",ro";
  if (spec.suid) options += ",suid";
  if (spec.dev) options += ",dev";
  const int status =
      runFusermount({"fusermount3", "-o", options, "--", spec.mountpoint}, theirs.get());
  const int error = errno;
  theirs.reset();
  if (status < 0) fail(error, "fusermount3 cannot be run; install the package fuse3");
  if (status != 0) fail(EPERM, "fusermount3 refused to mount on " + spec.mountpoint);
  Fd fd = receiveFd(ours.get());
  if (!fd.valid()) fail(EIO, "fusermount3 gave no connection");
  return fd;
}

// mountinfo writes space, tab, newline and backslash as \ooo.
std::string unescaped(const std::string &text) {
  std::string out;
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += char(strtol(text.substr(i + 1, 3).c_str(), nullptr, 8));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

Fd mountFuse(const MountSpec &spec) {
  Fd fd = geteuid() == 0 ? mountAsRoot(spec) : mountAsUser(spec);
  fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
  fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
  return fd;
}

std::string mountedDevice(const std::string &mountpoint) {
  std::ifstream mounts("/proc/self/mountinfo");
  std::string line, device;
  while (std::getline(mounts, line)) {
    std::istringstream words(line);
    std::string id, parent, majorMinor, root, path;
    words >> id >> parent >> majorMinor >> root >> path;
    if (unescaped(path) == mountpoint) device = majorMinor;  // the last one is on top
  }
  return device;
}

int unmountFuse(const std::string &mountpoint, bool lazy) {
  if (geteuid() == 0) {
    const int flags = UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0);
    return umount2(mountpoint.c_str(), flags) == 0 ? 0 : errno;
  }
  const int status = runFusermount({"fusermount3", lazy ? "-uzq" : "-uq", "--", mountpoint}, -1);
  return status == 0 ? 0 : status < 0 ? errno : EBUSY;
}

int abortFuse(const std::string &mountpoint, const std::string &device) {
  const size_t colon = device.find(':');
  if (colon != std::string::npos) {
    const std::string path = "/sys/fs/fuse/connections/" + device.substr(colon + 1) + "/abort";
    Fd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (fd.valid() && write(fd.get(), "1", 1) == 1) return 0;
  }
  if (geteuid() != 0) return EPERM;
  // umount -f aborts first and then fails with EBUSY when files are open: aborted all the same.
  if (umount2(mountpoint.c_str(), MNT_FORCE | UMOUNT_NOFOLLOW) == 0 || errno == EBUSY) return 0;
  return errno;
}

void raiseReadAhead(const std::string &device, unsigned kilobytes) {
  if (device.empty()) return;
  std::ofstream file("/sys/class/bdi/" + device + "/read_ahead_kb");
  file << kilobytes;
}

}  // namespace pcfs
