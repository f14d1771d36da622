#pragma once

#include <napi.h>
#include <uv.h>

#include <cstdint>
#include <list>
#include <memory>

namespace membroker {

class LoopHandle;

/** What all handles of one Node environment (the main thread or a worker) share. Used on its thread only. */
class Environment : public std::enable_shared_from_this<Environment> {
 public:
  static constexpr size_t kReadBytes = 64 * 1024;

  static bool Create(Napi::Env env);
  static std::shared_ptr<Environment> Of(napi_env env);

  ~Environment() = default;

  napi_env env() const { return env_; }
  uv_loop_t* loop() const { return loop_; }
  uint8_t* read_buffer() { return read_buffer_.get(); }

  /** Counts a handle that waits for nothing from the kernel at the moment and still keeps the loop alive. */
  void hold();
  void unhold();

  /**
   * Calls function as Node calls back: microtasks run after it, and an exception becomes an uncaughtException. False:
   * the environment is coming down, and function was not called.
   */
  bool call(napi_value self, napi_value function, size_t argc, const napi_value* argv);
  void resolve(napi_deferred deferred, napi_value value);

 private:
  friend class LoopHandle;

  Environment(napi_env env, uv_loop_t* loop);
  static void OnCleanup(napi_async_cleanup_hook_handle hook, void* data);
  void closed();

  napi_env env_;
  uv_loop_t* loop_;
  napi_async_context async_context_ = nullptr;
  std::unique_ptr<uint8_t[]> read_buffer_;
  uv_async_t holder_;
  size_t holds_ = 0;
  std::list<LoopHandle*> open_;
  size_t closing_ = 0;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  std::shared_ptr<Environment> until_closed_;
};

/** The object that a loop handle calls. */
class LoopUser {
 public:
  /** status below zero: the kernel reports an error on the descriptor; a read or write gives it. */
  virtual void onReady(int status, int events) = 0;
  /** The environment is coming down, and the handle is shut after this. */
  virtual void onEnding() {}

 protected:
  ~LoopUser() = default;
};

/** A libuv handle. It lives until libuv has let go of it, however and whenever its user ends. */
class LoopHandle : public std::enable_shared_from_this<LoopHandle> {
 public:
  virtual ~LoopHandle() = default;
  /** The handle does not call its user after this. Idempotent. */
  void shut();
  bool is_open() const { return user_ != nullptr; }

 protected:
  LoopHandle(std::shared_ptr<Environment> environment, LoopUser* user);
  void opened(uv_handle_t* handle);
  virtual void onShut() {}

  std::shared_ptr<Environment> environment_;
  LoopUser* user_;

 private:
  friend class Environment;

  uv_handle_t* handle_ = nullptr;
  std::list<LoopHandle*>::iterator place_;
  std::shared_ptr<LoopHandle> until_closed_;
};

/** Waits for events of a descriptor that its user owns and must keep open until shut(). */
class Poller final : public LoopHandle {
 public:
  /** Null, and a libuv error in error, where libuv can't wait for the descriptor. */
  static std::shared_ptr<Poller> Open(std::shared_ptr<Environment> environment, int fd, LoopUser* user,
                                      int* error);
  /** UV_READABLE, UV_WRITABLE, both, or 0. Keeps the loop alive in each case. */
  void watch(int events);

 private:
  using LoopHandle::LoopHandle;
  void onShut() override;

  uv_poll_t poll_;
  int events_ = 0;
  bool held_ = false;
};

/** Lets other threads wake this one. They must be done before shut(). */
class Wakeup final : public LoopHandle {
 public:
  static std::shared_ptr<Wakeup> Open(std::shared_ptr<Environment> environment, LoopUser* user, int* error);
  void send() { uv_async_send(&async_); }

 private:
  using LoopHandle::LoopHandle;

  uv_async_t async_;
};

}  // namespace membroker
