// What both the main thread and the worker may call.
#include "addon.h"

namespace pcfs {

void defineContentMethods(Napi::Object object, const std::shared_ptr<Session> &s) {
  using Info = const Napi::CallbackInfo &;
  method(object, "readFrozen", [s](Info info) -> Napi::Value {
    const Bytes into = argBytes(info, 2);
    return rangesToJs(info.Env(),
                      s->readFrozen(argU64(info, 0), argU64(info, 1), into.data, into.length));
  });
  method(object, "nextFrozenData", [s](Info info) -> Napi::Value {
    return Napi::Number::New(info.Env(),
                             double(s->nextFrozenData(argU64(info, 0), argU64(info, 1))));
  });
  method(object, "fill", [s](Info info) -> Napi::Value {
    const Bytes from = argBytes(info, 2);
    const uint64_t length = argU64(info, 3);
    if (length > from.length) fail(EINVAL, "length is more than the buffer has");
    return Napi::Boolean::New(info.Env(), s->fill(argU64(info, 0), argU64(info, 1), from.data,
                                                  length, argU64(info, 4)));
  });
}

}  // namespace pcfs
