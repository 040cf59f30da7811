#include "controlplane/publish/relay_client.h"

#include <grpcpp/grpcpp.h>

#include "dataplane/base/log.h"
#include "headgate/control/v1/control.grpc.pb.h"

namespace headgate::publish {

RelayClient::RelayClient(RelayTarget target, std::function<std::vector<FactsPtr>()> all)
    : target_(std::move(target)), all_(std::move(all)) {}

RelayClient::~RelayClient() { stop(); }

void RelayClient::start() {
  thread_ = std::thread([this] { run(); });
}

void RelayClient::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (call_ != nullptr) call_->TryCancel();
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void RelayClient::tell(const FactsPtr& facts) {
  {
    const std::lock_guard lock(mutex_);
    waiting_[facts->node().id()] = facts;
  }
  wake_.notify_all();
}

void RelayClient::run() {
  auto pause = std::chrono::milliseconds(100);
  for (;;) {
    const auto began = std::chrono::steady_clock::now();
    converse();
    if (std::chrono::steady_clock::now() - began > std::chrono::seconds(10)) pause = std::chrono::milliseconds(100);
    std::unique_lock lock(mutex_);
    if (wake_.wait_for(lock, pause, [&] { return stopping_; })) return;
    pause = std::min(pause * 2, std::chrono::milliseconds(5000));
  }
}

void RelayClient::converse() {
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (target_.tls) {
    credentials = grpc::SslCredentials({.pem_root_certs = target_.roots_pem,
                                        .pem_private_key = target_.certificate.key_pem,
                                        .pem_cert_chain = target_.certificate.chain_pem});
  }
  grpc::ChannelArguments arguments;
  if (!target_.server_name.empty()) arguments.SetSslTargetNameOverride(target_.server_name);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  const auto stub =
      control::v1::Relay::NewStub(grpc::CreateCustomChannel(target_.address, credentials, arguments));
  grpc::ClientContext call;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    call_ = &call;
    broken_ = false;
    waiting_.clear();
  }
  const auto stream = stub->Observe(&call);
  // Notices the end of a stream on which there is nothing to write.
  std::thread listener([&] {
    control::v1::RelayAck ack;
    while (stream->Read(&ack)) {
    }
    const std::lock_guard lock(mutex_);
    broken_ = true;
    wake_.notify_all();
  });
  bool good = true;
  for (const FactsPtr& facts : all_()) good = good && stream->Write(*facts);
  control::v1::ProxyFacts complete;
  complete.set_complete(true);
  good = good && stream->Write(complete);
  while (good) {
    std::map<std::string, FactsPtr> batch;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || broken_ || !waiting_.empty(); });
      if (stopping_ || broken_) break;
      batch.swap(waiting_);
    }
    for (const auto& [node, facts] : batch) good = good && stream->Write(*facts);
  }
  call.TryCancel();
  listener.join();
  const grpc::Status status = stream->Finish();
  const std::lock_guard lock(mutex_);
  call_ = nullptr;
  if (!stopping_) {
    HG_LOG(kWarn, kControl, "relay to the leading controller ended", {"address", target_.address},
           {"error", status.error_message()});
  }
}

}  // namespace headgate::publish
