// scripted_dataplane.h -- a dataplane for tests of the server: the plain gRPC client, told what to say line by line.
// Thread: the test's.   Owner: the test.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <utility>

#include "headgate/control/v1/control.grpc.pb.h"

namespace headgate::publish {

class ScriptedDataplane {
 public:
  ScriptedDataplane(const std::string& address, std::string id,
                    std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials(),
                    const std::string& token = {}, const std::string& server_name = {})
      : id_(std::move(id)) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    if (!server_name.empty()) arguments.SetSslTargetNameOverride(server_name);
    channel_ = grpc::CreateCustomChannel(address, credentials, arguments);
    call_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    if (!token.empty()) call_.AddMetadata("authorization", "Bearer " + token);
    stream_ = control::v1::ControlPlane::NewStub(channel_)->Stream(&call_);
  }
  ~ScriptedDataplane() {
    call_.TryCancel();
    if (!finished_) (void)stream_->Finish();
  }
  ScriptedDataplane(const ScriptedDataplane&) = delete;
  ScriptedDataplane& operator=(const ScriptedDataplane&) = delete;

  bool hello(const control::v1::Hello& rest = {}) {
    control::v1::ClientMessage message;
    *message.mutable_hello() = rest;
    if (!rest.node().id().size()) message.mutable_hello()->mutable_node()->set_id(id_);
    return stream_->Write(message);
  }
  bool ack(uint64_t push, uint64_t digest, const std::vector<control::v1::Reject>& rejects = {}) {
    control::v1::ClientMessage message;
    message.mutable_ack()->set_push_id(push);
    message.mutable_ack()->set_digest(digest);
    for (const auto& reject : rejects) *message.mutable_ack()->add_rejects() = reject;
    return stream_->Write(message);
  }
  // False: the stream has ended; status() says why.
  bool read(control::v1::ServerMessage& message) { return stream_->Read(&message); }
  // A whole Push, its parts put together.
  bool read_push(control::v1::Push& push, int* parts = nullptr) {
    push.Clear();
    for (int count = 1;; ++count) {
      control::v1::ServerMessage message;
      if (!read(message) || !message.has_push()) return false;
      const bool more = message.push().more();
      push.MergeFrom(message.push());
      if (parts != nullptr) *parts = count;
      if (!more) return true;
    }
  }
  // Hello, Welcome, the first Push, its Ack.
  bool join(control::v1::Push& push, const control::v1::Hello& rest = {}) {
    control::v1::ServerMessage welcome;
    return hello(rest) && read(welcome) && welcome.has_welcome() && read_push(push) && ack(push.push_id(), 0);
  }
  grpc::Status status() {
    finished_ = true;
    return stream_->Finish();
  }

 private:
  std::string id_;
  std::shared_ptr<grpc::Channel> channel_;
  grpc::ClientContext call_;
  std::unique_ptr<grpc::ClientReaderWriter<control::v1::ClientMessage, control::v1::ServerMessage>> stream_;
  bool finished_ = false;
};

}  // namespace headgate::publish
