#include "controlplane/kube/thread.h"

#include <signal.h>

#include "dataplane/base/check.h"

namespace headgate::kube {
namespace {

constexpr size_t kStack = 512 << 10;  // resolving names and protobuf's parser are what needs it

}  // namespace

void* Thread::enter(void* self) {
  static_cast<Thread*>(self)->body_();
  return nullptr;
}

Result<void> Thread::start(const char* name, std::function<void()> body) {
  HG_CHECK(!running_);
  body_ = std::move(body);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStack);
  // Signals are for the thread that waits for them.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int failed = pthread_create(&thread_, &attributes, &Thread::enter, this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (failed != 0) return system_error(failed, "thread");
  running_ = true;
  pthread_setname_np(thread_, name);
  return {};
}

void Thread::join() {
  if (!running_) return;
  pthread_join(thread_, nullptr);
  running_ = false;
}

}  // namespace headgate::kube
