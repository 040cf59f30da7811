// deadlines.h -- ends requests whose time is over, from one thread for all of them.
// cpp-httplib bounds each read, never the whole: a server that sends a byte now and then would hold us for ever.
// Thread: any.   Owner: Transport.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "dataplane/base/clock.h"

namespace headgate::kube {

class Connection;

class Deadlines {
 public:
  Deadlines() = default;
  Deadlines(const Deadlines&) = delete;
  Deadlines& operator=(const Deadlines&) = delete;
  ~Deadlines();

  // While it lives, `connection` is aborted when `limit` is over. A limit of zero is none.
  class Guard {
   public:
    Guard(Deadlines& deadlines, Connection& connection, Duration limit);
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    ~Guard();

   private:
    Deadlines* deadlines_ = nullptr;
    std::multimap<MonotonicTime, Connection*>::iterator entry_;
  };

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<MonotonicTime, Connection*> entries_;  // one that has fired stays until its Guard goes
  bool stopping_ = false;
  std::thread thread_;  // started by the first limit
};

}  // namespace headgate::kube
