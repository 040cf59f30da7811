// relay_client.h -- tells the leading replica what our dataplanes say: first everything, then each change.
//
// A thread of its own with a blocking stream: there is one of these per controller, and it waits most of the time.
// Facts of one node that wait to be sent are merged: only the latest counts.
// Thread: functions from any; one thread inside.   Owner: the gRPC server.   Errors: logged; it connects again after
// 100 ms, doubling to 5 s.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "controlplane/publish/server.h"

namespace grpc {
class ClientContext;
}

namespace headgate::publish {

struct RelayTarget {
  std::string address;
  std::string server_name;  // empty: that of the address
  bool tls = false;
  std::string roots_pem;
  ServerCertificate certificate;  // ours
};

class RelayClient {
 public:
  RelayClient(RelayTarget target, std::function<std::vector<FactsPtr>()> all);
  ~RelayClient();
  void start();
  void tell(const FactsPtr& facts);
  void stop();

 private:
  void run();
  // Until the stream breaks or stop().
  void converse();

  const RelayTarget target_;
  const std::function<std::vector<FactsPtr>()> all_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<std::string, FactsPtr> waiting_;  // by Node.id
  grpc::ClientContext* call_ = nullptr;      // to cancel
  bool stopping_ = false;
  bool broken_ = false;
  std::thread thread_;
};

}  // namespace headgate::publish
