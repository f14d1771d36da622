#include "environment.hh"

namespace membroker {

Environment::Environment(napi_env env, uv_loop_t* loop)
    : env_(env), loop_(loop), read_buffer_(new uint8_t[kReadBytes]) {}

bool Environment::Create(Napi::Env env) {
  uv_loop_t* loop;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return false;
  std::shared_ptr<Environment> self(new Environment(env, loop));
  if (uv_async_init(loop, &self->holder_, nullptr) != 0) return false;
  self->holder_.data = self.get();
  uv_unref(reinterpret_cast<uv_handle_t*>(&self->holder_));
  self->until_closed_ = self;

  Napi::HandleScope scope(env);
  napi_async_init(env, nullptr, Napi::String::New(env, "membroker"), &self->async_context_);
  napi_add_async_cleanup_hook(env, OnCleanup, self.get(), &self->hook_);
  env.SetInstanceData(new std::shared_ptr<Environment>(self));
  return true;
}

std::shared_ptr<Environment> Environment::Of(napi_env env) {
  return *Napi::Env(env).GetInstanceData<std::shared_ptr<Environment>>();
}

void Environment::hold() {
  if (holds_++ == 0) uv_ref(reinterpret_cast<uv_handle_t*>(&holder_));
}

void Environment::unhold() {
  if (--holds_ == 0) uv_unref(reinterpret_cast<uv_handle_t*>(&holder_));
}

bool Environment::call(napi_value self, napi_value function, size_t argc, const napi_value* argv) {
  napi_value result;
  if (napi_make_callback(env_, async_context_, self, function, argc, argv, &result) == napi_ok) return true;
  bool thrown = false;
  napi_is_exception_pending(env_, &thrown);
  if (!thrown) return false;
  napi_value error;
  if (napi_get_and_clear_last_exception(env_, &error) == napi_ok) napi_fatal_exception(env_, error);
  return true;
}

void Environment::resolve(napi_deferred deferred, napi_value value) {
  // The promise's reactions run when the scope closes.
  napi_callback_scope scope = nullptr;
  napi_open_callback_scope(env_, nullptr, async_context_, &scope);
  napi_resolve_deferred(env_, deferred, value);
  if (scope) napi_close_callback_scope(env_, scope);
}

void Environment::OnCleanup(napi_async_cleanup_hook_handle hook, void* data) {
  Environment* self = static_cast<Environment*>(data);
  self->hook_ = hook;
  while (!self->open_.empty()) {
    LoopHandle* handle = self->open_.front();
    handle->user_->onEnding();
    handle->shut();
  }
  napi_async_destroy(self->env_, self->async_context_);
  self->closing_++;
  uv_close(reinterpret_cast<uv_handle_t*>(&self->holder_), [](uv_handle_t* holder) {
    Environment* environment = static_cast<Environment*>(holder->data);
    environment->closed();
  });
}

void Environment::closed() {
  closing_--;
  // Only OnCleanup closes the holder, so nothing opens after that.
  if (closing_ != 0 || !uv_is_closing(reinterpret_cast<uv_handle_t*>(&holder_))) return;
  napi_remove_async_cleanup_hook(hook_);
  until_closed_.reset();
}

LoopHandle::LoopHandle(std::shared_ptr<Environment> environment, LoopUser* user)
    : environment_(std::move(environment)), user_(user) {}

void LoopHandle::opened(uv_handle_t* handle) {
  handle->data = this;
  handle_ = handle;
  until_closed_ = shared_from_this();
  place_ = environment_->open_.insert(environment_->open_.end(), this);
}

void LoopHandle::shut() {
  if (!user_) return;
  onShut();
  user_ = nullptr;
  environment_->open_.erase(place_);
  environment_->closing_++;
  uv_close(handle_, [](uv_handle_t* handle) {
    LoopHandle* self = static_cast<LoopHandle*>(handle->data);
    const std::shared_ptr<LoopHandle> last = std::move(self->until_closed_);
    self->environment_->closed();
  });
}

std::shared_ptr<Poller> Poller::Open(std::shared_ptr<Environment> environment, int fd, LoopUser* user,
                                     int* error) {
  std::shared_ptr<Poller> self(new Poller(std::move(environment), user));
  *error = uv_poll_init(self->environment_->loop(), &self->poll_, fd);
  if (*error != 0) return nullptr;
  self->opened(reinterpret_cast<uv_handle_t*>(&self->poll_));
  return self;
}

void Poller::watch(int events) {
  if (!is_open()) return;
  const bool hold = events == 0;
  if (hold != held_) hold ? environment_->hold() : environment_->unhold();
  held_ = hold;
  // libuv stops a handle when the descriptor reports an error.
  const bool active = uv_is_active(reinterpret_cast<uv_handle_t*>(&poll_));
  if (events == events_ && active == (events != 0)) return;
  events_ = events;
  uv_poll_start(&poll_, events, [](uv_poll_t* poll, int status, int ready) {
    // A copy, because the user may let go of this from inside the call.
    const auto self = static_cast<Poller*>(static_cast<LoopHandle*>(poll->data))->shared_from_this();
    static_cast<Poller*>(self.get())->user_->onReady(status, ready);
  });
}

void Poller::onShut() {
  if (held_) environment_->unhold();
  held_ = false;
}

std::shared_ptr<Wakeup> Wakeup::Open(std::shared_ptr<Environment> environment, LoopUser* user, int* error) {
  std::shared_ptr<Wakeup> self(new Wakeup(std::move(environment), user));
  *error = uv_async_init(self->environment_->loop(), &self->async_, [](uv_async_t* async) {
    const auto self = static_cast<LoopHandle*>(async->data)->shared_from_this();
    static_cast<Wakeup*>(self.get())->user_->onReady(0, 0);
  });
  if (*error != 0) return nullptr;
  self->opened(reinterpret_cast<uv_handle_t*>(&self->async_));
  return self;
}

}  // namespace membroker
