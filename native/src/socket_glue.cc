#include "glue.hh"
#include "tap.hh"
#include "unix_socket.hh"

namespace membroker {

namespace {

/** The limit of reads in one wake-up, so that one busy peer does not starve the others. */
constexpr int kReadsPerWakeup = 8;
constexpr int kAcceptsPerWakeup = 32;
/** The limit of one read from a peer with onFinish: the callee keeps what it has read and can't process yet. */
constexpr size_t kCallBytes = 8 * 1024;

/** An object, or a number that is -errno. */
Napi::Value PeerResult(Napi::Env env, int fd) {
  Peer peer{0, UINT32_MAX, UINT32_MAX, -1};
  if (const int error = PeerOf(fd, &peer)) return Napi::Number::New(env, error);
  Napi::Object object = Napi::Object::New(env);
  object["pid"] = peer.pid;
  object["uid"] = Napi::Number::New(env, peer.uid);
  object["gid"] = Napi::Number::New(env, peer.gid);
  object["pidfd"] = peer.pidfd;
  return object;
}

class Socket final : public Napi::ObjectWrap<Socket>, private PolledFd {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Socket",
                       {InstanceMethod<&Socket::Send>("send"), InstanceAccessor<&Socket::QueuedBytes>("queuedBytes"),
                        InstanceAccessor<&Socket::QueuedFds>("queuedFds"),
                        InstanceMethod<&Socket::Pause>("pause"), InstanceMethod<&Socket::Resume>("resume"),
                        InstanceMethod<&Socket::PeerInfo>("peer"), InstanceMethod<&Socket::Close>("close")});
  }

  explicit Socket(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<Socket>(info), PolledFd(info.Env()) {
    Arguments args(info);
    const int fd = args.fd();
    const Napi::Object events = args.object();
    if (!args.ok()) return;
    const char* const names[] = {"onData", "onEnd", "onDrain"};
    for (const char* name : names) {
      if (!events.Get(name).IsFunction()) {
        args.reject("an object with onData, onEnd and onDrain");
        return;
      }
    }
    has_on_finish_ = events.Get("onFinish").IsFunction();
    if (!open(fd)) return;
    events_ = Napi::Persistent(events);
    Ref();
    update();
  }

 private:
  Napi::Value Send(const Napi::CallbackInfo& info) {
    Arguments args(info);
    const Bytes bytes = args.bytes();
    std::vector<Fd> fds;
    bool open = true;
    for (const int fd : args.fds()) {
      open = open && fcntl(fd, F_GETFD) >= 0;
      fds.emplace_back(fd);
    }
    if (!args.ok()) return info.Env().Undefined();
    const auto result = [&](int64_t value) { return Napi::Number::New(info.Env(), static_cast<double>(value)); };
    if (!poller_) return result(end_errno_ ? -end_errno_ : -EPIPE);
    if (write_errno_) return result(-write_errno_);
    if (!open) return result(-EBADF);
    if (fds.size() > kFdsPerMessageMax || (bytes.size == 0 && !fds.empty())) return result(-EINVAL);
    if (bytes.size > 0) {
      const int error = queue_.send(fd_.get(), bytes.data, bytes.size, std::move(fds));
      if (error) failWrite(-error);
      update();
      if (error) return result(error);
    }
    return result(static_cast<int64_t>(queue_.queued()));
  }

  Napi::Value QueuedBytes(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(queue_.queued()));
  }

  Napi::Value QueuedFds(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(queue_.queuedFds()));
  }

  void Pause(const Napi::CallbackInfo&) {
    paused_ = true;
    update();
  }

  void Resume(const Napi::CallbackInfo&) {
    paused_ = false;
    update();
  }

  Napi::Value PeerInfo(const Napi::CallbackInfo& info) {
    return PeerResult(info.Env(), poller_ ? fd_.get() : -1);
  }

  void Close(const Napi::CallbackInfo&) {
    if (!poller_) return;
    drop();
    events_.Reset();
    Unref();
  }

  void onReady(int status, int ready) override {
    Napi::HandleScope scope(Env());
    // A close from inside a callback drops the reference; self keeps the object until return.
    [[maybe_unused]] const Napi::Object self = Value();
    const bool error = status < 0;
    if (has_on_finish_ && (error || write_errno_ || (ready & (UV_DISCONNECT | UV_PRIORITIZED))) && endIfGone()) return;
    if ((error || (ready & UV_WRITABLE)) && queue_.queued() > 0) write();
    if (poller_ && write_errno_ && paused_) end(write_errno_);
    if (poller_ && reading()) read();
    if (poller_) update();
  }

  void onEnding() override { drop(); }

  bool reading() const { return !paused_ && !finished_; }

  /**
   * Nobody waits for an answer any more, so the socket ends at once: it leaves unread bytes, and does not wait for the
   * end of a peer that writes on.
   */
  bool endIfGone() {
    const PeerState state = PeerStateOf(fd_.get());
    if (state == PeerState::kOutOfBand) {
      end(EPROTO);
    } else if (state == PeerState::kGone || write_errno_) {
      end(0);
    } else {
      return false;
    }
    return true;
  }

  void write() {
    if (const int error = queue_.flush(fd_.get())) {
      failWrite(-error);
    } else if (queue_.queued() == 0) {
      emit("onDrain", 0, nullptr);
    }
  }

  /** The socket still reads what the peer sent before it went away, and calls onEnd after that. */
  void failWrite(int error) {
    write_errno_ = error;
    queue_.clear();
  }

  void read() {
    const size_t most = has_on_finish_ ? kCallBytes : Environment::kReadBytes;
    for (int reads = 0; reads < kReadsPerWakeup && poller_ && reading(); reads++) {
      Received received = ReceiveUnix(fd_.get(), environment_->read_buffer(), most);
      if (received.bytes == -EAGAIN) {
        if (write_errno_) end(write_errno_);
        return;
      }
      if (received.bytes == 0 && has_on_finish_) {
        finished_ = true;
        emit("onFinish", 0, nullptr);
        return;
      }
      if (received.bytes <= 0) {
        end(write_errno_ ? write_errno_ : static_cast<int>(-received.bytes));
        return;
      }
      deliver(received);
      if (static_cast<size_t>(received.bytes) < most && received.fds.empty() && !write_errno_) return;
    }
  }

  void deliver(Received& received) {
    Napi::HandleScope scope(Env());
    napi_value argv[2];
    void* copy;
    const size_t size = static_cast<size_t>(received.bytes);
    if (napi_create_buffer_copy(Env(), size, environment_->read_buffer(), &copy, &argv[0]) != napi_ok ||
        napi_create_array_with_length(Env(), received.fds.size(), &argv[1]) != napi_ok) {
      return;
    }
    for (uint32_t index = 0; index < received.fds.size(); index++) {
      napi_value number;
      napi_create_int32(Env(), received.fds[index].get(), &number);
      napi_set_element(Env(), argv[1], index, number);
    }
    if (!emit("onData", 2, argv)) return;
    for (Fd& fd : received.fds) fd.take();
  }

  void end(int error) {
    end_errno_ = error;
    const Napi::Object events = events_.Value();
    drop();
    events_.Reset();
    Unref();
    napi_value number;
    napi_create_int32(Env(), error, &number);
    environment_->call(events, events.Get("onEnd"), 1, &number);
  }

  bool emit(const char* name, size_t argc, const napi_value* argv) {
    const Napi::Object events = events_.Value();
    return environment_->call(events, events.Get(name), argc, argv);
  }

  void update() {
    if (!poller_) return;
    const bool writing = queue_.queued() > 0 || write_errno_;
    int events = (reading() ? UV_READABLE : 0) | (writing ? UV_WRITABLE : 0);
    // The kernel always reports a hang-up, and libuv passes it on as whichever event this handle waits for. It waits
    // for out-of-band data, because nothing here sends that: no other event comes as UV_PRIORITIZED.
    if (has_on_finish_) events |= UV_PRIORITIZED | (reading() ? UV_DISCONNECT : 0);
    poller_->watch(events);
  }

  /** Also drops what is still to be sent. */
  void drop() {
    shut();
    queue_.clear();
  }

  Napi::ObjectReference events_;
  SendQueue queue_;
  bool has_on_finish_ = false;
  bool finished_ = false;
  bool paused_ = false;
  int write_errno_ = 0;
  int end_errno_ = 0;
};

class Listener final : public Napi::ObjectWrap<Listener>, private PolledFd {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Listener",
                       {InstanceMethod<&Listener::Pause>("pause"), InstanceMethod<&Listener::Resume>("resume"),
                        InstanceMethod<&Listener::Close>("close")});
  }

  explicit Listener(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<Listener>(info), PolledFd(info.Env()) {
    Arguments args(info);
    const int fd = args.fd();
    const Napi::Function on_connection = args.function();
    const Napi::Function on_error = args.function();
    if (!args.ok() || !open(fd)) return;
    on_connection_ = Napi::Persistent(on_connection);
    on_error_ = Napi::Persistent(on_error);
    Ref();
    poller_->watch(UV_READABLE);
  }

 private:
  void Pause(const Napi::CallbackInfo&) { setPaused(true); }
  void Resume(const Napi::CallbackInfo&) { setPaused(false); }

  void Close(const Napi::CallbackInfo&) {
    if (!poller_) return;
    shut();
    on_connection_.Reset();
    on_error_.Reset();
    Unref();
  }

  void onReady(int, int) override {
    Napi::HandleScope scope(Env());
    [[maybe_unused]] const Napi::Object self = Value();
    for (int accepts = 0; accepts < kAcceptsPerWakeup && poller_ && !paused_; accepts++) {
      const int accepted = AcceptUnix(fd_.get());
      if (accepted == -EAGAIN) break;
      Napi::HandleScope inner(Env());
      if (accepted < 0) {
        setPaused(true);
        napi_value argument = Napi::Number::New(Env(), -accepted);
        environment_->call(self, on_error_.Value(), 1, &argument);
        break;
      }
      Fd connection(accepted);
      napi_value argument = Napi::Number::New(Env(), accepted);
      if (environment_->call(self, on_connection_.Value(), 1, &argument)) connection.take();
    }
    if (poller_) setPaused(paused_);
  }

  void setPaused(bool paused) {
    paused_ = paused;
    if (poller_) poller_->watch(paused ? 0 : UV_READABLE);
  }

  Napi::FunctionReference on_connection_;
  Napi::FunctionReference on_error_;
  bool paused_ = false;
};

Napi::Value AdoptListenerGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const int fd = args.fd();
  if (!args.ok()) return info.Env().Undefined();
  std::string path;
  const int error = AdoptListener(fd, &path);
  if (error) return Napi::Number::New(info.Env(), error);
  return Napi::String::New(info.Env(), path);
}

Napi::Value PeerGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const int fd = args.int32();
  if (!args.ok()) return info.Env().Undefined();
  return PeerResult(info.Env(), fd);
}

Napi::Value SocketPairGlue(const Napi::CallbackInfo& info) {
  int fds[2];
  const int error = SocketPair(fds);
  if (error) return Napi::Number::New(info.Env(), error);
  Napi::Array pair = Napi::Array::New(info.Env(), 2);
  pair[0u] = fds[0];
  pair[1u] = fds[1];
  return pair;
}

}  // namespace

void ExportSockets(Napi::Env env, Napi::Object exports) {
  ExportNumber<ListenUnix, &Arguments::string, &Arguments::int32>(exports, "listenUnix");
  ExportNumber<ConnectUnix, &Arguments::string>(exports, "connectUnix");
  ExportNumber<SendDatagram, &Arguments::string, &Arguments::string, &Arguments::fds>(exports, "sendDatagram");
  Export<AdoptListenerGlue>(exports, "adoptListener");
  Export<PeerGlue>(exports, "peerOf");
  ExportNumber<PeerUidOf, &Arguments::int32>(exports, "peerUid");
  Export<SocketPairGlue>(exports, "socketPair");
  ExportNumber<DiscardUnread, &Arguments::int32>(exports, "discardUnread");
  ExportNumber<OpenTap, &Arguments::string, &Arguments::boolean>(exports, "openTap");
  ExportNumber<TapHeaderBytes, &Arguments::int32>(exports, "tapHeaderBytes");
  ExportNumber<SetTapHeaderBytes, &Arguments::int32, &Arguments::int32>(exports, "setTapHeaderBytes");
  ExportNumber<TapOffloads, &Arguments::int32>(exports, "tapOffloads");
  ExportNumber<SetTapOffloads, &Arguments::int32, &Arguments::int32>(exports, "setTapOffloads");
  exports["Socket"] = Socket::Define(env);
  exports["Listener"] = Listener::Define(env);
}

}  // namespace membroker
