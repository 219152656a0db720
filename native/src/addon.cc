// The module: mount, attach, and small helpers. Context-aware: nothing here belongs to one context
// but what hangs on its session object.
#include "addon.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <cmath>
#include <cstring>

#include "crc32c.h"

namespace pcfs {

const char *errnoName(int code) {
  switch (code) {
#define NAME(e) \
  case e:       \
    return #e
    NAME(EPERM);
    NAME(ENOENT);
    NAME(EINTR);
    NAME(EIO);
    NAME(ENXIO);
    NAME(EBADF);
    NAME(EAGAIN);
    NAME(ENOMEM);
    NAME(EACCES);
    NAME(EFAULT);
    NAME(EBUSY);
    NAME(EEXIST);
    NAME(EXDEV);
    NAME(ENODEV);
    NAME(ENOTDIR);
    NAME(EISDIR);
    NAME(EINVAL);
    NAME(ENFILE);
    NAME(EMFILE);
    NAME(EFBIG);
    NAME(ENOSPC);
    NAME(EROFS);
    NAME(ENAMETOOLONG);
    NAME(ENOSYS);
    NAME(ENOTCONN);
    NAME(EDQUOT);
    NAME(EOPNOTSUPP);
    NAME(ELOOP);
    NAME(EMSGSIZE);
    NAME(EPIPE);
#undef NAME
    default:
      return "EIO";
  }
}

void throwErrno(Napi::Env env, const Errno &error) {
  Napi::Error thrown = Napi::Error::New(
      env, std::string(errnoName(error.code)) + ": " + error.message + ": " + strerror(error.code));
  thrown.Set("code", Napi::String::New(env, errnoName(error.code)));
  thrown.Set("errno", Napi::Number::New(env, error.code));
  throw thrown;
}

namespace {
[[noreturn]] void badArgument(size_t index, const char *wanted) {
  fail(EINVAL, "argument " + std::to_string(index + 1) + " must be " + wanted);
}
}  // namespace

int64_t argI64(const Napi::CallbackInfo &info, size_t index) {
  if (index >= info.Length() || !info[index].IsNumber()) badArgument(index, "a number");
  const double value = info[index].As<Napi::Number>().DoubleValue();
  if (value != std::floor(value) || std::abs(value) > 9007199254740992.0)
    badArgument(index, "a safe integer");
  return int64_t(value);
}

uint64_t argU64(const Napi::CallbackInfo &info, size_t index) {
  const int64_t value = argI64(info, index);
  if (value < 0) badArgument(index, "not negative");
  return uint64_t(value);
}

uint32_t argU32(const Napi::CallbackInfo &info, size_t index) {
  const uint64_t value = argU64(info, index);
  if (value > UINT32_MAX) badArgument(index, "less than 2^32");
  return uint32_t(value);
}

int64_t argBigint(const Napi::CallbackInfo &info, size_t index) {
  if (index >= info.Length() || !info[index].IsBigInt()) badArgument(index, "a bigint");
  bool lossless = false;
  const int64_t value = info[index].As<Napi::BigInt>().Int64Value(&lossless);
  if (!lossless) badArgument(index, "within 64 bits");
  return value;
}

Bytes argBytes(const Napi::CallbackInfo &info, size_t index) {
  if (index >= info.Length() || !info[index].IsTypedArray()) badArgument(index, "bytes");
  const auto array = info[index].As<Napi::TypedArray>();
  if (array.TypedArrayType() != napi_uint8_array) badArgument(index, "a Uint8Array");
  auto bytes = info[index].As<Napi::Uint8Array>();
  return {bytes.Data(), bytes.ByteLength()};
}

Napi::Float64Array argDoubles(const Napi::CallbackInfo &info, size_t index) {
  if (index >= info.Length() || !info[index].IsTypedArray() ||
      info[index].As<Napi::TypedArray>().TypedArrayType() != napi_float64_array)
    badArgument(index, "a Float64Array");
  return info[index].As<Napi::Float64Array>();
}

std::vector<uint64_t> argInos(const Napi::CallbackInfo &info, size_t index) {
  const auto list = argDoubles(info, index);
  std::vector<uint64_t> inos(list.ElementLength());
  for (size_t i = 0; i < inos.size(); i++) inos[i] = uint64_t(list.Data()[i]);
  return inos;
}

Napi::Float64Array rangesToJs(Napi::Env env, const std::vector<Range> &ranges) {
  auto array = Napi::Float64Array::New(env, ranges.size() * 2);
  for (size_t i = 0; i < ranges.size(); i++) {
    array[i * 2] = double(ranges[i].start);
    array[i * 2 + 1] = double(ranges[i].end);
  }
  return array;
}

namespace {

// Brings onWork onto the JavaScript thread, and closes the session when its context goes.
struct Waker {
  std::weak_ptr<Session> session;
  Napi::ObjectReference callbacks;
  napi_threadsafe_function function = nullptr;
  napi_env env = nullptr;
};

void callOnWork(napi_env env, napi_value callback, void *context, void *) {
  if (!env) return;  // calls that were queued when it ended: the waker is gone already
  auto *waker = static_cast<Waker *>(context);
  auto session = waker->session.lock();
  if (!session) return;
  session->wakeDelivered();
  napi_call_function(env, waker->callbacks.Value(), callback, 0, nullptr, nullptr);
}

void contextGoes(void *data) {
  auto *waker = static_cast<Waker *>(data);
  if (auto session = waker->session.lock()) session->close();
}

double option(Napi::Object options, const char *name, double fallback) {
  const Napi::Value value = options.Get(name);
  return value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : fallback;
}
bool flag(Napi::Object options, const char *name) {
  const Napi::Value value = options.Get(name);
  return value.IsBoolean() && value.As<Napi::Boolean>().Value();
}
std::string text(Napi::Object options, const char *name) {
  const Napi::Value value = options.Get(name);
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
}

Options parseOptions(Napi::Object from) {
  Options options;
  options.mount.mountpoint = text(from, "mountpoint");
  options.mount.fsname = text(from, "fsname");
  options.mount.allowOther = flag(from, "allowOther");
  options.mount.suid = flag(from, "suid");
  options.mount.dev = flag(from, "dev");
  options.mount.readOnly = flag(from, "readOnly");
  const double readers = option(from, "maxReaders", 3);
  options.maxReaders = uint32_t(readers < 1 ? 1 : readers > 8 ? 8 : readers);
  options.spinUs = uint32_t(option(from, "spinUs", 30));
  options.requestTimeoutS = uint32_t(option(from, "requestTimeoutS", 0));
  options.watchdogMs = int64_t(option(from, "watchdogMs", 60000));
  options.syncIntervalMs = int64_t(option(from, "syncIntervalMs", 1000));
  options.entryTtlS = option(from, "entryTtlS", 3600);
  options.attrTtlS = option(from, "attrTtlS", 3600);
  options.negativeTtlS = option(from, "negativeTtlS", 3600);
  options.maxInodes = size_t(option(from, "maxInodes", 400000));
  options.maxDirents = size_t(option(from, "maxDirents", 1000000));
  options.undoDir = text(from, "undoDir");
  options.transportFd = int(option(from, "transportFd", -1));
  return options;
}

Napi::Value mount(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  if (info.Length() < 2 || !info[0].IsObject() || !info[1].IsObject())
    fail(EINVAL, "mount needs options and callbacks");
  const auto callbacks = info[1].As<Napi::Object>();
  const Napi::Value onWork = callbacks.Get("onWork");
  if (!onWork.IsFunction()) fail(EINVAL, "callbacks.onWork must be a function");
  // Lives as long as the thread-safe function, which ends with the context or by close().
  auto *waker = new Waker;
  waker->callbacks = Napi::Persistent(callbacks);
  waker->env = env;
  const auto destroy = [](napi_env hookEnv, void *data, void *) {
    auto *gone = static_cast<Waker *>(data);
    napi_remove_env_cleanup_hook(hookEnv, contextGoes, gone);
    delete gone;
  };
  const napi_status made = napi_create_threadsafe_function(
      env, onWork, nullptr, Napi::String::New(env, "pcfs"), 0, 1, waker, destroy, waker,
      callOnWork, &waker->function);
  if (made != napi_ok) fail(ENOMEM, "thread-safe function");
  napi_threadsafe_function function = waker->function;
  std::shared_ptr<Session> session;
  try {
    session = Session::open(parseOptions(info[0].As<Napi::Object>()), [function] {
      napi_call_threadsafe_function(function, nullptr, napi_tsfn_nonblocking);
    });
  } catch (const Errno &) {
    napi_release_threadsafe_function(function, napi_tsfn_abort);
    throw;
  }
  waker->session = session;
  napi_add_env_cleanup_hook(env, contextGoes, waker);

  Napi::Object object = Napi::Object::New(env);
  object.Set("id", Napi::Number::New(env, session->id()));
  object.Set("slotBytes", Napi::Number::New(env, kSlotBytes));
  auto *slab = new std::shared_ptr<Slab>(session->slab());
  object.Set("slab", Napi::ArrayBuffer::New(
                         env, (*slab)->data(), Slab::bytes(),
                         [](Napi::Env, void *, std::shared_ptr<Slab> *kept) { delete kept; },
                         slab));
  defineContentMethods(object, session);
  defineSessionMethods(object, session);
  method(object, "close", [session, function, released = std::make_shared<bool>(false)](
                              const Napi::CallbackInfo &) {
    session->close();
    if (!*released) napi_release_threadsafe_function(function, napi_tsfn_abort);
    *released = true;
  });
  return object;
}

Napi::Value attach(const Napi::CallbackInfo &info) {
  Napi::Object object = Napi::Object::New(info.Env());
  defineContentMethods(object, Session::byId(argU32(info, 0)));
  return object;
}

Napi::Value rawRecv(const Napi::CallbackInfo &info) {
  const Bytes into = argBytes(info, 1);
  pollfd wanted{int(argI64(info, 0)), POLLIN, 0};
  const int ready = poll(&wanted, 1, int(argI64(info, 2)));
  if (ready < 0) fail(errno, "poll");
  if (ready == 0) return Napi::Number::New(info.Env(), -1);
  const ssize_t n = recv(wanted.fd, into.data, into.length, 0);
  if (n < 0) fail(errno, "recv");
  return Napi::Number::New(info.Env(), double(n));
}

Napi::Value socketPair(const Napi::CallbackInfo &info) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) fail(errno, "socketpair");
  const int bytes = 8 << 20;  // room for requests of 1 MiB
  for (int fd : pair)
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0)
      setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  Napi::Array both = Napi::Array::New(info.Env(), 2);
  both[0u] = Napi::Number::New(info.Env(), pair[0]);
  both[1u] = Napi::Number::New(info.Env(), pair[1]);
  return both;
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  method(exports, "mount", mount);
  method(exports, "attach", attach);
  method(exports, "crc32c", [](const Napi::CallbackInfo &info) -> Napi::Value {
    const Bytes bytes = argBytes(info, 0);
    return Napi::Number::New(info.Env(), crc32c(argU32(info, 1), bytes.data, bytes.length));
  });
  method(exports, "nowNs", [](const Napi::CallbackInfo &info) -> Napi::Value {
    return Napi::BigInt::New(info.Env(), nowNs());
  });
  method(exports, "setDumpable", [](const Napi::CallbackInfo &info) {
    if (prctl(PR_SET_DUMPABLE, info[0].ToBoolean() ? 1 : 0, 0, 0, 0) != 0) {
      fail(errno, "prctl(PR_SET_DUMPABLE)");
    }
  });
  method(exports, "allocate", [](const Napi::CallbackInfo &info) {
    const int error =
        posix_fallocate(int(argI64(info, 0)), off_t(argU64(info, 1)), off_t(argU64(info, 2)));
    if (error) fail(error, "allocating disk space");
  });
  method(exports, "punch", [](const Napi::CallbackInfo &info) {
    const int error = punchHole(int(argI64(info, 0)), argU64(info, 1), argU64(info, 2));
    if (error) fail(error, "punching a hole");
  });
  method(exports, "socketpair", socketPair);
  method(exports, "rawSend", [](const Napi::CallbackInfo &info) {
    const Bytes bytes = argBytes(info, 1);
    if (send(int(argI64(info, 0)), bytes.data, bytes.length, MSG_NOSIGNAL) < 0)
      fail(errno, "send");
  });
  method(exports, "rawRecv", rawRecv);
  (void)env;
  return exports;
}

}  // namespace
}  // namespace pcfs

static Napi::Object InitModule(Napi::Env env, Napi::Object exports) {
  return pcfs::init(env, exports);
}
NODE_API_MODULE(pcfs, InitModule)
