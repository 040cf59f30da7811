// fake_api_server.h -- a Kubernetes API server in the test's own process: objects with versions, LIST, WATCH, PUT, POST,
// PATCH, DELETE over loopback sockets; and what goes wrong with real ones, on request.
// Thread: any; one thread for each connection inside.   Owner: the test.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/base/unique_fd.h"

namespace headgate::test {

class FakeApiServer {
 public:
  using Json = nlohmann::json;

  FakeApiServer();
  FakeApiServer(const FakeApiServer&) = delete;
  FakeApiServer& operator=(const FakeApiServer&) = delete;
  ~FakeApiServer() { stop(); }

  [[nodiscard]] uint16_t port() const { return port_; }
  // Refuses connections and ends those there are; start() takes the same port again, with the same objects.
  void stop();
  void start();

  // Collections: "/apis/networking.k8s.io/v1" and "ingresses". What has no collection is 404.
  void add_collection(const std::string& group_path, const std::string& plural, const std::string& kind);
  void remove_collection(const std::string& plural);

  // An object with metadata.name and, where it has one, metadata.namespace; as if a client had written it.
  std::string put(const std::string& plural, Json object);
  void remove(const std::string& plural, const std::string& name_space, const std::string& name);
  [[nodiscard]] std::optional<Json> find(const std::string& plural, const std::string& name_space,
                                         const std::string& name) const;
  [[nodiscard]] std::vector<Json> all(const std::string& plural) const;
  [[nodiscard]] std::string version() const;  // the newest

  // The next `times` requests whose "METHOD /path?query" contains `part` get this answer.
  void answer(const std::string& part, int times, int status, const std::string& body, const std::string& retry_after = "");
  // Called with each request before it is answered, without the lock: to change things in the middle.
  void on_request(std::function<void(const std::string& line)> hook);
  // Only requests with this bearer token are answered.
  void require_token(const std::string& token);
  // Bodies of lists and watches are sent in pieces of this size, each a chunk and a send of its own; 0: whole.
  void split_at(size_t bytes) { piece_ = bytes; }
  void pause_between_pieces(int milliseconds) { pause_ms_ = milliseconds; }

  // Watches: forget history (watches from older versions end with 410); say the newest version; end.
  void compact();
  void bookmark();
  void end_watches();                             // in order
  void break_watches();                           // by reset
  void send_to_watches(const std::string& line);  // any text
  void end_watches_after(size_t events) { watch_events_ = events; }

  [[nodiscard]] std::vector<std::string> requests() const;
  [[nodiscard]] size_t count(const std::string& part) const;
  // Waits until so many requests contain `part`; false after ten seconds.
  bool wait_for(const std::string& part, size_t times);
  // Open watches.
  bool wait_for_watches(size_t number);

 private:
  struct Change {
    uint64_t version;
    std::string plural;
    std::string line;
    std::string name_space;
  };
  struct Collection {
    std::string group_path;
    std::string kind;
    std::map<std::pair<std::string, std::string>, Json> objects;
  };
  struct Scripted {
    std::string part;
    int times;
    int status;
    std::string body;
    std::string retry_after;
  };
  struct Request {
    std::string method, path, query, body, content_type, authorization;
    [[nodiscard]] std::string parameter(const std::string& name) const;
  };
  struct Target {
    std::string plural, name_space, name, subresource;
  };
  struct Connection {
    int fd;
    bool watching = false;
    std::thread thread;
  };

  void accept_loop();
  void serve(Connection& connection);
  bool read_request(int fd, std::string& buffer, Request& request);
  bool answer_request(Connection& connection, const Request& request);
  bool answer_object(int fd, const Request& request, const Target& target);
  bool send_list(int fd, const Target& target);
  void send_watch(Connection& connection, const Request& request, const Target& target);
  std::optional<Target> target_of(const std::string& path) const;
  bool reply(int fd, int status, const std::string& body, const std::string& retry_after = "");
  bool reply_status(int fd, int status, const std::string& reason);
  bool send_chunks(int fd, const std::string& text);
  static bool send_all(int fd, const std::string& text);
  std::string store(const std::string& plural, Json object, const char* type);  // under the lock
  void pause_piece() const;

  uint16_t port_ = 0;
  UniqueFd listener_;
  std::thread acceptor_;
  std::list<Connection> connections_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool running_ = false;
  uint64_t version_ = 100;
  uint64_t compacted_ = 0;
  uint64_t generation_ = 0;      // of watches; a newer one ends the older
  bool reset_ = false;           // how they end
  uint64_t bookmarks_ = 0;
  std::vector<std::string> injected_;
  std::vector<Change> history_;
  std::map<std::string, Collection> collections_;
  std::vector<Scripted> scripted_;
  std::vector<std::string> requests_;
  std::function<void(const std::string&)> hook_;
  std::string token_;
  std::atomic<size_t> piece_ = 0;
  std::atomic<int> pause_ms_ = 0;
  std::atomic<size_t> watch_events_ = 0;
};

}  // namespace headgate::test
