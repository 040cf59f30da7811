#include "dataplane/net/pipe_pool.h"

#include <fcntl.h>

#include <array>
#include <vector>

namespace headgate::net {
namespace {

// What fits one pipe. Asked for, not promised: above its share a user gets the default of 64 KiB.
constexpr int kPipeBytes = 1 << 20;
constexpr size_t kKept = 32;

std::vector<Pipe>& kept_pipes() {
  thread_local std::vector<Pipe> pipes;
  return pipes;
}
// Pipes that are destroyed at the end of the thread must not look for the pool.
thread_local bool pool_open = true;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

struct PoolGuard {
  ~PoolGuard() { pool_open = false; }
};

}  // namespace

Pipe Pipe::take() {
  auto& kept = kept_pipes();
  thread_local const PoolGuard guard;  // made after the vector, so it goes first
  if (!kept.empty()) {
    Pipe pipe = std::move(kept.back());
    kept.pop_back();
    return pipe;
  }
  Pipe pipe;
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) != 0) return pipe;
  pipe.read_.reset(ends[0]);
  pipe.write_.reset(ends[1]);
  ::fcntl(ends[1], F_SETPIPE_SZ, kPipeBytes);
  return pipe;
}

void Pipe::give_back() {
  if (!valid()) return;
  if (held_ == 0 && pool_open && kept_pipes().size() < kKept) {
    kept_pipes().push_back(std::move(*this));
    return;
  }
  read_.reset();
  write_.reset();
  held_ = 0;
}

}  // namespace headgate::net
