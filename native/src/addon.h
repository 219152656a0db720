// Between JavaScript values and C++: argument checks, errors, methods.
#pragma once

#include <napi.h>

#include <memory>
#include <string_view>
#include <utility>

#include "session.h"

namespace pcfs {

[[noreturn]] void throwErrno(Napi::Env env, const Errno &error);

// A non-negative safe integer.
uint64_t argU64(const Napi::CallbackInfo &info, size_t index);
int64_t argI64(const Napi::CallbackInfo &info, size_t index);
uint32_t argU32(const Napi::CallbackInfo &info, size_t index);
int64_t argBigint(const Napi::CallbackInfo &info, size_t index);
struct Bytes {
  uint8_t *data;
  size_t length;
  std::string_view text() const { return {reinterpret_cast<const char *>(data), length}; }
};
Bytes argBytes(const Napi::CallbackInfo &info, size_t index);
std::vector<uint64_t> argInos(const Napi::CallbackInfo &info, size_t index);  // a Float64Array
Napi::Float64Array argDoubles(const Napi::CallbackInfo &info, size_t index);
Napi::Float64Array rangesToJs(Napi::Env env, const std::vector<Range> &ranges);

// Defines object[name]; `act` gets the call's info, returns a Napi::Value or nothing, may throw
// Errno.
template <typename Act>
void method(Napi::Object object, const char *name, Act act) {
  Napi::Env env = object.Env();
  const auto call = [act](const Napi::CallbackInfo &info) -> Napi::Value {
    try {
      if constexpr (std::is_void_v<decltype(act(info))>) {
        act(info);
        return info.Env().Undefined();
      } else {
        return act(info);
      }
    } catch (const Errno &error) {
      throwErrno(info.Env(), error);
    }
  };
  object.Set(name, Napi::Function::New(env, call, name));
}

// addon_content.cc: what the worker may do too.
void defineContentMethods(Napi::Object object, const std::shared_ptr<Session> &session);
// addon_session.cc
void defineSessionMethods(Napi::Object object, const std::shared_ptr<Session> &session);

}  // namespace pcfs
