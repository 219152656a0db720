// A session's methods for the main thread.
#include <cstring>
#include <thread>

#include "addon.h"

namespace pcfs {
namespace {

using Info = const Napi::CallbackInfo &;
using Shared = std::shared_ptr<Session>;

Napi::Value boolean(Info info, bool value) { return Napi::Boolean::New(info.Env(), value); }
Napi::Value number(Info info, double value) { return Napi::Number::New(info.Env(), value); }

// A record argument, for reading or writing.
uint8_t *recordArg(Info info, size_t index) {
  const Bytes bytes = argBytes(info, index);
  if (bytes.length < sizeof(InodeRecord)) fail(EINVAL, "an inode record has 112 bytes");
  return bytes.data;
}

void defineAnswers(Napi::Object object, const Shared &s) {
  method(object, "takeRequests", [s](Info info) {
    if (info.Length() < 1 || !info[0].IsTypedArray() ||
        info[0].As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array)
      fail(EINVAL, "takeRequests needs a Uint32Array");
    auto into = info[0].As<Napi::Uint32Array>();
    return number(info, s->takeRequests(into.Data(), uint32_t(into.ElementLength())));
  });
  method(object, "takeEvents", [s](Info info) {
    auto into = argDoubles(info, 0);
    return number(info, s->takeEvents(into.Data(), uint32_t(into.ElementLength() / 3)));
  });
  method(object, "replyError", [s](Info info) {
    return boolean(info, s->replyError(argU32(info, 0), int(argU32(info, 1))));
  });
  method(object, "replyEntry", [s](Info info) {
    return boolean(info, s->replyEntry(argU32(info, 0), argU64(info, 1)));
  });
  method(object, "replyNegative",
         [s](Info info) { return boolean(info, s->replyNegative(argU32(info, 0))); });
  method(object, "replyAttr", [s](Info info) {
    return boolean(info, s->replyAttr(argU32(info, 0), argU64(info, 1)));
  });
  method(object, "replyCreate", [s](Info info) {
    return boolean(info, s->replyCreate(argU32(info, 0), argU64(info, 1), argU64(info, 2),
                                        argU32(info, 3)));
  });
  method(object, "replyData", [s](Info info) {
    const Bytes data = argBytes(info, 1);
    return boolean(info, s->replyData(argU32(info, 0), data.data, data.length));
  });
  method(object, "replyOk",
         [s](Info info) { return boolean(info, s->replyData(argU32(info, 0), nullptr, 0)); });
  method(object, "resume",
         [s](Info info) { return boolean(info, s->resume(argU32(info, 0))); });
}

void defineTables(Napi::Object object, const Shared &s) {
  method(object, "putInodes", [s](Info info) {
    const Bytes records = argBytes(info, 0);
    const uint64_t count = argU64(info, 1);
    if (count * sizeof(InodeRecord) > records.length) fail(EINVAL, "fewer records than said");
    s->putInodes(records.data, count);
  });
  const auto readRecord = [&](const char *name, bool (Session::*read)(uint64_t, InodeRecord *)) {
    method(object, name, [s, read](Info info) {
      uint8_t *into = recordArg(info, 1);
      InodeRecord record;
      const bool there = (s.get()->*read)(argU64(info, 0), &record);
      if (there) memcpy(into, &record, sizeof record);
      return boolean(info, there);
    });
  };
  readRecord("getInode", &Session::getInode);
  readRecord("getFrozen", &Session::getFrozen);
  method(object, "setAttr", [s](Info info) {
    InodeRecord record;
    memcpy(&record, recordArg(info, 2), sizeof record);
    s->setAttr(argU64(info, 0), argU32(info, 1), record);
  });
  method(object, "setBase",
         [s](Info info) { s->setBase(argU64(info, 0), argU64(info, 1), argU64(info, 2)); });
  method(object, "dropInode",
         [s](Info info) { return boolean(info, s->dropInode(argU64(info, 0))); });
  method(object, "putDir", [s](Info info) {
    const Bytes packed = argBytes(info, 1);
    s->putDir(argU64(info, 0), packed.data, packed.length, argU64(info, 2), argU64(info, 3));
  });
  method(object, "addDirent", [s](Info info) {
    s->addDirent(argU64(info, 0), argBytes(info, 1).text(), argU64(info, 2),
                 uint8_t(argU32(info, 3)));
  });
  method(object, "removeDirent",
         [s](Info info) { s->removeDirent(argU64(info, 0), argBytes(info, 1).text()); });
  method(object, "setParent",
         [s](Info info) { s->setParent(argU64(info, 0), argU64(info, 1)); });
  method(object, "dropDir", [s](Info info) { s->dropDir(argU64(info, 0)); });
  method(object, "hasDir", [s](Info info) { return boolean(info, s->hasDir(argU64(info, 0))); });
}

void defineBindings(Napi::Object object, const Shared &s) {
  method(object, "addFile",
         [s](Info info) { s->addFile(argU32(info, 0), Fd(int(argU32(info, 1)))); });
  method(object, "removeFile", [s](Info info) { s->removeFile(argU32(info, 0)); });
  method(object, "bind", [s](Info info) {
    s->bind(argU64(info, 0), argU32(info, 1), argU64(info, 2), argU64(info, 3), true);
  });
  method(object, "restoreBinding", [s](Info info) {
    s->bind(argU64(info, 0), argU32(info, 1), argU64(info, 2), argU64(info, 3), false);
  });
  method(object, "rebind", [s](Info info) {
    return number(info, double(s->rebind(argU64(info, 0), argU32(info, 1), argU64(info, 2),
                                         argU64(info, 3))));
  });
  method(object, "binding", [s](Info info) -> Napi::Value {
    uint32_t fileId;
    uint64_t base, limit;
    if (!s->binding(argU64(info, 0), &fileId, &base, &limit)) return info.Env().Null();
    Napi::Object out = Napi::Object::New(info.Env());
    out.Set("fileId", number(info, fileId));
    out.Set("base", number(info, double(base)));
    out.Set("limit", number(info, double(limit)));
    return out;
  });
  method(object, "unbind", [s](Info info) { return boolean(info, s->unbind(argU64(info, 0))); });
  method(object, "setRanges", [s](Info info) {
    const auto pairs = argDoubles(info, 2);
    s->setRanges(argU64(info, 0), int(argU32(info, 1)), pairs.Data(), pairs.ElementLength());
  });
  method(object, "ranges", [s](Info info) -> Napi::Value {
    return rangesToJs(info.Env(), s->ranges(argU64(info, 0), int(argU32(info, 1))));
  });
  method(object, "dirtyBytes", [s](Info info) {
    return number(info, double(s->dirtyBytes(argInos(info, 0))));
  });
  method(object, "setWriteBudget", [s](Info info) { s->setWriteBudget(argI64(info, 0)); });
  method(object, "truncate", [s](Info info) {
    return number(info,
                  double(s->truncate(argU64(info, 0), argU64(info, 1), argBigint(info, 2))));
  });
  method(object, "zeroRange", [s](Info info) {
    return number(info, double(s->zeroRange(argU64(info, 0), argU64(info, 1), argU64(info, 2),
                                            argU64(info, 3), argBigint(info, 4))));
  });
  method(object, "nextLocal", [s](Info info) -> Napi::Value {
    LocalPiece piece;
    if (!s->nextLocal(argU64(info, 0), argU64(info, 1), &piece)) return info.Env().Null();
    Napi::Object out = Napi::Object::New(info.Env());
    out.Set("start", number(info, double(piece.start)));
    out.Set("end", number(info, double(piece.end)));
    out.Set("hole", boolean(info, piece.hole));
    return out;
  });
  method(object, "freeze", [s](Info info) {
    return number(info, double(s->freeze(argInos(info, 0))));
  });
  method(object, "thaw", [s](Info info) {
    s->thaw(argU64(info, 0), info.Length() > 1 && info[1].ToBoolean().Value());
  });
}

void defineJournal(Napi::Object object, const Shared &s) {
  method(object, "journalOpen", [s](Info info) {
    if (info.Length() < 1 || !info[0].IsObject()) fail(EINVAL, "journalOpen needs options");
    const auto options = info[0].As<Napi::Object>();
    const auto u64 = [&](const char *name) {
      const Napi::Value value = options.Get(name);
      if (!value.IsNumber() || value.As<Napi::Number>().DoubleValue() < 0)
        fail(EINVAL, std::string("journalOpen needs ") + name);
      return uint64_t(value.As<Napi::Number>().DoubleValue());
    };
    Fd fd(int(u64("fd")));
    bool lossless;
    if (!options.Get("salt").IsBigInt()) fail(EINVAL, "journalOpen needs salt");
    const uint64_t salt = options.Get("salt").As<Napi::BigInt>().Uint64Value(&lossless);
    s->journal().open(std::move(fd), u64("segmentId"), u64("fileOffset"), u64("limit"),
                      u64("nextSeq"), salt);
  });
  method(object, "journalSpare", [s](Info info) {
    Fd fd(int(argU32(info, 0)));
    s->journal().addSpare(std::move(fd), argU64(info, 1), argU64(info, 2));
  });
  method(object, "journalAppend", [s](Info info) {
    const Bytes payload = argBytes(info, 0);
    const uint64_t length = argU64(info, 1);
    if (length > payload.length) fail(EINVAL, "length is more than the buffer has");
    return number(info, double(s->journal().append(EntryType::kMeta, payload.data, length)));
  });
  method(object, "lastSeq",
         [s](Info info) { return number(info, double(s->journal().lastWorkSeq())); });
  method(object, "durableSeq", [s](Info info) { return number(info, double(s->durableSeq())); });
  method(object, "sync", [s](Info) { s->sync(); });
}

// Unmounting may wait for the kernel to write dirty pages back, through this very process.
struct Unmounting {
  explicit Unmounting(Napi::Env env) : deferred(Napi::Promise::Deferred::New(env)) {}
  Napi::Promise::Deferred deferred;
  int error = 0;
};

void settleUnmount(napi_env env, napi_value, void *, void *data) {
  std::unique_ptr<Unmounting> unmounting(static_cast<Unmounting *>(data));
  if (!env) return;
  Napi::HandleScope scope(env);
  if (unmounting->error == 0) {
    unmounting->deferred.Resolve(Napi::Env(env).Undefined());
    return;
  }
  try {
    throwErrno(env, Errno{unmounting->error, "unmounting"});
  } catch (const Napi::Error &error) {
    unmounting->deferred.Reject(error.Value());
  }
}

Napi::Value unmount(Info info, const Shared &session) {
  bool lazy = false;
  if (info.Length() > 0 && info[0].IsObject())
    lazy = info[0].As<Napi::Object>().Get("lazy").ToBoolean().Value();
  auto *unmounting = new Unmounting(info.Env());
  const Napi::Promise promise = unmounting->deferred.Promise();
  napi_threadsafe_function done;
  if (napi_create_threadsafe_function(info.Env(), nullptr, nullptr,
                                      Napi::String::New(info.Env(), "pcfs-unmount"), 0, 1, nullptr,
                                      nullptr, nullptr, settleUnmount, &done) != napi_ok)
    fail(ENOMEM, "thread-safe function");
  std::thread([session, unmounting, lazy, done] {
    unmounting->error = session->unmount(lazy);
    napi_call_threadsafe_function(done, unmounting, napi_tsfn_nonblocking);
    napi_release_threadsafe_function(done, napi_tsfn_release);
  }).detach();
  return promise;
}

}  // namespace

void defineSessionMethods(Napi::Object object, const Shared &s) {
  defineAnswers(object, s);
  defineTables(object, s);
  defineBindings(object, s);
  defineJournal(object, s);
  method(object, "invalidateEntry",
         [s](Info info) { s->invalidateEntry(argU64(info, 0), argBytes(info, 1).text()); });
  method(object, "invalidateInode", [s](Info info) {
    s->invalidateInode(argU64(info, 0), argI64(info, 1), argI64(info, 2));
  });
  method(object, "setFault", [s](Info info) {
    if (info.Length() < 1 || !info[0].IsString()) fail(EINVAL, "setFault needs a name");
    s->setFault(info[0].As<Napi::String>().Utf8Value(), int(argU32(info, 1)));
  });
  method(object, "unmount", [s](Info info) -> Napi::Value { return unmount(info, s); });
  method(object, "abort", [s](Info) {
    const int error = s->abort();
    if (error) fail(error, "aborting the connection");
  });
  method(object, "stats", [s](Info info) -> Napi::Value {
    Napi::Object out = Napi::Object::New(info.Env());
    for (const auto &[name, value] : s->stats()) out.Set(name, number(info, value));
    return out;
  });
}

}  // namespace pcfs
