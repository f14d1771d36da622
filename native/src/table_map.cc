#include "table_map.hh"

#include <errno.h>
#include <string.h>

#include <atomic>

#include "fault_guard.hh"

namespace membroker {

namespace {

struct Store {
  uint64_t* to;
  uint64_t value;
};

void DoStore(void* argument) {
  const Store* store = static_cast<const Store*>(argument);
  __atomic_store_n(store->to, store->value, __ATOMIC_RELEASE);
}

}  // namespace

int TableMap::check(uint64_t offset, uint64_t length) const {
  if (!mapping_.mapped()) return -EBADF;
  return offset > mapping_.size() || length > mapping_.size() - offset ? -ERANGE : 0;
}

int TableMap::read(uint64_t offset, void* bytes, size_t length) const {
  if (const int error = check(offset, length)) return error;
  const uint8_t* from = mapping_.data() + offset;
  return GuardedCopy(from, bytes, from, length);
}

int TableMap::write(uint64_t offset, const void* bytes, size_t length) {
  if (const int error = check(offset, length)) return error;
  uint8_t* to = mapping_.data() + offset;
  return GuardedCopy(to, to, bytes, length);
}

int TableMap::store(uint64_t offset, const uint8_t* data, size_t length) {
  if (length > 0) return write(offset, data, length);
  uint64_t word;
  memcpy(&word, data, sizeof(word));
  return publish(offset, word);
}

int TableMap::publish(uint64_t offset, uint64_t value) {
  if (const int error = check(offset, sizeof(value))) return error;
  if (offset % sizeof(value) != 0) return -EINVAL;
  Store store{reinterpret_cast<uint64_t*>(mapping_.data() + offset), value};
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const int error = WithFaultGuard(store.to, sizeof(value), DoStore, &store);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return error;
}

}  // namespace membroker
