#include "tests/support/fake_api_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>

#include "dataplane/base/number.h"
#include "dataplane/base/text.h"

namespace headgate::test {
namespace {

using Json = FakeApiServer::Json;
constexpr auto kPatience = std::chrono::seconds(10);

std::string status_body(int code, const std::string& reason) {
  return Json{{"kind", "Status"}, {"apiVersion", "v1"}, {"status", "Failure"}, {"code", code}, {"reason", reason},
              {"message", "scripted: " + reason}}
      .dump();
}

std::string decode(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      out.push_back(static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

std::string chunk_of(const std::string& text) {
  char size[17] = {};
  *write_hex(size, text.size()) = '\0';
  return std::string(size) + "\r\n" + text + "\r\n";
}

}  // namespace

std::string FakeApiServer::Request::parameter(const std::string& name) const {
  for (const std::string_view pair : split(query, '&')) {
    if (pair.starts_with(name + "=")) return decode(std::string(pair.substr(name.size() + 1)));
  }
  return {};
}

FakeApiServer::FakeApiServer() { start(); }

void FakeApiServer::start() {
  UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port_), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof(address);
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) std::abort();
  if (::listen(listener.get(), 64) != 0) std::abort();
  ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  listener_ = std::move(listener);
  running_ = true;
  acceptor_ = std::thread([this] { accept_loop(); });
}

void FakeApiServer::stop() {
  {
    const std::lock_guard lock(mutex_);
    if (!running_) return;
    running_ = false;
    ::shutdown(listener_.get(), SHUT_RDWR);
    for (auto& connection : connections_) ::shutdown(connection.fd, SHUT_RDWR);
  }
  changed_.notify_all();
  acceptor_.join();
  for (auto& connection : connections_) connection.thread.join();
  connections_.clear();
  listener_.reset();
}

void FakeApiServer::accept_loop() {
  for (;;) {
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    const std::lock_guard lock(mutex_);
    if (!running_) {
      ::close(fd);
      return;
    }
    Connection& connection = connections_.emplace_back();
    connection.fd = fd;
    connection.thread = std::thread([this, &connection] { serve(connection); });
  }
}

void FakeApiServer::serve(Connection& connection) {
  std::string buffer;
  Request request;
  while (read_request(connection.fd, buffer, request) && answer_request(connection, request)) request = {};
  const std::lock_guard lock(mutex_);
  ::close(connection.fd);
  connection.fd = -1;
}

bool FakeApiServer::read_request(int fd, std::string& buffer, Request& request) {
  size_t head_end;
  size_t length = 0;
  for (;;) {
    head_end = buffer.find("\r\n\r\n");
    if (head_end != std::string::npos) {
      length = 0;
      for (std::string_view line : split(std::string_view(buffer).substr(0, head_end), '\n')) {
        if (line.ends_with('\r')) line.remove_suffix(1);
        const size_t colon = line.find(':');
        const std::string_view value = colon == std::string_view::npos ? "" : trim(line.substr(colon + 1));
        if (starts_with_ignore_case(line, "content-length:")) length = parse_decimal<size_t>(value).value_or(0);
        if (starts_with_ignore_case(line, "content-type:")) request.content_type = std::string(value);
        if (starts_with_ignore_case(line, "authorization:")) request.authorization = std::string(value);
      }
      if (buffer.size() >= head_end + 4 + length) break;
    }
    char piece[16384];
    const ssize_t count = ::recv(fd, piece, sizeof(piece), 0);
    if (count <= 0) return false;
    buffer.append(piece, static_cast<size_t>(count));
  }
  const auto words = split(std::string_view(buffer).substr(0, buffer.find("\r\n")), ' ');
  if (words.size() != 3) return false;
  request.method = std::string(words[0]);
  const std::string target(words[1]);
  const size_t question = target.find('?');
  request.path = target.substr(0, question);
  request.query = question == std::string::npos ? "" : target.substr(question + 1);
  request.body = buffer.substr(head_end + 4, length);
  buffer.erase(0, head_end + 4 + length);
  return true;
}

bool FakeApiServer::answer_request(Connection& connection, const Request& request) {
  const std::string line = request.method + " " + request.path + (request.query.empty() ? "" : "?" + request.query);
  std::function<void(const std::string&)> hook;
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(line);
    hook = hook_;
  }
  changed_.notify_all();
  if (hook) hook(line);
  std::unique_lock lock(mutex_);
  if (!token_.empty() && request.authorization != "Bearer " + token_) {
    lock.unlock();
    return reply_status(connection.fd, 401, "Unauthorized");
  }
  for (auto& scripted : scripted_) {
    if (scripted.times == 0 || line.find(scripted.part) == std::string::npos) continue;
    --scripted.times;
    const Scripted now = scripted;
    lock.unlock();
    return reply(connection.fd, now.status, now.body, now.retry_after);
  }
  const auto target = target_of(request.path);
  lock.unlock();
  if (!target) return reply_status(connection.fd, 404, "NotFound");
  if (!target->name.empty() || request.method != "GET") return answer_object(connection.fd, request, *target);
  if (request.parameter("watch") != "1") return send_list(connection.fd, *target);
  send_watch(connection, request, *target);
  return false;
}

std::optional<FakeApiServer::Target> FakeApiServer::target_of(const std::string& path) const {
  for (const auto& [plural, collection] : collections_) {
    if (!path.starts_with(collection.group_path + "/")) continue;
    Target target{.plural = plural};
    std::vector<std::string> parts;
    for (const auto part : split(std::string_view(path).substr(collection.group_path.size() + 1), '/')) {
      parts.push_back(decode(std::string(part)));
    }
    if (parts.size() > 2 && parts[0] == "namespaces" && plural != "namespaces") {
      target.name_space = parts[1];
      parts.erase(parts.begin(), parts.begin() + 2);
    }
    // The collections inside a namespace are no part of it.
    if (parts[0] != plural || parts.size() > (plural == "namespaces" ? 2U : 3U)) continue;
    if (parts.size() > 1) target.name = parts[1];
    if (parts.size() > 2) target.subresource = parts[2];
    return target;
  }
  return std::nullopt;
}

std::string FakeApiServer::store(const std::string& plural, Json object, const char* type) {
  Collection& collection = collections_.at(plural);
  const std::string version = std::to_string(++version_);
  Json& metadata = object["metadata"];
  metadata["resourceVersion"] = version;
  const std::string name_space = metadata.value("namespace", "");
  const auto key = std::pair(name_space, metadata.value("name", ""));
  object["kind"] = collection.kind;
  history_.push_back({version_, plural, Json{{"type", type}, {"object", object}}.dump() + "\n", name_space});
  if (std::string_view(type) == "DELETED") {
    collection.objects.erase(key);
  } else {
    collection.objects[key] = std::move(object);
  }
  changed_.notify_all();
  return version;
}

bool FakeApiServer::answer_object(int fd, const Request& request, const Target& target) {
  std::unique_lock lock(mutex_);
  auto& objects = collections_.at(target.plural).objects;
  Json body = request.body.empty() ? Json() : Json::parse(request.body, nullptr, false);
  if (request.method == "POST") {
    body["metadata"]["namespace"] = target.name_space;
    const bool there = objects.contains({target.name_space, body["metadata"].value("name", "")});
    if (!there) body["metadata"]["resourceVersion"] = store(target.plural, body, "ADDED");
    lock.unlock();
    return there ? reply_status(fd, 409, "AlreadyExists") : reply(fd, 201, body.dump());
  }
  const auto found = objects.find({target.name_space, target.name});
  if (found == objects.end()) {
    lock.unlock();
    return reply_status(fd, 404, "NotFound");
  }
  Json changed = found->second;
  if (request.method == "PUT") {
    const std::string version = body.value("/metadata/resourceVersion"_json_pointer, "");
    if (!version.empty() && version != changed["metadata"]["resourceVersion"]) {
      lock.unlock();
      return reply_status(fd, 409, "Conflict");
    }
    if (target.subresource == "status") {
      changed["status"] = body["status"];
    } else {
      changed = body;
    }
  } else if (request.method == "PATCH") {
    if (request.content_type == "application/json-patch+json") {
      try {
        changed = changed.patch(body);
      } catch (const Json::exception&) {
        lock.unlock();
        return reply_status(fd, 422, "Invalid");
      }
    } else {
      changed.merge_patch(body);
    }
  } else if (request.method == "DELETE") {
    store(target.plural, changed, "DELETED");
    lock.unlock();
    return reply(fd, 200, "{}");
  }
  if (request.method != "GET") store(target.plural, changed, "MODIFIED");
  const std::string text = objects.at({target.name_space, target.name}).dump();
  lock.unlock();
  return reply(fd, 200, text);
}

bool FakeApiServer::send_list(int fd, const Target& target) {
  Json list{{"apiVersion", "v1"}, {"items", Json::array()}};
  {
    const std::lock_guard lock(mutex_);
    const Collection& collection = collections_.at(target.plural);
    list["kind"] = collection.kind + "List";
    list["metadata"]["resourceVersion"] = std::to_string(version_);
    for (const auto& [key, object] : collection.objects) {
      if (target.name_space.empty() || key.first == target.name_space) list["items"].push_back(object);
    }
  }
  if (!send_all(fd, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")) return false;
  return send_chunks(fd, list.dump() + "\n") && send_all(fd, "0\r\n\r\n");
}

void FakeApiServer::send_watch(Connection& connection, const Request& request, const Target& target) {
  const int fd = connection.fd;
  uint64_t sent = parse_decimal(request.parameter("resourceVersion")).value_or(0);
  if (!send_all(fd, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")) return;
  std::unique_lock lock(mutex_);
  const uint64_t generation = generation_;
  uint64_t bookmarks = bookmarks_;
  size_t injected = injected_.size();
  size_t events = 0;
  connection.watching = true;
  changed_.notify_all();
  while (running_ && generation == generation_) {
    std::string text;
    if (sent < compacted_) {
      text = R"({"type":"ERROR","object":)" + status_body(410, "Expired") + "}\n";
    }
    const size_t limit = watch_events_;
    for (const Change& change : history_) {
      if (sent < compacted_ || change.version <= sent || change.plural != target.plural) continue;
      if (!target.name_space.empty() && change.name_space != target.name_space) continue;
      if (limit > 0 && events == limit) break;
      text += change.line;
      sent = change.version;
      ++events;
    }
    for (; injected < injected_.size(); ++injected) text += injected_[injected];
    if (bookmarks < bookmarks_ && sent >= compacted_) {
      bookmarks = bookmarks_;
      sent = version_;
      text += Json{{"type", "BOOKMARK"},
                   {"object", {{"kind", "X"}, {"metadata", {{"resourceVersion", std::to_string(version_)}}}}}}
                  .dump() +
              "\n";
    }
    const bool last = sent < compacted_ || (limit > 0 && events >= limit);
    if (!text.empty()) {
      lock.unlock();
      const bool ok = send_chunks(fd, text);
      lock.lock();
      if (!ok) break;
    }
    if (last) break;
    if (text.empty()) changed_.wait(lock);
  }
  connection.watching = false;
  changed_.notify_all();
  const bool broken = reset_ && generation != generation_;
  lock.unlock();
  if (broken) {
    const linger now{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  } else {
    send_all(fd, "0\r\n\r\n");
  }
}

void FakeApiServer::pause_piece() const {
  if (pause_ms_ > 0) std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms_));
}

bool FakeApiServer::send_chunks(int fd, const std::string& text) {
  const size_t piece = piece_ == 0 ? text.size() : piece_.load();
  for (size_t at = 0; at < text.size(); at += piece) {
    if (!send_all(fd, chunk_of(text.substr(at, piece)))) return false;
    pause_piece();
  }
  return true;
}

bool FakeApiServer::send_all(int fd, const std::string& text) {
  size_t sent = 0;
  while (sent < text.size()) {
    const ssize_t count = ::send(fd, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (count <= 0) return false;
    sent += static_cast<size_t>(count);
  }
  return true;
}

bool FakeApiServer::reply(int fd, int status, const std::string& body, const std::string& retry_after) {
  std::string head = "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Type: application/json\r\nContent-Length: " +
                     std::to_string(body.size()) + "\r\n";
  if (!retry_after.empty()) head += "Retry-After: " + retry_after + "\r\n";
  return send_all(fd, head + "\r\n" + body);
}

bool FakeApiServer::reply_status(int fd, int status, const std::string& reason) {
  return reply(fd, status, status_body(status, reason));
}

void FakeApiServer::add_collection(const std::string& group_path, const std::string& plural, const std::string& kind) {
  const std::lock_guard lock(mutex_);
  collections_[plural] = {group_path, kind, {}};
}

void FakeApiServer::remove_collection(const std::string& plural) {
  const std::lock_guard lock(mutex_);
  collections_.erase(plural);
  std::erase_if(history_, [&](const Change& change) { return change.plural == plural; });
  ++generation_;
  changed_.notify_all();
}

std::string FakeApiServer::put(const std::string& plural, Json object) {
  const std::lock_guard lock(mutex_);
  const auto key = std::pair(object["metadata"].value("namespace", ""), object["metadata"].value("name", ""));
  const bool there = collections_.at(plural).objects.contains(key);
  return store(plural, std::move(object), there ? "MODIFIED" : "ADDED");
}

void FakeApiServer::remove(const std::string& plural, const std::string& name_space, const std::string& name) {
  const std::lock_guard lock(mutex_);
  const Json object = collections_.at(plural).objects.at({name_space, name});
  store(plural, object, "DELETED");
}

std::optional<Json> FakeApiServer::find(const std::string& plural, const std::string& name_space,
                                        const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto collection = collections_.find(plural);
  if (collection == collections_.end()) return std::nullopt;
  const auto found = collection->second.objects.find({name_space, name});
  if (found == collection->second.objects.end()) return std::nullopt;
  return found->second;
}

std::vector<Json> FakeApiServer::all(const std::string& plural) const {
  const std::lock_guard lock(mutex_);
  std::vector<Json> objects;
  for (const auto& [key, object] : collections_.at(plural).objects) objects.push_back(object);
  return objects;
}

std::string FakeApiServer::version() const {
  const std::lock_guard lock(mutex_);
  return std::to_string(version_);
}

void FakeApiServer::answer(const std::string& part, int times, int status, const std::string& body,
                           const std::string& retry_after) {
  const std::lock_guard lock(mutex_);
  scripted_.push_back({part, times, status, body, retry_after});
}

void FakeApiServer::on_request(std::function<void(const std::string&)> hook) {
  const std::lock_guard lock(mutex_);
  hook_ = std::move(hook);
}

void FakeApiServer::require_token(const std::string& token) {
  const std::lock_guard lock(mutex_);
  token_ = token;
}

void FakeApiServer::compact() {
  const std::lock_guard lock(mutex_);
  compacted_ = ++version_;
  history_.clear();
  changed_.notify_all();
}

void FakeApiServer::bookmark() {
  const std::lock_guard lock(mutex_);
  ++version_;
  ++bookmarks_;
  changed_.notify_all();
}

void FakeApiServer::end_watches() {
  const std::lock_guard lock(mutex_);
  reset_ = false;
  ++generation_;
  changed_.notify_all();
}

void FakeApiServer::break_watches() {
  const std::lock_guard lock(mutex_);
  reset_ = true;
  ++generation_;
  changed_.notify_all();
}

void FakeApiServer::send_to_watches(const std::string& line) {
  const std::lock_guard lock(mutex_);
  injected_.push_back(line);
  changed_.notify_all();
}

std::vector<std::string> FakeApiServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

size_t FakeApiServer::count(const std::string& part) const {
  const std::lock_guard lock(mutex_);
  return static_cast<size_t>(std::count_if(requests_.begin(), requests_.end(), [&](const std::string& line) {
    return line.find(part) != std::string::npos;
  }));
}

bool FakeApiServer::wait_for(const std::string& part, size_t times) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] {
    size_t seen = 0;
    for (const auto& line : requests_) seen += line.find(part) != std::string::npos ? 1 : 0;
    return seen >= times;
  });
}

bool FakeApiServer::wait_for_watches(size_t number) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] {
    size_t open = 0;
    for (const auto& connection : connections_) open += connection.watching ? 1 : 0;
    return open == number;
  });
}

}  // namespace headgate::test
