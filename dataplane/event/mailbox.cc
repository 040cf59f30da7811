#include "dataplane/event/mailbox.h"

namespace headgate::event {

Mailbox::Mailbox() { open_wake(); }

void Mailbox::post(std::unique_ptr<Task> task) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = tasks_.empty();
    tasks_.push_back(std::move(task));
  }
  // One wake-up for a whole batch: the reader takes all at once.
  if (first) wake();
}

void Mailbox::run() {
  drain_wakeups();
  std::vector<std::unique_ptr<Task>> batch;
  {
    const std::lock_guard lock(mutex_);
    batch.swap(tasks_);
  }
  for (const auto& task : batch) task->run();
}

}  // namespace headgate::event
