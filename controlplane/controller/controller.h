// controller.h -- the loop around the pure function: sources -> World -> translate -> publish and status.
//
// One thread runs the loop. It sleeps until a watch saw a change, the file is another one, leadership changed, or a
// dataplane answered, then does what is due, each step cheap when nothing is:
//
//   file changed             -> read, check                -> publish set "file"
//   objects changed, synced  -> freeze, translate          -> publish set "kubernetes", tell the status writer
//   facts changed            -> rejects of all dataplanes  -> tell the status writer
//   each minute              -> refresh the authority and our certificates
//   leadership changed       -> write, or follow the leader
//
// Thread: run() that of main; wake() any.   Owner: main.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "controlplane/admin/admin.h"
#include "controlplane/controller/file_source.h"
#include "controlplane/controller/kubernetes_source.h"
#include "controlplane/controller/leadership.h"
#include "controlplane/controller/options.h"
#include "controlplane/controller/wakeup.h"
#include "controlplane/kube/events.h"
#include "controlplane/kube/lease.h"
#include "controlplane/publish/server.h"
#include "controlplane/status/writer.h"
#include "controlplane/translate/translator.h"

namespace headgate::controller {

class Injection;
class Trust;

class Controller {
 public:
  explicit Controller(Options options);
  ~Controller();
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  // Until stop(). The exit code; what went wrong at the start is on standard error.
  int run();
  // From any thread, not from a signal handler.
  void stop();

 private:
  bool start(std::string& problem);
  bool start_kubernetes(std::string& problem);
  bool start_server(std::string& problem);
  bool start_injection(std::string& problem);
  bool start_admin(std::string& problem);
  void refresh_trust();
  void step();
  void poll_file();
  void translate_world();
  void tell_rejects();
  void follow_leader();
  [[nodiscard]] admin::Admin::State state() const;

  const Options options_;
  Wakeup wakeup_;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> facts_changed_ = false;

  // Kubernetes; null without.
  std::unique_ptr<kube::Transport> transport_;
  std::unique_ptr<kube::EventRecorder> events_;
  std::unique_ptr<kube::Lease> lease_;
  std::optional<Leadership> leadership_;
  std::unique_ptr<status::Writer> writer_;
  std::unique_ptr<KubernetesSource> cluster_;
  std::unique_ptr<translate::Translator> translator_;
  std::optional<FileSource> file_;

  std::unique_ptr<Trust> trust_;  // null with -insecure
  std::unique_ptr<Injection> injection_;  // null without -webhook-address
  std::unique_ptr<publish::Server> server_;
  std::unique_ptr<admin::Admin> admin_;

  // Of the loop.
  uint64_t translated_changes_ = UINT64_MAX;
  translate::Output::Changes seen_;  // of the latest translation
  std::string relay_roots_;  // that the relay was begun with
  MonotonicTime trust_checked_{};
  bool led_ = false;
  MonotonicTime file_checked_{};

  admin::Admin::Counts counts_;
};

}  // namespace headgate::controller
