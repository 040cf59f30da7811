// remote_config.h -- the configuration as a controller sends it: from Pushes to Snapshots to Acks.
//
// One trial at a time: base (the file) and whole Pushes go into the ResourceStore, its trial set to the Publisher; what
// the builder or the sockets object to is blamed on single resources and tried again without them. When all workers use
// the result, the Push is answered with an Ack that names what stands rejected.
// Ready (for /readyz): the first complete state of the controller serves, or last-good resources or the file's listeners
// serve and the controller has been silent for `alone_after`. A listener that cannot be bound is reported and tried again
// every kRetry; it does not keep the others from being ready.
// Thread: control.   Owner: ControlClient.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/control/last_good_writer.h"
#include "dataplane/control/publisher.h"
#include "dataplane/control/resource_store.h"
#include "dataplane/control/stream_source.h"

namespace headgate::control {

struct RemoteOptions {
  std::string state_dir;         // of the last-good file; empty: none
  bool persist_secrets = false;  // into that file, too
  Duration alone_after = std::chrono::seconds(15);
};

class RemoteConfigObserver {
 public:
  // All workers use other resources now, with these settings.
  virtual void on_remote_applied(const config::v1::ProxySettings& settings) = 0;
  // Readiness changed for good; told once.
  virtual void on_remote_ready() = 0;

 protected:
  ~RemoteConfigObserver() = default;
};

class RemoteConfig final : private StreamSourceObserver {
 public:
  static constexpr Duration kRetry = std::chrono::seconds(5);
  // Without the stream for longer than this, names may have moved: nobody shall remember them for long.
  static constexpr Duration kStaleAfter = std::chrono::seconds(10);
  static constexpr uint32_t kStaleTtl = 30;  // seconds
  static constexpr Duration kSaveAfter = std::chrono::seconds(2);    // of the latest change
  static constexpr Duration kSaveAtLatest = std::chrono::seconds(30);  // after the first that was not saved

  RemoteConfig(event::Loop& loop, Publisher& publisher, SocketBroker& broker, LinkOpener& opener,
               control::v1::Node node, RemoteOptions options, RemoteConfigObserver& observer);
  ~RemoteConfig();

  // Begins with what `kept` holds (of the parent, after a crash), else with the last-good file; and with the stream.
  // `base` is the file's resources, null without one. `done` is called when they serve or cannot.
  void start(std::string_view kept, std::shared_ptr<config::v1::ResourceSet> base, Publisher::Done done);
  // Another content of the file. After a failure the one before it counts.
  void set_base(std::shared_ptr<config::v1::ResourceSet> base, Publisher::Done done);
  // Builds again: names of endpoints have other addresses.
  void republish();
  // There is another certificate to connect with.
  void on_identity() { source_.hurry(); }
  void tell_draining();

  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] bool connected() const { return source_.open(); }
  [[nodiscard]] const ResourceStore& store() const { return store_; }
  // "connected" or why not; for status.
  [[nodiscard]] const std::string& state() const { return state_; }

 private:
  void fill_hello(control::v1::Hello& hello) override;
  bool on_push(control::v1::Push part, std::string& problem) override;
  void on_stream_open() override;
  void on_stream_closed(const std::string& reason) override;

  bool load(std::string_view kept);
  void pump();
  void attempt();
  void on_outcome(const PublishOutcome& outcome);
  void finish_trial(const PublishOutcome& outcome);
  void answer();
  void report_listeners();
  void become_ready();
  void on_alone();
  void on_stale();
  void on_retry();
  void save_later();
  void save();
  void on_saved();

  event::Loop& loop_;
  Publisher& publisher_;
  const RemoteOptions options_;
  RemoteConfigObserver& observer_;
  ResourceStore store_;
  StreamSource source_;
  event::Timer pump_timer_;   // while the publisher is busy with somebody else
  event::Timer alone_timer_;
  event::Timer stale_timer_;  // since the stream is closed
  event::Timer retry_timer_;
  event::Timer save_timer_;
  LastGoodWriter writer_;

  std::shared_ptr<config::v1::ResourceSet> base_;         // in force
  std::shared_ptr<config::v1::ResourceSet> next_base_;    // to be tried
  std::vector<Publisher::Done> base_done_;
  bool base_waits_ = false;
  bool build_waits_ = false;  // nothing changed, but build again
  bool trying_ = false;
  bool trying_base_ = false;

  // Of the Push that is staged or on trial; zero: it came from the last-good file.
  uint64_t push_stream_ = 0;
  uint64_t push_id_ = 0;
  bool push_completes_ = false;
  bool trying_push_ = false;

  bool last_good_ = false;  // resources of an earlier life serve
  bool complete_ = false;   // the controller's first complete state serves
  bool ready_ = false;
  bool draining_ = false;
  MonotonicTime unsaved_since_{};
  size_t unsaved_resources_ = 0;
  std::map<std::string, std::string> told_;  // listener -> its ListenerState as bytes, on the stream that is open
  std::string state_ = "not connected yet";
};

}  // namespace headgate::control
